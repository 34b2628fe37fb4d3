"""The battle with SMAClite's Gymnasium interface: ``gymnasium.make("dimix/MMM-v0")``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dizoo.smac.battle.errors import MapError
from dizoo.smac.battle.maps.rules import Profile
from dizoo.smac.envs.dropin.rendering import RENDER_FPS, RENDER_MODES, Renderer
from dizoo.smac.envs.dropin.single_battle import SingleBattle, replaces_illegal

try:
    import gymnasium
    from gymnasium import spaces
except ModuleNotFoundError as e:
    raise ModuleNotFoundError(
        "the Gymnasium environment needs gymnasium, which is not installed. Install it with: pip install 'dimix[gym]'",
        name="gymnasium",
    ) from e


class BattleEnv(gymnasium.Env):
    """One battle for a team of A agents, with the interface of SMAClite's environment.

    ========================  =============================================================================
    observation               tuple of A arrays (O,) float32 in [-1, 1]; zeros for the dead
    action                    list of A integers; 0 only for dead agents. Available actions:
                              ``info["action_mask"]`` and ``env.unwrapped.get_avail_actions()``
    reward                    one number for the team; a win without regeneration sums to 20
    terminated                one side is wiped out
    truncated                 the map's episode limit is reached (SMAClite itself has none)
    info                      ``battle_won``: bool; ``action_mask``: (A, N) int8, 1 for actions available
                              next; ``illegal_action``: (A,) bool, agents whose last action was replaced
    ========================  =============================================================================

    Differences from SMAClite's class: all agents have all N actions in their action space; ``truncated`` as above; an
    illegal action is replaced by default; there is no ``seed()``, which Gymnasium has replaced by an argument of
    ``reset``; ``use_cpp_rvo2`` is accepted but has no effect, because there is one simulator.

    Args:
        map_name: name of a shipped map.
        map_file: path of a map file, in this package's format or SMAClite's, instead of a name.
        seed: of the battle's random stream; None draws one.
        use_cpp_rvo2: no effect.
        render_mode: None, ``"ansi"`` (text), ``"rgb_array"`` or ``"human"``, see `Renderer`.
        rules: ``"smaclite"``, ``"smac"``, ``"smacv2"`` or a changed `Profile`; default: what the map is meant for.
        illegal_action: how to treat an action outside the mask: ``"stop"`` replaces it by stop (no-op for dead agents)
            and reports it in the info; ``"error"`` raises, like SMAClite.
        options: further options of the engine, such as ``start_jitter=0.5``.

    Raises:
        MapError: no such map, or not exactly one of ``map_name`` and ``map_file``.
        ValueError: an unknown ``illegal_action`` or ``render_mode``.
        BattleError: ``render_mode="human"`` without a display.
    """

    metadata = {"render_modes": RENDER_MODES, "render_fps": RENDER_FPS}

    def __init__(
        self,
        map_name: str | None = None,
        map_file: str | Path | None = None,
        seed: int | None = None,
        use_cpp_rvo2: bool = False,
        render_mode: str | None = None,
        rules: str | Profile | None = None,
        illegal_action: str = "stop",
        **options: Any,
    ) -> None:
        if (map_name is None) == (map_file is None):
            raise MapError(f"map_name is {map_name!r} and map_file is {map_file!r}. Give one of the two.")
        self._replaces = replaces_illegal(illegal_action)
        self.render_mode = render_mode
        self._battle = SingleBattle(map_name if map_name is not None else Path(str(map_file)), seed, rules, **options)
        s = self._battle.scenario
        self.scenario = s
        self.n_agents, self.n_enemies, self.n_actions = s.n_agents, s.n_enemies, s.n_actions
        self.obs_size, self.state_size, self.max_reward = s.obs_size, s.state_size, s.max_reward
        self.episode_limit = self._battle.episode_limit
        box = spaces.Box(-1.0, 1.0, (s.obs_size,), dtype=np.float32)
        self.observation_space = spaces.Tuple([box for _ in range(s.n_agents)])
        self.action_space = spaces.Tuple([spaces.Discrete(s.n_actions) for _ in range(s.n_agents)])
        self._renderer = Renderer(self._battle, render_mode)
        self._battle.reset()  # SMAClite's users ask for masks and state before their first reset

    def reset(  # type: ignore[override]
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[tuple[np.ndarray, ...], dict[str, Any]]:
        """Start a new episode: (observations, info)."""
        super().reset(seed=seed)
        self._battle.reset(seed)
        self._renderer.show()
        return self.get_obs(), self._info([False] * self.n_agents)

    def step(  # type: ignore[override]
        self, actions: Sequence[int]
    ) -> tuple[tuple[np.ndarray, ...], float, bool, bool, dict[str, Any]]:
        """Play one step: (observations, reward, terminated, truncated, info).

        Raises:
            ActionError: not one integer per agent, or an unavailable action while
                ``illegal_action="error"``; nothing has changed then.
            BattleError: the episode is over.
        """
        reward, replaced = self._battle.play(actions, self._replaces)
        self._renderer.show()
        return self.get_obs(), reward, self._battle.terminated, self._battle.truncated, self._info(replaced)

    def get_obs(self) -> tuple[np.ndarray, ...]:
        """All observations: A arrays (O,) float32."""
        return self._battle.observations()

    def get_state(self) -> np.ndarray:
        """The global state: (S,) float32."""
        return self._battle.state()

    def get_avail_actions(self) -> list[np.ndarray]:
        """Return (N,) of 0 and 1 per agent: the actions available now."""
        return list(self._battle.masks().astype(np.int64))

    def render(self) -> str | np.ndarray | None:  # type: ignore[override]
        """Render the battle as text (``"ansi"``) or as (H, W, 3) uint8 (``"rgb_array"``)."""
        return self._renderer.render()

    def close(self) -> None:
        """Close the window of ``"human"``."""
        self._renderer.close()

    def _info(self, replaced: list[bool]) -> dict[str, Any]:
        return {
            "battle_won": self._battle.battle_won,
            "action_mask": self._battle.masks().astype(np.int8),
            "illegal_action": np.array(replaced),
        }
