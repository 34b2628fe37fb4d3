"""Reusable scratch memory."""

from __future__ import annotations

import numpy as np


class Workspace:
    """Arrays whose memory is reused: a fresh large array costs a page fault every 4 kB.

    ``view(name, shape, dtype)`` returns the same memory for the same name each time, enlarged if needed, with
    arbitrary content.

    Args:
        pinned: in page-locked memory, from which a CUDA device copies without waiting.
    """

    def __init__(self, pinned: bool = False) -> None:
        self._memory: dict[str, np.ndarray] = {}
        self._pinned = pinned

    def view(self, name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        """A C-contiguous array of this shape and dtype in the memory of a name."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        memory = self._memory.get(name)
        if memory is None or memory.size < size:
            memory = self._memory[name] = self._new(max(size, 1))
        return memory[:size].view(dtype).reshape(shape)

    def _new(self, size: int) -> np.ndarray:
        if not self._pinned:
            return np.empty(size, np.uint8)
        import torch

        return torch.empty(size, dtype=torch.uint8, pin_memory=True).numpy()
