"""The compiled battle engine as a dimix environment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dimix.envs.vec_env import VecEnv
from dimix.errors import EnvError
from dizoo.smac.battle import BattleEngine
from dizoo.smac.battle.errors import BattleError
from dizoo.smac.battle.maps.generator import STARTS
from dizoo.smac.battle.maps.rules import OPPONENTS
from dizoo.smac.battle.recording.recorder import BattleRecorder, RecordedGame
from dizoo.smac.envs.map_info import map_info


class BattleVecEnv(VecEnv):
    """E battles on one map; their games can be recorded.

    See `VecEnv` for the arrays and ``dizoo/smac/battle/README.md`` for their content.

    Args:
        engine: the battles.
        open_loop: observations are only the one-hot number of the step.

    Attributes:
        engine: the battles themselves, for what `VecEnv` does not show.
    """

    def __init__(self, engine: BattleEngine, open_loop: bool = False) -> None:
        self.engine = engine
        self._step_one_hot = np.eye(engine.episode_limit + 1, dtype=np.float32) if open_loop else None
        self._battles: BattleEngine | BattleRecorder = engine  # the one that is stepped
        self.info = map_info(engine.scenario, open_loop)
        self.num_envs = engine.num_envs
        self.agent_state = (
            np.zeros((engine.num_envs, engine.agent_num, self.info.obs_shape), np.float32)
            if open_loop
            else engine.agent_state
        )
        self.global_state = engine.global_state
        self.action_mask = engine.action_mask
        self.alive = engine.alive
        self.terminated = engine.terminated
        self.truncated = engine.truncated
        self.battle_won = engine.battle_won
        self.episode_length = engine.episode_length
        self.reward = np.zeros(engine.num_envs, np.float32)
        self.refresh()

    def record(
        self,
        games: int,
        on_game: Callable[[RecordedGame], None] = lambda game: None,
        q: Callable[[], np.ndarray | None] = lambda: None,
    ) -> None:
        """See `dimix.envs.recordable.Recordable.record`."""
        if isinstance(self._battles, BattleRecorder):
            self._battles.close()
        self._battles = BattleRecorder(self.engine, games, on_game, q) if games else self.engine

    def reset(self, env_ids: Sequence[int] | np.ndarray | None = None) -> None:
        """Start new battles in the given places (None: all)."""
        self._battles.reset(env_ids)
        self.refresh()

    def step(self, action: np.ndarray) -> None:
        """Advance every running battle by one step; see `VecEnv.step`."""
        try:
            self._battles.step(action)
        except BattleError as error:
            raise EnvError(str(error)) from error
        self.refresh()

    def labels_of(self, env_ids: np.ndarray) -> list[tuple[str, ...]]:
        """See `VecEnv.labels_of`: of the opponent and the kind of start, those that differ between battles."""
        engine, told = self.engine, self.info.labels
        drawn = [[OPPONENTS[i] for i in engine.battles["opponent"][env_ids]]]
        if engine.scenario.is_drawn:
            drawn.append([STARTS[i] for i in engine.start_kind[env_ids]])
        return [tuple(label for label in labels if label in told) for labels in zip(*drawn, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """Return everything that determines the future of all battles, random streams included."""
        return self.engine.get_state()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore exactly what ``state_dict`` returned.

        Raises:
            EnvError: it belongs to another map or another number of battles.
        """
        try:
            self.engine.set_state(state)
        except BattleError as error:
            raise EnvError(f"battles cannot be restored: {error}") from error
        self.refresh()

    def close(self) -> None:
        """End the engine's threads."""
        self.engine.close()

    def refresh(self) -> None:
        """Show the engine's present state, also after someone else changed it."""
        self.reward[:] = self.engine.reward  # the engine sums in float64
        if self._step_one_hot is not None:
            self.agent_state[:] = self._step_one_hot[self.episode_length, None]
