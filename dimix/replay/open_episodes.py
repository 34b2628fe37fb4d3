"""Episodes still being played: one per game, packed row by row."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dimix.envs.vec_env import EnvInfo, VecEnv
from dimix.errors import BatchError
from dimix.replay.row_codec import max_row_words, pack_rows


class Rows(NamedTuple):
    """State of all games at one moment. The arrays may belong to the environment; they are read immediately."""

    agent_state: np.ndarray  # (E, A, O_base) float32
    global_state: np.ndarray  # (E, S) float32
    action_mask: np.ndarray  # (E, A, N) bool
    alive: np.ndarray  # (E, A) bool

    @classmethod
    def of(cls, env: VecEnv) -> Rows:
        """The environment's current rows."""
        return cls(env.agent_state, env.global_state.reshape(env.num_envs, -1), env.action_mask, env.alive)

    def check(self, info: EnvInfo, num_envs: int) -> None:
        """Check what the compiled code takes for granted.

        Raises:
            BatchError: the message names the array, what was found and what is right.
        """
        agents = (num_envs, info.agent_num)
        right = {
            "agent_state": ((*agents, info.obs_shape), np.float32),
            "global_state": ((num_envs, info.state_size), np.float32),
            "action_mask": ((*agents, info.action_shape), np.bool_),
            "alive": (agents, np.bool_),
        }
        for name, (shape, dtype) in right.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != dtype:
                raise BatchError(
                    f"environment {info.name}: {name} is {array.dtype} of shape {array.shape}. "
                    f"Right is {np.dtype(dtype)} of shape {shape}."
                )


class StoredEpisode(NamedTuple):
    """One finished episode of T steps."""

    words: np.ndarray  # (W,) uint32: packed rows 0 to T, see row_codec
    row_start: np.ndarray  # (T + 1,) uint32: where each row starts in words
    action: np.ndarray  # (T, A) uint8 (uint16 if there are more than 256 actions)
    reward: np.ndarray  # (T,) float32
    hidden: np.ndarray  # (P, A, H) float32: recurrent state at the start of each piece; P = 0 if not stored
    terminated: bool  # False if cut by the time limit

    @property
    def length(self) -> int:
        """Steps (T)."""
        return len(self.reward)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self[:5])


class OpenEpisodes:
    """Holds the running episode of each of E games, up to the time limit.

    Space is reserved for rows that cannot be packed at all, but only written pages take up memory.

    Args:
        info: sizes of the environment.
        num_envs: games (E).
        hidden_shape: shape of one game's recurrent state (A, H).
        piece_len: steps between two stored recurrent states; None stores none.
        warmup_len: steps before each multiple of ``piece_len`` at which the state is stored (burn-in).
    """

    def __init__(
        self, info: EnvInfo, num_envs: int, hidden_shape: tuple[int, ...], piece_len: int | None, warmup_len: int = 0
    ) -> None:
        self.info = info
        self.num_envs = num_envs
        self.piece_len = piece_len
        self.warmup_len = warmup_len
        limit, agents = info.episode_limit, info.agent_num
        row_words = max_row_words(agents, info.obs_shape, info.state_size, info.action_shape)
        pieces = 0 if piece_len is None else -(-limit // piece_len)
        self._words = np.empty((num_envs, (limit + 1) * row_words + 1), np.uint32)
        self._row_start = np.zeros((num_envs, limit + 2), np.int64)
        self._num_rows = np.zeros(num_envs, np.int64)  # 0: no open episode
        self._action = np.zeros((num_envs, limit, agents), np.uint8 if info.action_shape <= 256 else np.uint16)
        self._reward = np.zeros((num_envs, limit), np.float32)
        self._hidden = np.zeros((num_envs, pieces, *hidden_shape), np.float32)

    @property
    def nbytes(self) -> int:
        """Bytes reserved; fewer are in use."""
        return sum(a.nbytes for a in (self._words, self._row_start, self._action, self._reward, self._hidden))

    def length(self, env_id: int) -> int:
        """Steps written so far in a game; -1 if it has no open episode."""
        return int(self._num_rows[env_id]) - 1

    def begin(self, env_ids: np.ndarray, rows: Rows) -> None:
        """Begin an episode in each given game with its row 0; an unfinished one is dropped.

        Raises:
            BatchError: an array has the wrong shape or type.
        """
        rows.check(self.info, self.num_envs)
        self._num_rows[env_ids] = 0
        self._hidden[env_ids] = 0
        self._pack(env_ids, rows)

    def append(
        self, env_ids: np.ndarray, action: np.ndarray, reward: np.ndarray, rows: Rows, hidden: np.ndarray | None
    ) -> None:
        """Write one step of each given game: its action, its reward and the row after it; see `ReplayBuffer.append`.

        Raises:
            BatchError: a game has no open episode, or its episode exceeds the limit.
        """
        step = self._num_rows[env_ids] - 1
        if step.min(initial=0) < 0:
            raise BatchError(f"game {env_ids[step.argmin()]}: append without begin. Call begin with its first row.")
        if step.max(initial=0) >= self.info.episode_limit:
            raise BatchError(
                f"game {env_ids[step.argmax()]}: step {step.max() + 1}. Right is at most {self.info.episode_limit}, "
                f"the episode_limit that {self.info.name} gives: end the episode there (truncated)."
            )
        self._action[env_ids, step] = action[env_ids]
        self._reward[env_ids, step] = reward[env_ids]
        self._pack(env_ids, rows)
        if self.piece_len is not None:
            self._keep_hidden(env_ids, step + 1, hidden, self.piece_len)

    def peek(self, env_id: int) -> StoredEpisode:
        """A game's episode so far, in memory that the next step changes; without recurrent states."""
        length = self.length(env_id)
        end = self._row_start[env_id, length + 1]
        return StoredEpisode(
            self._words[env_id, :end],
            self._row_start[env_id, : length + 1].astype(np.uint32),
            self._action[env_id, :length],
            self._reward[env_id, :length],
            self._hidden[env_id, :0],
            False,
        )

    def finish(self, env_id: int, terminated: bool) -> StoredEpisode:
        """Close a game's episode and return it in arrays of its own.

        Raises:
            BatchError: the game has no open episode, or the episode has no steps.
        """
        length = self.length(env_id)
        if length < 1:
            raise BatchError(f"game {env_id}: finish after {max(length, 0)} steps. Right is at least one step.")
        end = self._row_start[env_id, length + 1]
        pieces = 0 if self.piece_len is None else -(-length // self.piece_len)
        self._num_rows[env_id] = 0
        return StoredEpisode(
            self._words[env_id, :end].copy(),
            self._row_start[env_id, : length + 1].astype(np.uint32),
            self._action[env_id, :length].copy(),
            self._reward[env_id, :length].copy(),
            self._hidden[env_id, :pieces].copy(),
            bool(terminated),
        )

    def state_dict(self) -> dict[str, Any]:
        """The open episodes: only the used part of each array, with leftovers of earlier episodes zeroed."""
        rows = int(self._num_rows.max(initial=0))
        ends = self._row_start[np.arange(self.num_envs), self._num_rows]
        num_rows = self._num_rows[:, None]
        starts, steps = np.arange(rows + 1) <= num_rows, np.arange(1, rows + 1) < num_rows
        return {
            "num_rows": self._num_rows.copy(),
            "row_start": np.where(starts, self._row_start[:, : rows + 1], 0),
            "words": np.concatenate([self._words[e, :end] for e, end in enumerate(ends)]),
            "action": np.where(steps[..., None], self._action[:, :rows], 0),
            "reward": np.where(steps, self._reward[:, :rows], 0),
            "hidden": self._hidden.copy(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned.

        Raises:
            BatchError: the state is from another number of games or another environment.
        """
        expected = (self.num_envs, *self._action.shape[2:]), self._hidden.shape
        found = (state["action"].shape[0], *state["action"].shape[2:]), state["hidden"].shape
        if found != expected:
            raise BatchError(f"open episodes: games, agents and hidden state {found}. Right is {expected}.")
        self._num_rows[:] = state["num_rows"]
        self._row_start[:, : state["row_start"].shape[1]] = state["row_start"]
        self._action[:, : state["action"].shape[1]] = state["action"]
        self._reward[:, : state["reward"].shape[1]] = state["reward"]
        self._hidden[:] = state["hidden"]
        start = 0
        for env, rows in enumerate(self._num_rows):
            size = int(self._row_start[env, rows])
            self._words[env, :size] = state["words"][start : start + size]
            start += size

    def _pack(self, env_ids: np.ndarray, rows: Rows) -> None:
        games = self.num_envs
        pack_rows(
            env_ids,
            rows.agent_state.view(np.uint32),
            rows.global_state.view(np.uint32),
            rows.action_mask.reshape(games, -1),
            rows.alive,
            self._words,
            self._row_start,
            self._num_rows,
        )

    def _keep_hidden(self, env_ids: np.ndarray, row: np.ndarray, hidden: np.ndarray | None, piece_len: int) -> None:
        if hidden is None:
            raise BatchError("append: no hidden state given. Windows with a stored start state need it at every step.")
        piece, rest = np.divmod(row + self.warmup_len, piece_len)
        starts = (rest == 0) & (piece < self._hidden.shape[1])
        self._hidden[env_ids[starts], piece[starts]] = hidden[env_ids[starts]]
