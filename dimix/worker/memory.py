"""How much memory there is, in words that fit an error message."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def available_memory() -> int | None:
    """Bytes that can be allocated without swapping, container limits included; None where the system does not say."""
    found = [value for value in (_meminfo_available(), _cgroup_available()) if value is not None]
    return min(found) if found else None


def format_bytes(size: float) -> str:
    """A size with a unit: ``1.9 GB`` (decimal)."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _meminfo_available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    kilobytes = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return kilobytes[0] * 1024 if kilobytes else None


def _cgroup_available() -> int | None:
    root = Path("/sys/fs/cgroup")
    try:
        limit, used = (root / "memory.max").read_text().strip(), (root / "memory.current").read_text().strip()
    except OSError:
        return None
    return None if limit == "max" else max(int(limit) - int(used), 0)


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
