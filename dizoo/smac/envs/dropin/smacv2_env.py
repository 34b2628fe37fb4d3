"""The battle with the methods of SMACv2's ``StarCraftCapabilityEnvWrapper``, for code written for SMACv2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dizoo.smac.battle.checks import whole_number
from dizoo.smac.battle.errors import BattleError
from dizoo.smac.battle.maps.mapfile import smacv2_tasks
from dizoo.smac.envs.dropin.starcraft2_env import StarCraft2Env

ONLY_THIS = {
    "obs_own_pos": True,
    "use_unit_ranges": True,
    "min_attack_range": 2,
    "fully_observable": False,
    "obs_starcraft": True,
}
"""Arguments of SMACv2's class, beside those of SMAC's, of which only the tasks' value is built."""

WITHOUT_MEANING = ("kill_unit_step_mul",)


class StarCraftCapabilityEnvWrapper(StarCraft2Env):
    """One battle after another with SMACv2's interface; teams and starts are drawn at every reset.

    Unlike SMACv2's, the draws follow ``seed``, and the reward scale is that of the expected enemies.

    Args:
        capability_config: as in SMACv2: ``n_units``, ``n_enemies``, ``team_gen`` (``dist_type`` "weighted_teams") and
            ``start_positions`` (``dist_type`` "surrounded_and_reflect").
        map_name: any; the types in ``team_gen`` tell the race.
        rules: a rule profile.
        conic_fov: agents see only what is in the cone that they look into; see ``env.num_fov_actions``.
        num_fov_actions: directions that they may look in then, at least 1.
        other: arguments of `StarCraft2Env`, SMACv2's other arguments (see `ONLY_THIS`), and ``opponent``.

    Raises:
        BattleError: an argument with an unsupported value.
    """

    def __init__(
        self,
        capability_config: Mapping[str, Any],
        map_name: str = "",
        rules: str = "smacv2",
        conic_fov: bool = False,
        num_fov_actions: int = 12,
        **other: Any,
    ) -> None:
        for key, right in ONLY_THIS.items():
            if other.pop(key, right) != right:
                raise BattleError(f"StarCraftCapabilityEnvWrapper: only {key}={right!r} is built.")
        for key in WITHOUT_MEANING:
            other.pop(key, None)
        looks = whole_number("num_fov_actions", num_fov_actions, 1) if conic_fov else 0
        super().__init__(map_of(capability_config), rules=rules, num_fov_actions=looks, **other)

    def get_env_info(self) -> dict[str, Any]:
        """Return sizes and feature names, under the names that SMACv2's code reads."""
        layout = self.scenario.state_layout
        return {
            **super().get_env_info(),
            "cap_shape": self.get_cap_size(),
            "agent_features": list(layout.allies.columns),
            "enemy_features": list(layout.enemies.columns),
        }

    def get_cap_size(self) -> int:
        """Length of one agent's capabilities: the one-hot of its type."""
        return self.unit_type_bits

    def get_capabilities_agent(self, agent_id: int) -> np.ndarray:
        """One agent's type, one-hot, (3,) float32."""
        engine = self._battle.engine
        return np.eye(self.unit_type_bits, dtype=np.float32)[engine.kinds["slot"][0, engine.agent_unit[agent_id]]]

    def get_capabilities(self) -> np.ndarray:
        """All agents' types, one-hot, concatenated."""
        return np.concatenate([self.get_capabilities_agent(agent) for agent in range(self.n_agents)])

    def get_obs_feature_names(self) -> list[str]:
        """Meaning of each entry of an observation, in this package's words."""
        return self._battle.engine.obs_names + ["timestep"] * self.obs_timestep_number

    def get_state_feature_names(self) -> list[str]:
        """Meaning of each entry of the state, in this package's words."""
        if self.obs_instead_of_state:
            return self.get_obs_feature_names() * self.n_agents
        names = self._battle.engine.state_names[: self._state_end]
        return names + ["timestep"] * self.state_timestep_number

    def full_restart(self) -> None:
        """Do nothing: there is no StarCraft II to restart."""


def map_of(capability_config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the map that draws what a ``capability_config`` asks for.

    Raises:
        BattleError: something that is not built.
    """
    team, starts = (_part(capability_config, *part) for part in _PARTS)
    for key in capability_config:
        if key not in ("n_units", "n_enemies", "team_gen", "start_positions"):
            raise BattleError(f"capability_config: {key} is not built. Built: n_units, n_enemies, {_BUILT}.")
    types = [str(name).upper() for name in team["unit_types"]]
    races = [task for task in smacv2_tasks().values() if set(types) <= set(task["type_slots"])]
    if not races:
        raise BattleError(f"capability_config: unit_types {team['unit_types']} are not of one of SMACv2's races.")
    mirrored = float(starts["p"])
    return {
        "name": "_".join(types).lower(),
        "size": [int(starts["map_x"]), int(starts["map_y"])],
        "type_slots": races[0]["type_slots"],
        "smac": races[0]["smac"],
        "generator": {
            "n_agents": capability_config["n_units"],
            "n_enemies": capability_config["n_enemies"],
            "types": dict(zip(types, team["weights"], strict=True)),
            "exceptions": [str(name).upper() for name in team.get("exception_unit_types", [])],
            "starts": {"reflect": mirrored, "surrounded": 1.0 - mirrored},
        },
    }


_PARTS = (
    ("team_gen", "weighted_teams", ("unit_types", "weights")),
    ("start_positions", "surrounded_and_reflect", ("p", "map_x", "map_y")),
)
_BUILT = ", ".join(f"{name} of dist_type '{kind}'" for name, kind, _ in _PARTS)


def _part(config: Mapping[str, Any], name: str, kind: str, needed: tuple[str, ...]) -> Mapping[str, Any]:
    part = config.get(name)
    if not isinstance(part, Mapping) or part.get("dist_type") != kind or any(key not in part for key in needed):
        raise BattleError(f"capability_config: {name} is {part!r}. It has dist_type '{kind}', {', '.join(needed)}.")
    return part
