"""The interface through which an environment chooses where training episodes begin."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np


class Curriculum(ABC):
    """Chooses where training episodes begin, and may act in them. Evaluations do not use it."""

    def prepare(self, out: Callable[[str], None]) -> None:  # noqa: B027 (most have nothing to prepare)
        """Called before the first episode of a new run; may take long. A resumed run loads the saved state instead.

        ``out`` is called with each line of output; an error it raises ends the preparation.
        """

    @abstractmethod
    def reset(self, env_ids: np.ndarray) -> None:
        """Start new episodes in the given games (K,) int64, instead of `VecEnv.reset`."""

    def epsilon(self, epsilon: float) -> float | np.ndarray:
        """Probability of a random action in the next step: one number, or one per game (E,) float."""
        return epsilon

    def action(self, action: np.ndarray) -> np.ndarray:
        """The actions to play in the next step, (E, A) int64, given the policy's ``action`` (E, A)."""
        return action

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything that determines its choices, including random streams; empty before `prepare`."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned; the environment's state is already restored.

        Raises:
            EnvError: the state belongs to other games.
        """
