"""The battle as a PettingZoo ``ParallelEnv``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dizoo.smac.battle.errors import ActionError
from dizoo.smac.battle.maps.rules import Profile
from dizoo.smac.envs.dropin.rendering import RENDER_FPS, RENDER_MODES, Renderer
from dizoo.smac.envs.dropin.single_battle import SingleBattle, replaces_illegal

try:
    from gymnasium import spaces
    from pettingzoo import ParallelEnv
except ModuleNotFoundError as e:
    raise ModuleNotFoundError(
        f"the PettingZoo environment needs {e.name}, which is not installed. Install it with: "
        "pip install 'dimix[pettingzoo]'",
        name=e.name,
    ) from e


class BattleParallelEnv(ParallelEnv):
    """One battle; agents are named ``agent_0`` ... in the order of the map.

    ========================  =============================================================================
    observation               ``{"observation": (O,) float32 in [-1, 1], "action_mask": (N,) int8}``
    action                    integer; 0 only for dead agents
    reward                    the team's reward, the same for every agent
    terminations              one side is wiped out; the same for all agents
    truncations               the map's episode limit is reached
    infos                     ``battle_won``, ``alive``, ``illegal_action`` of the last step
    ========================  =============================================================================

    Agents that die stay in ``agents`` until the episode ends, with only action 0 available, so that they share in the
    team's later rewards. ``state()`` is the global state.

    Args:
        map_name: name of a shipped map, or path of a map file.
        seed: of the battle's random stream; None draws one.
        rules: ``"smaclite"``, ``"smac"``, ``"smacv2"`` or a changed `Profile`; default: what the map is meant for.
        render_mode: None, ``"ansi"`` (text), ``"rgb_array"`` or ``"human"``, see `Renderer`.
        illegal_action: how to treat an action outside the mask: ``"stop"`` replaces it by stop (no-op for dead agents)
            and reports it in the infos; ``"error"`` raises.
        options: further options of the engine, such as ``start_jitter=0.5``.
    """

    metadata = {
        "name": "dimix_battle_v0",
        "render_modes": RENDER_MODES,
        "render_fps": RENDER_FPS,
        "is_parallelizable": True,
    }

    def __init__(
        self,
        map_name: str | Path = "MMM",
        seed: int | None = None,
        rules: str | Profile | None = None,
        render_mode: str | None = None,
        illegal_action: str = "stop",
        **options: Any,
    ) -> None:
        self._replaces = replaces_illegal(illegal_action)
        self._battle = SingleBattle(map_name, seed, rules, **options)
        self._renderer = Renderer(self._battle, render_mode)
        self.render_mode = render_mode
        s = self._battle.scenario
        self.scenario = s
        self.possible_agents = [f"agent_{k}" for k in range(s.n_agents)]
        self.agents: list[str] = []
        # PettingZoo requires the same objects on every call: a space holds its own seed.
        self._observation_spaces = {
            agent: _observation_space(s.obs_size, s.n_actions) for agent in self.possible_agents
        }
        self._action_spaces: dict[str, spaces.Discrete] = {
            agent: spaces.Discrete(s.n_actions) for agent in self.possible_agents
        }
        self.state_space = spaces.Box(-np.inf, np.inf, (s.state_size,), dtype=np.float32)

    def observation_space(self, agent: str) -> spaces.Dict:
        """The space of one agent's observations."""
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Discrete:
        """The space of one agent's actions."""
        return self._action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, dict[str, Any]]]:
        """Start a new episode: (observations, infos)."""
        self._battle.reset(seed)
        self._renderer.show()
        self.agents = list(self.possible_agents)
        return self._observations(), self._infos([False] * len(self.agents))

    def step(
        self, actions: Mapping[str, int]
    ) -> tuple[
        dict[str, dict[str, np.ndarray]], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]
    ]:
        """Play one step: (observations, rewards, terminations, truncations, infos).

        Raises:
            ActionError: an agent's action is missing, or unavailable while ``illegal_action="error"``.
            BattleError: no episode is running.
        """
        missing = [agent for agent in self.possible_agents if agent not in actions]
        if missing and self.agents:
            raise ActionError(f"actions: nothing for {', '.join(missing)}. Give one action for every agent.")
        reward, replaced = self._battle.play([actions[agent] for agent in self.agents], self._replaces)
        self._renderer.show()
        agents = self.agents
        result = (
            self._observations(),
            dict.fromkeys(agents, reward),
            dict.fromkeys(agents, self._battle.terminated),
            dict.fromkeys(agents, self._battle.truncated),
            self._infos(replaced),
        )
        if self._battle.terminated or self._battle.truncated:
            self.agents = []
        return result

    def state(self) -> np.ndarray:
        """The global state, (S,) float32."""
        return self._battle.state()

    def render(self) -> str | np.ndarray | None:
        """Render the battle as text (``"ansi"``) or as (H, W, 3) uint8 (``"rgb_array"``)."""
        return self._renderer.render()

    def close(self) -> None:
        """Close the window of ``"human"``."""
        self._renderer.close()

    def _observations(self) -> dict[str, dict[str, np.ndarray]]:
        masks = self._battle.masks().astype(np.int8)
        rows = zip(self.agents, self._battle.observations(), masks, strict=True)
        return {agent: {"observation": obs, "action_mask": mask} for agent, obs, mask in rows}

    def _infos(self, replaced: list[bool]) -> dict[str, dict[str, Any]]:
        won = self._battle.battle_won
        rows = zip(self.agents, self._battle.alive, replaced, strict=True)
        return {agent: {"battle_won": won, "alive": alive, "illegal_action": bad} for agent, alive, bad in rows}


def parallel_env(map_name: str | Path = "MMM", **options: Any) -> BattleParallelEnv:
    """A battle under PettingZoo's usual constructor name; see `BattleParallelEnv`."""
    return BattleParallelEnv(map_name, **options)


def _observation_space(obs_size: int, n_actions: int) -> spaces.Dict:
    return spaces.Dict(
        {
            "observation": spaces.Box(-1.0, 1.0, (obs_size,), dtype=np.float32),
            "action_mask": spaces.Box(0, 1, (n_actions,), dtype=np.int8),
        }
    )
