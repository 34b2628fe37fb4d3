"""A game in which nothing happens: played through processes, it measures the cost of communication alone."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from easydict import EasyDict

from dimix.envs.game_env import Frame, GameEnv
from dimix.envs.vec_env import EnvInfo


class StillGame(GameEnv):
    """Two agents with two observed numbers and two actions that do nothing."""

    config: ClassVar[dict[str, Any]] = {}

    def __init__(self, cfg: EasyDict) -> None:
        self.info = EnvInfo("still", 2, 2, 4, 2, episode_limit=1_000_000, has_win=False)
        self._frame = Frame(np.zeros((2, 2), np.float32))

    def reset(self, seed: int) -> Frame:
        return self._frame

    def step(self, action: np.ndarray) -> Frame:
        return self._frame
