"""Available memory."""

from __future__ import annotations

from pathlib import Path

import psutil


def available_memory() -> int:
    """Bytes that can be allocated without swapping, within a container's limit."""
    free = int(psutil.virtual_memory().available)
    limit = _cgroup_available()
    return free if limit is None else min(free, limit)


def _cgroup_available() -> int | None:
    root = Path("/sys/fs/cgroup")
    try:
        limit, used = (root / "memory.max").read_text().strip(), (root / "memory.current").read_text().strip()
    except OSError:
        return None
    return None if limit == "max" else max(int(limit) - int(used), 0)
