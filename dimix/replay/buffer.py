"""Replay buffer over whole episodes, stored packed, without padding or duplicates."""

from __future__ import annotations

from collections import deque
from dataclasses import astuple, fields
from itertools import islice
from typing import Any

import numpy as np
import torch

from dimix.envs.agent_input import AgentInput
from dimix.envs.vec_env import EnvInfo
from dimix.errors import BatchError, ConfigError
from dimix.replay.batch import EpisodeBatch
from dimix.replay.memory_plan import MemoryPlan
from dimix.replay.open_episodes import OpenEpisodes, StoredEpisode
from dimix.replay.pieces import Piece
from dimix.replay.priorities import Priorities
from dimix.replay.step_store import StepStore


class ReplayBuffer(StepStore):
    """The most recent episodes, sampled whole or as windows of ``unroll_len`` steps.

    A collector writes all its games at once (``open``, ``begin``, ``append``, ``finish``). A finished episode moves
    into the store; the oldest ones are dropped when there are more than ``capacity`` sampling units.

    Windows start at multiples of ``unroll_len`` in an episode. The last window is shorter (see ``filled``) and does not
    overlap the one before. With ``burnin_len``, a window begins up to that many steps earlier.

    Args:
        capacity: maximum number of sampling units: episodes, or windows with ``unroll_len``.
        info: sizes of the environment.
        agent_input: writes last action and agent id into the sampled observations.
        hidden_shape: shape of one game's recurrent state (A, H).
        unroll_len: steps of a window; None samples whole episodes.
        start_state: a window's initial recurrent state: "stored" during play, or "zero".
        burnin_len: steps before a window that only warm up its recurrent state.
        seed: seed of the sampling.
        priorities: samples by priority; None samples uniformly.
        pinned: whether batches are for a CUDA device, and lie in page-locked memory.

    Attributes:
        plan: memory that the full buffer will take.

    Raises:
        ConfigError: a number is out of range, or this machine does not have the memory.
    """

    def __init__(
        self,
        capacity: int,
        info: EnvInfo,
        agent_input: AgentInput,
        hidden_shape: tuple[int, ...] | None = None,
        unroll_len: int | None = None,
        start_state: str = "stored",
        burnin_len: int = 0,
        seed: int = 0,
        priorities: Priorities | None = None,
        pinned: bool = False,
    ) -> None:
        if capacity < 1:
            raise ConfigError(f"replay_buffer_size: {capacity}. Right is 1 or more.")
        if unroll_len is not None and unroll_len < 1:
            raise ConfigError(f"unroll_len: {unroll_len}. Right is 1 or more, or None for whole episodes.")
        if start_state not in ("stored", "zero"):
            raise ConfigError(f"start_state: '{start_state}'. Right is 'stored' or 'zero'.")
        if burnin_len < 0 or (burnin_len and unroll_len is None):
            raise ConfigError(f"burnin_len: {burnin_len}. Right is 0 or more; for whole episodes (no unroll_len) 0.")
        super().__init__(info, agent_input, hidden_shape, pinned)
        self.capacity = capacity
        self.plan = MemoryPlan(
            capacity, info, unroll_len, self.hidden_shape if unroll_len and start_state == "stored" else ()
        )
        self.plan.check()
        self.unroll_len = unroll_len
        self.start_state = start_state
        self.burnin_len = burnin_len
        self._episodes: deque[StoredEpisode] = deque()
        self._num_units = 0
        self._num_steps = 0
        self._nbytes = 0
        self._unit_end: np.ndarray | None = None  # (episodes,) units up to and including each; None: not counted yet
        self._rng = np.random.default_rng(seed)
        self._priorities = priorities
        self._sampled: np.ndarray | None = None  # units of the last sample, while their indices are valid

    # ----------------------------------------------------------------------------------------------------- contents

    def __len__(self) -> int:
        """Number of sampling units: episodes, or windows."""
        return self._num_units

    @property
    def num_episodes(self) -> int:
        """Number of finished episodes."""
        return len(self._episodes)

    @property
    def num_steps(self) -> int:
        """Number of steps in finished episodes."""
        return self._num_steps

    @property
    def nbytes(self) -> int:
        """Bytes of finished episodes."""
        return self._nbytes

    def memory_plan(self) -> str:
        return self.plan.text()

    def _piece_len(self) -> int | None:
        """Steps between stored recurrent states; None if none are stored."""
        return self.unroll_len if self.start_state == "stored" else None

    # ------------------------------------------------------------------------------------------------------ writing

    def open(self, num_envs: int) -> None:
        self._open = OpenEpisodes(self.info, num_envs, self.hidden_shape, self._piece_len(), self.burnin_len)

    @property
    def wants_hidden(self) -> bool:
        return self._piece_len() is not None

    def finish(self, env_ids: np.ndarray, terminated: np.ndarray) -> None:
        for env in env_ids:
            self.add(self._opened().finish(env, terminated[env]))

    def add(self, episode: StoredEpisode) -> None:
        """Add one finished episode; drops the oldest if the buffer is full."""
        self._episodes.append(episode)
        self._count(episode, 1)
        if self._priorities is not None:
            self._priorities.append(self._units_of(episode))
        while self._num_units > self.capacity and len(self._episodes) > 1:
            oldest = self._episodes.popleft()
            self._count(oldest, -1)
            if self._priorities is not None:
                self._priorities.drop(self._units_of(oldest))
        self._sampled = None

    def _count(self, episode: StoredEpisode, sign: int) -> None:
        self._num_units += sign * self._units_of(episode)
        self._num_steps += sign * episode.length
        self._nbytes += sign * episode.nbytes
        self._unit_end = None

    def _units_of(self, episode: StoredEpisode) -> int:
        return 1 if self.unroll_len is None else -(-episode.length // self.unroll_len)

    # ----------------------------------------------------------------------------------------------------- sampling

    def sample(self, batch_size: int) -> EpisodeBatch:
        """Draw B sampling units without replacement, uniformly or by priority; the batch is cut to the longest of them.

        The next call overwrites the batch: clone what you keep.

        Raises:
            BatchError: there are fewer units than requested.
        """
        if batch_size < 1 or not self.can_sample(batch_size):
            raise BatchError(f"batch_size: {batch_size}. The replay buffer holds {len(self)} units now. Collect more.")
        if self._priorities is None:
            units, weight = self._rng.choice(len(self), batch_size, replace=False), None
        else:
            units, weight = self._priorities.draw(self._rng, batch_size)
        self._sampled = units
        batch = self.gather(units)
        if weight is not None:
            batch.weight.copy_(torch.from_numpy(weight))
        return batch

    def update_priority(self, priority: np.ndarray) -> None:
        if self._priorities is None:
            raise BatchError(
                "update_priority: this replay buffer samples uniformly. Give it priorities when it is made."
            )
        if self._sampled is None:
            raise BatchError("update_priority: the buffer has changed since the last sample. Update before collecting.")
        if priority.shape != self._sampled.shape or not np.isfinite(priority).all() or priority.min() < 0:
            raise BatchError(
                f"update_priority: {priority.shape} numbers from {priority.min()}. "
                f"Right is {self._sampled.shape}, finite, 0 or more."
            )
        self._priorities.update(self._sampled, priority)

    def can_sample(self, batch_size: int) -> bool:
        return batch_size <= len(self)

    def _unit_ends(self) -> np.ndarray:
        """(episodes,) int64: units up to and including each episode."""
        if self._unit_end is None:
            self._unit_end = np.cumsum([self._units_of(episode) for episode in self._episodes], dtype=np.int64)
        return self._unit_end

    def gather(self, units: np.ndarray) -> EpisodeBatch:
        """Build the batch of the given units (B,) int, from 0 (oldest) to ``len(self) - 1``."""
        return self._build([self._locate(int(unit)) for unit in units])

    def _locate(self, unit: int) -> Piece:
        """A sampling unit."""
        if self.unroll_len is None:
            return Piece(self._episodes[unit], 0, self._episodes[unit].length)
        unit_end = self._unit_ends()
        index = int(np.searchsorted(unit_end, unit, side="right"))
        episode = self._episodes[index]
        number = unit - int(unit_end[index]) + self._units_of(episode)
        first = number * self.unroll_len
        start = max(first - self.burnin_len, 0)
        hidden = episode.hidden[number] if len(episode.hidden) else None
        return Piece(episode, start, min(first + self.unroll_len, episode.length), first - start, hidden)

    # ------------------------------------------------------------------------------------------------------- resume

    def state_dict(self) -> dict[str, Any]:
        """The complete buffer: finished and open episodes, and the random state of the sampling.

        The packed rows are returned without a copy, so that a checkpoint does not double the memory. Write them to disk
        before using the buffer again.
        """
        episodes = self._episodes
        names = ("row_start", "action", "reward", "hidden")
        return {
            "layout": self._layout(),
            "words": [episode.words for episode in episodes],
            "length": np.array([episode.length for episode in episodes], np.int64),
            "pieces": np.array([len(episode.hidden) for episode in episodes], np.int64),
            "terminated": np.array([episode.terminated for episode in episodes], bool),
            **{name: np.concatenate([getattr(e, name) for e in episodes]) if episodes else None for name in names},
            "num_envs": None if self._open is None else self._open.num_envs,
            "open": None if self._open is None else self._open.state_dict(),
            "rng": self._rng.bit_generator.state,
            "priorities": None if self._priorities is None else self._priorities.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned; sampling continues bit for bit.

        Raises:
            BatchError: the state is from another environment or another kind of sampling unit.
        """
        if list(state["layout"]) != self._layout():
            raise BatchError(f"replay buffer state: layout {list(state['layout'])}. Right is {self._layout()}.")
        self._episodes.clear()
        self._num_units = self._num_steps = self._nbytes = 0
        at = row = piece = 0
        counts = [state[name].tolist() for name in ("length", "pieces", "terminated")]
        for words, length, pieces, terminated in zip(state["words"], *counts, strict=True):
            self.add(
                StoredEpisode(
                    words,
                    state["row_start"][row : row + length + 1],
                    state["action"][at : at + length],
                    state["reward"][at : at + length],
                    state["hidden"][piece : piece + pieces],
                    terminated,
                )
            )
            at, row, piece = at + length, row + length + 1, piece + pieces
        if state["open"] is not None:
            self.open(state["num_envs"])
            self._opened().load_state_dict(state["open"])
        self._rng.bit_generator.state = state["rng"]
        if self._priorities is not None:
            self._priorities.load_state_dict(state["priorities"])

    def _layout(self) -> list[Any]:
        unit = [self.capacity, self.unroll_len, self.start_state, self.burnin_len, *self.hidden_shape]
        unit.append("uniform" if self._priorities is None else "priority")
        info = dict(zip([field.name for field in fields(self.info)], astuple(self.info), strict=True))
        # These do not change what is stored, and older files lack them.
        for name in ("is_drawn", "labels", "state_entities", "tasks"):
            del info[name]
        return [*info.values(), *unit]

    def check_valid(self) -> None:
        """Compare the counters with the episodes, for tests and debugging; a BatchError names a wrong one."""
        counted = {
            "_num_units": sum(self._units_of(e) for e in self._episodes),
            "_num_steps": sum(e.length for e in self._episodes),
            "_nbytes": sum(e.nbytes for e in self._episodes),
        }
        for name, value in counted.items():
            if getattr(self, name) != value:
                raise BatchError(f"replay buffer: {name} is {getattr(self, name)}. Right is {value}.")
        if self._priorities is not None and len(self._priorities.values) != self._num_units:
            raise BatchError(f"replay buffer: {len(self._priorities.values)} priorities for {self._num_units} units.")
        if self._num_units > self.capacity and len(self._episodes) > 1:
            raise BatchError(f"replay buffer: {self._num_units} units. Right is at most {self.capacity}.")
        for number, episode in enumerate(islice(self._episodes, len(self._episodes))):
            rows = len(episode.row_start)
            if not rows - 1 == len(episode.action) == len(episode.reward) > 0:
                raise BatchError(f"replay buffer: episode {number} has {rows} rows and {episode.length} steps.")
