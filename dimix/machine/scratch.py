"""Memory that is used again and again."""

from __future__ import annotations

import numpy as np


class Workspace:
    """Arrays whose memory is kept between uses: a fresh large array costs a page fault every 4 kB.

    ``view(name, shape, dtype)`` gives the same memory under the same name each time, grown where it is too small; its
    content is whatever was there.
    """

    def __init__(self) -> None:
        self._memory: dict[str, np.ndarray] = {}

    def view(self, name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        """A C-contiguous array of this shape and dtype over the memory kept under a name."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        memory = self._memory.get(name)
        if memory is None or memory.size < size:
            memory = self._memory[name] = np.empty(max(size, 1), np.uint8)
        return memory[:size].view(dtype).reshape(shape)
