"""Battles of the real SMAClite package (Michalski et al. 2023), one at a time: ``env.backend = "smaclite"``."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from easydict import EasyDict

from dimix.envs.game_env import Frame, GameEnv
from dimix.envs.packages import Package
from dimix.errors import ConfigError, EnvError
from dizoo.smac.battle.maps.mapfile import read_json
from dizoo.smac.battle.maps.scenario import Scenario, load_map, load_scenario, map_names
from dizoo.smac.envs.map_info import map_info

#: SMAClite pins Rtree 1.0.0, which finds no library of its own on Python 3.11; any later version works.
SMACLITE = Package(
    "smaclite", "pip install 'dimix[smaclite]' && pip install --upgrade rtree", choice="env.backend='smaclite'"
)


class SmacliteGame(GameEnv):
    """One battle of SMAClite, with the engine's observations and state in the same columns.

    SMAClite has no time limit, so the map's own truncates an episode, as in the engine. It ships 12 of SMAC's maps;
    other maps are passed in its own format if it has all of their unit types.

    Args:
        cfg: the config's ``env`` branch; uses ``map_name``.

    Raises:
        ConfigError: SMAClite does not know a unit type of the map.
        EnvError: the package is missing, or its map differs from the engine's.
    """

    def __init__(self, cfg: EasyDict) -> None:
        scenario = load_scenario(cfg.map_name)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints a line
            self._env = _make(scenario, cfg.map_name)
        self.info = map_info(scenario, has_jitter=False)
        mine = (scenario.n_agents, scenario.obs_size, scenario.state_size, scenario.n_actions)
        theirs = (self._env.n_agents, self._env.obs_size, self._env.state_size, self._env.n_actions)
        if mine != theirs:
            raise EnvError(
                f"{scenario.name}: the installed SMAClite has (agents, observation, state, actions) {theirs}. "
                f"Right is {mine}; install the version from https://github.com/uoe-agents/smaclite."
            )
        self._steps = 0

    def reset(self, seed: int) -> Frame:
        self._steps = 0
        self._env.last_actions = np.zeros_like(self._env.last_actions)  # its reset keeps the last episode's
        obs, _ = self._env.reset(seed=seed)
        return self._frame(obs)

    def step(self, action: np.ndarray) -> Frame:
        obs, reward, terminated, _, info = self._env.step(action.tolist())
        self._steps += 1
        return self._frame(obs)._replace(
            reward=reward,
            terminated=terminated,
            truncated=not terminated and self._steps >= self.info.episode_limit,
            battle_won=info["battle_won"],
        )

    def close(self) -> None:
        """Close its window, if any."""
        self._env.close()

    def _frame(self, obs: Any) -> Frame:
        mask = np.stack(self._env.get_avail_actions()) > 0
        # Dead agents can, and must, only do nothing (action 0).
        return Frame(np.stack(obs), self._env.get_state(), mask, ~mask[:, 0])


def _make(scenario: Scenario, map_name: str) -> Any:
    """Create SMAClite's environment: its own map of that name, a map file in its format, or a converted map."""
    make = SMACLITE.load("env").SMACliteEnv
    if map_name.lower() not in {name.lower() for name in map_names()}:
        if any("faction" in group for group in read_json(Path(map_name))["groups"]):
            return make(map_file=map_name, seed=0)
    else:
        for preset in SMACLITE.load("env.maps.map").MapPreset:
            if preset.map_info.name == scenario.name:
                return make(map_info=preset.map_info, seed=0)
    known = {unit.name for unit in SMACLITE.load("env.units.unit_type").StandardUnit}
    foreign = sorted(({t.name for t in scenario.types} - known) | set(load_map(map_name).own_units))
    if foreign:
        raise ConfigError(
            f"env.map_name: {scenario.name} has {', '.join(foreign)}, which SMAClite does not have. "
            "Play this map with env.backend='engine'."
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.json"
        path.write_text(json.dumps(smaclite_map(map_name)), encoding="utf-8")
        return make(map_file=str(path), seed=0)


def smaclite_map(map_name: str) -> dict[str, Any]:
    """Convert a map to SMAClite's format; for ``map_name`` see ``load_scenario``.

    Raises:
        MapError: no such map.
    """
    spec, scenario = load_map(map_name), load_scenario(map_name)
    return {
        "name": spec.name,
        "num_allied_units": scenario.n_agents,
        "num_enemy_units": scenario.n_enemies,
        "groups": [
            {"x": g.x, "y": g.y, "faction": "ALLY" if g.is_ally else "ENEMY", "units": dict(g.units)}
            for g in spec.groups
        ],
        "attack_point": list(spec.attack_point),
        "terrain": ["".join("_" if cell else "C" for cell in row) for row in spec.open_cells],
        "num_unit_types": spec.num_type_slots,
        "unit_type_ids": dict(spec.type_slots),
        "ally_has_shields": scenario.ally_has_shields,
        "enemy_has_shields": scenario.enemy_has_shields,
        "width": spec.width,
        "height": spec.height,
    }
