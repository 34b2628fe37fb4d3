"""The interface between environments that can record games and the code that writes them to files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np


class RecordedGame(Protocol):
    """A recorded game.

    Attributes:
        number: e + k * E for game k of environment e.
        global_state: (T, S) float32, before each step.
        action: (T, A) int64.
        alive: (T, A) bool.
        q: (T, A, N) float32, the agents' values; None if there were none.
    """

    number: int
    global_state: np.ndarray
    action: np.ndarray
    alive: np.ndarray
    q: np.ndarray | None

    @property
    def name(self) -> str:
        """File name, without folder."""

    def content(self, values: Mapping[str, np.ndarray], info: Mapping[str, str]) -> bytes:
        """The file's bytes.

        Args:
            values: ``q_tot`` (T,) and ``weight`` (T, A) of the network that played; may be empty.
            info: texts to store.
        """


@runtime_checkable
class Recordable(Protocol):
    """A `VecEnv` that can record its games."""

    def record(
        self, games: int, on_game: Callable[[RecordedGame], None] = ..., q: Callable[[], np.ndarray | None] = ...
    ) -> None:
        """Record the games numbered below ``games`` from the next reset on. Recording does not change their course.

        Args:
            games: game k of environment e has the number e + k * E; 0 ends a recording.
            on_game: called with each of them when it is over.
            q: returns the (E, A, N) q-values behind the actions about to be played, or None.
        """


@dataclass(frozen=True)
class GameEnd:
    """How a recorded game ended.

    Attributes:
        won: whether the team won.
        timed_out: whether the time limit ended it.
        units: the team's units by type, at the start.
        survivors: those alive at the end.
    """

    won: bool
    timed_out: bool
    units: Mapping[str, int]
    survivors: Mapping[str, int]
