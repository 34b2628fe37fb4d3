"""The memory that a replay buffer will take, computed before it is allocated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dimix.envs.vec_env import EnvInfo
from dimix.errors import ConfigError
from dimix.machine.memory import available_memory
from dimix.machine.text import format_bytes
from dimix.replay.row_codec import max_row_words

#: Packed size of an episode relative to plain arrays: 0.14 to 0.37 on SMAC's maps (benchmark/speed/replay_memory.py).
PACKED_SHARE = 0.35
#: Episode length relative to the time limit: 0.07 to 0.53 there, more while a team has only learned to survive.
EXPECTED_LENGTH = 0.5


@dataclass(frozen=True)
class MemoryPlan:
    """Sizes of a full replay buffer.

    Attributes:
        capacity: sampling units: episodes, or windows with ``unroll_len``.
        info: sizes of the environment.
        unroll_len: steps of a window; None for whole episodes.
        hidden_shape: shape of the recurrent state stored with each window; () if none is.
    """

    capacity: int
    info: EnvInfo
    unroll_len: int | None = None
    hidden_shape: tuple[int, ...] = ()

    @property
    def plain_row_bytes(self) -> int:
        """Bytes of one row as plain arrays: float32 values, one byte per flag."""
        info = self.info
        values = info.agent_num * info.obs_shape + info.state_size
        return 4 * values + info.agent_num * (info.action_shape + 1)

    @property
    def expected(self) -> int:
        """Expected size in bytes."""
        share = EXPECTED_LENGTH if self.unroll_len is None else 1.0
        return self._bytes(max(share * self._longest, 1.0), self.plain_row_bytes * PACKED_SHARE)

    @property
    def at_most(self) -> int:
        """Size in bytes if every episode reaches its limit and nothing can be packed."""
        info = self.info
        words = max_row_words(info.agent_num, info.obs_shape, info.state_size, info.action_shape)
        return self._bytes(self._longest, 4.0 * words)

    def text(self) -> str:
        """The plan in one line."""
        unit = "episodes" if self.unroll_len is None else f"windows of {self.unroll_len} steps"
        return (
            f"replay buffer: {self.capacity} {unit} of {self.info.name}, about {format_bytes(self.expected)} when "
            f"full, never more than {format_bytes(self.at_most)} ({format_bytes(available_memory())} available)"
        )

    def check(self) -> None:
        """Reject a buffer that this machine cannot hold.

        Raises:
            ConfigError: with both numbers, and the capacity that would fit.
        """
        available = available_memory()
        if self.expected > available:
            raise ConfigError(
                f"replay_buffer_size: {self.capacity} needs about {format_bytes(self.expected)} on {self.info.name}, "
                f"{format_bytes(available)} are available. "
                f"Right is at most {self.capacity * available // self.expected}."
            )

    @property
    def _longest(self) -> float:
        limit = self.info.episode_limit
        return float(limit if self.unroll_len is None else min(self.unroll_len, limit))

    def _bytes(self, steps: float, row_bytes: float) -> int:
        step_bytes = (
            self.info.agent_num * (1 if self.info.action_shape <= 256 else 2) + 4 + 4
        )  # action, reward, row start
        hidden = 4 * int(np.prod(self.hidden_shape)) if self.hidden_shape else 0
        return int(self.capacity * ((steps + 1) * (row_bytes + step_bytes) + hidden))
