"""How many cores there are, and how to keep a process to one."""

from __future__ import annotations

import os

#: Environment variables for a process that should use one core, so that its thread pools leave the others alone.
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")}


def usable_cores() -> int:
    """Processor cores that this process may use: on Linux those of its affinity mask, elsewhere all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
