"""What all buffers share: they take the steps of all games as they are played, and give batches to learn from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from dimix.envs.agent_input import AgentInput
from dimix.envs.vec_env import EnvInfo
from dimix.errors import BatchError
from dimix.replay.batch import EpisodeBatch
from dimix.replay.open_episodes import OpenEpisodes, Rows
from dimix.replay.pieces import BatchBuilder


class StepStore(ABC):
    """Holds the running episodes of all games (``open``, ``begin``, ``append``, ``finish``).

    Args:
        info: sizes of the environment.
        agent_input: writes last action and agent id into the sampled observations.
        hidden_shape: shape of one game's recurrent state (A, H); None: agents without memory.
        pinned: whether batches are for a CUDA device, and lie in page-locked memory.
    """

    def __init__(
        self,
        info: EnvInfo,
        agent_input: AgentInput,
        hidden_shape: tuple[int, ...] | None = None,
        pinned: bool = False,
    ) -> None:
        self.info = info
        self.agent_input = agent_input
        self.hidden_shape = tuple(hidden_shape) if hidden_shape is not None else (info.agent_num, 0)
        self._build = BatchBuilder(info, agent_input, self.hidden_shape[-1], pinned)
        self._open: OpenEpisodes | None = None

    @property
    @abstractmethod
    def wants_hidden(self) -> bool:
        """Whether ``append`` needs the recurrent states."""

    @abstractmethod
    def memory_plan(self) -> str:
        """What is kept, in one line."""

    @abstractmethod
    def open(self, num_envs: int) -> None:
        """Make room for the running episodes of this many games; drops those of an earlier call."""

    def begin(self, env_ids: np.ndarray, rows: Rows) -> None:
        """Begin an episode in each given game with its first row."""
        self._opened().begin(env_ids, rows)

    def append(
        self,
        env_ids: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        rows: Rows,
        hidden: np.ndarray | None = None,
    ) -> None:
        """Write one step of each given game.

        Args:
            env_ids: (K,) int64, games to write; the arrays below cover all E games.
            action: (E, A) integer, actions taken.
            reward: (E,) float, reward received.
            rows: state of the games after the step.
            hidden: (E, A, H) float32, recurrent state after acting; required if ``wants_hidden``.

        Raises:
            BatchError: a game has no open episode, its episode exceeds the limit, or ``hidden`` is missing.
        """
        self._opened().append(env_ids, action, reward, rows, hidden)

    @abstractmethod
    def finish(self, env_ids: np.ndarray, terminated: np.ndarray) -> None:
        """Close the open episodes of the given games, in this order.

        Args:
            env_ids: (K,) int64.
            terminated: (E,) bool, False for episodes that were cut by the time limit.
        """

    @abstractmethod
    def can_sample(self, batch_size: int) -> bool:
        """Whether there are enough units for a batch."""

    @abstractmethod
    def sample(self, batch_size: int) -> EpisodeBatch:
        """A batch of this many units. The next call overwrites it: clone what you keep.

        Raises:
            BatchError: there are fewer units than requested.
        """

    def update_priority(self, priority: np.ndarray) -> None:
        """Set the priorities (B,) float, >= 0, of the units in the last sample.

        Raises:
            BatchError: the buffer samples uniformly, has changed since the last sample, or the numbers do not fit.
        """
        raise BatchError("update_priority: this buffer has no priorities.")

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything that determines the next samples."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned.

        Raises:
            BatchError: the state is from another environment or another kind of sampling unit.
        """

    def _opened(self) -> OpenEpisodes:
        if self._open is None:
            raise BatchError("replay buffer: no open episodes. Call open(num_envs) before writing.")
        return self._open
