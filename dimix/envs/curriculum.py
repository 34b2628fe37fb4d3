"""The contract between the collector and whoever chooses where training episodes begin."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np


class Curriculum(ABC):
    """Chooses where training episodes begin, and may play along in them; evaluations do not know it."""

    def prepare(self, out: Callable[[str], None]) -> None:  # noqa: B027 (most have nothing to prepare)
        """Called before the first episode of a new run; may take long. A run that goes on loads a state instead.

        Args:
            out: takes lines meant for people; an error that it raises ends the preparation.
        """

    @abstractmethod
    def reset(self, env_ids: np.ndarray) -> None:
        """Start new episodes in the given games (K,) int64, in place of `VecEnv.reset`."""

    def epsilon(self, epsilon: float) -> float | np.ndarray:
        """The chance of a random action in the next step: one number, or one per game (E,) float."""
        return epsilon

    def action(self, action: np.ndarray) -> np.ndarray:
        """What is played in the next step, (E, A) int64, where the policy chose ``action`` (E, A)."""
        return action

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything that decides its choices, random streams included; empty before `prepare`."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what ``state_dict`` gave; the environment's state is there already.

        Raises:
            EnvError: it belongs to other games.
        """
