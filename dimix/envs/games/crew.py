"""Crews play the games of a batch, in this process or in worker processes (`dimix.envs.games.workers`)."""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from easydict import EasyDict

from dimix.envs.games.arrays import GameArrays, GameRows
from dimix.envs.games.game import Game
from dimix.envs.vec_env import EnvInfo


class Start(NamedTuple):
    """How to bring a game to a given point: reset it, then replay earlier actions."""

    env_id: int
    seed: int
    actions: np.ndarray | None = None  # (T, A) int64
    renew: bool = False  # build a new game first


class Crew(ABC):
    """Plays a batch of games and writes their state to ``arrays``.

    A failed game is returned, not raised, and its rows are meaningless until it is started again.

    Attributes:
        arrays: state of the games; `step` plays ``arrays.action``.
    """

    arrays: GameArrays

    @abstractmethod
    def start(self, starts: Sequence[Start]) -> dict[int, str]:
        """Start games; returns the error of each game that failed."""

    @abstractmethod
    def step(self) -> dict[int, str]:
        """Advance every running game by one step; returns the error of each game that failed."""

    @abstractmethod
    def close(self) -> None:
        """Release games and processes; may be called twice."""


class LocalCrew(Crew):
    """Plays games in this process, one after another, without time limits.

    Args:
        game_class: class of the games.
        cfg: the config's ``env`` branch.
        info: sizes that every game must have.
        env_ids: consecutive games of the batch to play.
        arrays: arrays of the whole batch.
    """

    def __init__(
        self, game_class: type[Game], cfg: EasyDict, info: EnvInfo, env_ids: range, arrays: GameArrays
    ) -> None:
        self._class, self._cfg, self.arrays = game_class, cfg, arrays
        self._games: dict[int, Game | None] = dict.fromkeys(env_ids)
        self._rows = {e: GameRows(arrays, e, info) for e in env_ids}
        mine = slice(env_ids.start, env_ids.stop)
        self._terminated, self._truncated = arrays.terminated[mine], arrays.truncated[mine]

    def build(self) -> None:
        """Build the games that do not exist yet."""
        for env_id, game in self._games.items():
            if game is None:
                self._games[env_id] = self._class(self._cfg)

    def start(self, starts: Sequence[Start]) -> dict[int, str]:
        failed = {}
        for start in starts:
            try:
                self._start(start)
            except Exception:  # whatever the environment raises, the other games continue
                failed[start.env_id] = traceback.format_exc()
        return failed

    def step(self) -> dict[int, str]:
        failed: dict[int, str] = {}
        over = (self._terminated | self._truncated).tolist()
        for (env_id, rows), is_over in zip(self._rows.items(), over, strict=True):
            if is_over:
                self.arrays.reward[env_id] = 0.0
                continue
            game = self._games[env_id]
            assert game is not None, "step before the first reset"
            try:
                rows.advance(game.step(rows.action))
            except Exception:
                failed[env_id] = traceback.format_exc()
        return failed

    def close(self) -> None:
        """Close all games, even if closing one fails."""
        for env_id, game in self._games.items():
            self._games[env_id] = None
            if game is not None:
                _close(game)

    def _start(self, start: Start) -> None:
        game = self._games[start.env_id]
        if game is not None and start.renew:
            self._games[start.env_id] = None
            _close(game)
            game = None
        if game is None:
            game = self._games[start.env_id] = self._class(self._cfg)
        rows = self._rows[start.env_id]
        rows.begin(game.reset(start.seed))
        for action in () if start.actions is None else start.actions:
            rows.advance(game.step(action))


def last_line(reason: str) -> str:
    """Last line of a traceback, which holds the error."""
    return reason.strip().splitlines()[-1]


def _close(game: Game) -> None:
    try:
        game.close()
    except Exception:  # a broken game may fail to close; drop it anyway
        traceback.print_exc()
