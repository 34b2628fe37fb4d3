"""Reusable scratch memory."""

from __future__ import annotations

import numpy as np


class Workspace:
    """Arrays whose memory is reused: a fresh large array costs a page fault every 4 kB.

    ``view(name, shape, dtype)`` returns the same memory for the same name each time, enlarged if needed, with
    arbitrary content.
    """

    def __init__(self) -> None:
        self._memory: dict[str, np.ndarray] = {}

    def view(self, name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        """A C-contiguous array of this shape and dtype in the memory of a name."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        memory = self._memory.get(name)
        if memory is None or memory.size < size:
            memory = self._memory[name] = np.empty(max(size, 1), np.uint8)
        return memory[:size].view(dtype).reshape(shape)
