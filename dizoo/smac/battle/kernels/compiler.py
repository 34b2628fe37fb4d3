"""How kernels are compiled: one set of options, and an on-disk cache that notices changes in any kernel file."""

from __future__ import annotations

import contextlib
import hashlib
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from llvmlite.binding import get_host_cpu_name
from numba import njit

_HERE = Path(__file__).parent
_CONSTANTS = [
    _HERE.parent / "maps" / name for name in ("generator.py", "layout.py", "rules.py", "scenario.py", "units.py")
]
#: Files that determine the machine code: every file of this folder, and those whose constants they use.
KERNEL_FILES = (*sorted(_HERE.glob("*.py")), *_CONSTANTS)

_OPTIONS = {
    "error_model": "numpy",  # IEEE division, without exception branches
    "_nrt": False,  # no reference counts (a call would count every array of its tables), hence no allocation
}

#: Compiles a function into its callers: passing the map's tables would cost more than most functions do.
inlined = njit(forceinline=True, **_OPTIONS)

#: Compiles a large, rarely called function on its own.
outlined = njit(**_OPTIONS)


def source_digest() -> str:
    """Return a hash of all kernel sources, 64 hexadecimal digits.

    Numba's cache checks only the file of the cached function, not of the functions it calls. Drivers therefore close
    over this digest, which makes it part of the cache key: editing any kernel file recompiles the drivers.
    """
    digest = hashlib.sha256()
    for file in KERNEL_FILES:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def cached_driver(make: Callable[[str], Callable[..., Any]]) -> Any:
    """Compile a driver on its first call, cached on disk; it runs without the interpreter lock.

    Args:
        make: takes the digest and returns the function to compile, which must refer to the digest.
    """
    function = make(source_digest())
    try:
        return njit(nogil=True, cache=True, **_OPTIONS)(function)
    except RuntimeError:  # numba finds no writable folder for its cache
        return njit(nogil=True, **_OPTIONS)(function)


def compiled_marker(driver: Any) -> Path | None:
    """Path of the file that marks this source as compiled for this Python, numba and processor.

    It lies in numba's cache and may not exist. None if this machine has no place for a cache.

    Args:
        driver: a function made by `cached_driver`.
    """
    if driver.stats.cache_path is None:
        return None
    versions = f"py{platform.python_version()}-numba{numba.__version__}-{get_host_cpu_name()}"
    return Path(driver.stats.cache_path) / f"battle-{source_digest()[:16]}-{versions}.compiled"


def mark_compiled(driver: Any) -> None:
    """Create the marker, unless there is no writable cache.

    Args:
        driver: a compiled function made by `cached_driver`.
    """
    marker = compiled_marker(driver)
    if marker is not None:
        with contextlib.suppress(OSError):
            marker.touch()
