"""The contract between whoever writes games into files and environments that can be recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import numpy as np


class RecordedGame(Protocol):
    """A game that was recorded.

    Attributes:
        number: e + k * E for game k of environment e.
        global_state: (T, S) float32, before each step.
        action: (T, A) int64.
        alive: (T, A) bool.
        q: (T, A, N) float32, the agents' values; None where there were none.
    """

    number: int
    global_state: np.ndarray
    action: np.ndarray
    alive: np.ndarray
    q: np.ndarray | None

    @property
    def name(self) -> str:
        """A name for its file, without folder."""

    def content(self, values: Mapping[str, np.ndarray], info: Mapping[str, str]) -> bytes:
        """The file's bytes.

        Args:
            values: ``q_tot`` (T,) and ``weight`` (T, A) of the network that played, or nothing.
            info: texts to keep.
        """


@runtime_checkable
class Recordable(Protocol):
    """A `VecEnv` whose games can be recorded."""

    def record(
        self, games: int, on_game: Callable[[RecordedGame], None] = ..., q: Callable[[], np.ndarray | None] = ...
    ) -> None:
        """Record the games numbered below ``games`` from the next reset on; their course stays what it would be.

        Args:
            games: game k of environment e has the number e + k * E; 0 ends a recording.
            on_game: takes each of them when it is over.
            q: gives the (E, A, N) q-values behind the actions about to be stepped, or None.
        """
