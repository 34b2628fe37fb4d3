"""The latest steps of all games, for learning on policy."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from dimix.envs.agent_input import AgentInput
from dimix.envs.vec_env import EnvInfo
from dimix.errors import BatchError
from dimix.replay.batch import EpisodeBatch
from dimix.replay.open_episodes import OpenEpisodes, Rows, StoredEpisode
from dimix.replay.pieces import Piece
from dimix.replay.step_store import StepStore


class RolloutBuffer(StepStore):
    """One window per game: its steps since the last samples, which may come from several episodes.

    The first step after a sample begins new windows. Until then samples deal out the games: each once, in random
    order, before any comes again. Each part of an episode in a window is one row of the batch, so that a batch has at
    least as many rows as games. An episode that began in an earlier window goes on from the recurrent state it had
    then, ``burnin_len`` steps before the window, which only warm it up.

    Args:
        info: sizes of the environment.
        agent_input: writes last action and agent id into the sampled observations.
        hidden_shape: shape of one game's recurrent state (A, H).
        unroll_len: steps that a collector plays in each game between two rounds of samples; for `memory_plan` alone.
        burnin_len: steps before a window that only warm up its recurrent state.
        seed: seed of the order.
    """

    def __init__(
        self,
        info: EnvInfo,
        agent_input: AgentInput,
        hidden_shape: tuple[int, ...] | None = None,
        unroll_len: int = 1,
        burnin_len: int = 0,
        seed: int = 0,
        pinned: bool = False,
    ) -> None:
        super().__init__(info, agent_input, hidden_shape, pinned)
        self._unroll_len, self._burnin_len = unroll_len, burnin_len
        self._rng = np.random.default_rng(seed)
        self._states: deque[np.ndarray] = deque(maxlen=burnin_len + 1)  # (E, A, H) after each of the latest steps
        self._sampled = True  # the windows are over

    @property
    def wants_hidden(self) -> bool:
        return True

    def memory_plan(self) -> str:
        return f"no replay: learns only from the latest {self._unroll_len} steps of each game"

    def open(self, num_envs: int) -> None:
        self._open = OpenEpisodes(self.info, num_envs, self.hidden_shape, None)
        self._first = np.zeros(num_envs, np.int64)  # steps of each running episode that are not in its window
        self._finished: list[list[Piece]] = []  # per game; empty if there are no windows
        self._order = np.zeros(0, np.int64)  # games still to be dealt out
        self._start_state: np.ndarray | None = None  # (E, A, H) burnin_len steps before the windows
        self._states.clear()

    def begin(self, env_ids: np.ndarray, rows: Rows) -> None:
        super().begin(env_ids, rows)
        self._first[env_ids] = 0

    def append(
        self,
        env_ids: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        rows: Rows,
        hidden: np.ndarray | None = None,
    ) -> None:
        if hidden is None:
            raise BatchError("append: no hidden state given. Windows with a stored start state need it at every step.")
        if self._sampled:
            self._new_windows()
        super().append(env_ids, action, reward, rows)
        self._states.append(hidden)

    def finish(self, env_ids: np.ndarray, terminated: np.ndarray) -> None:
        for env in env_ids:
            episode = self._opened().finish(env, terminated[env])
            self._finished[env].append(self._piece(env, episode, ends=True))

    def can_sample(self, batch_size: int) -> bool:
        return batch_size <= len(self._finished)

    def sample(self, batch_size: int) -> EpisodeBatch:
        if batch_size < 1 or not self.can_sample(batch_size):
            raise BatchError(f"batch_size: {batch_size}. There are {len(self._finished)} windows now. Collect first.")
        self._sampled = True
        if len(self._order) < batch_size:
            self._order = self._rng.permutation(len(self._finished))
        games, self._order = self._order[:batch_size], self._order[batch_size:]
        return self._build([piece for game in games for piece in self._pieces(game)])

    def _new_windows(self) -> None:
        games = range(self._opened().num_envs)
        self._start_state = self._states[0] if self._states else None
        self._first = np.array([self._opened().length(env) for env in games])
        self._finished, self._order = [[] for _ in games], np.zeros(0, np.int64)
        self._sampled = False

    def _pieces(self, game: int) -> list[Piece]:
        """The parts of episodes in a game's window."""
        if self._opened().length(game) <= self._first[game]:
            return self._finished[game]
        return [*self._finished[game], self._piece(game, self._opened().peek(game), ends=False)]

    def _piece(self, game: int, episode: StoredEpisode, ends: bool) -> Piece:
        first = int(self._first[game])
        start = max(first - self._burnin_len, 0)
        hidden = self._start_state[game] if start and self._start_state is not None else None
        return Piece(episode, start, episode.length, first - start, hidden, ends)

    def state_dict(self) -> dict[str, Any]:
        """The running episodes and the random state; steps that were not learned from yet are not saved."""
        opened = self._opened()
        states = np.stack(self._states) if self._states else None
        return {
            "num_envs": opened.num_envs,
            "open": opened.state_dict(),
            "states": states,
            "rng": self._rng.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.open(state["num_envs"])
        self._opened().load_state_dict(state["open"])
        self._states.extend([] if state["states"] is None else state["states"])
        self._rng.bit_generator.state = state["rng"]
        self._sampled = True
