"""How the kernels are compiled: one set of options, and an on-disk cache that notices every edited kernel file."""

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
_CONSTANTS = [_HERE.parent / "maps" / name for name in ("layout.py", "rules.py", "scenario.py", "units.py")]
#: What goes into the machine code: every file of this folder, and those whose constants they use.
KERNEL_FILES = (*sorted(_HERE.glob("*.py")), *_CONSTANTS)

_OPTIONS = {
    "error_model": "numpy",  # division as IEEE says, without exception branches
    "_nrt": False,  # no reference counts (a call would count every array of its tables) and so no allocation
}

#: A function that becomes part of its callers: passing the tables of the map costs more than most functions do.
inlined = njit(forceinline=True, **_OPTIONS)

#: A function that stays one, being large and called rarely.
outlined = njit(**_OPTIONS)


def source_digest() -> str:
    """A hash of all kernel sources.

    Numba's cache looks only at the file of the cached function, not at the functions that it calls. A driver therefore
    closes over this digest, which makes it part of the cache key: after an edit of any kernel file the drivers are
    compiled anew.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for file in KERNEL_FILES:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def cached_driver(make: Callable[[str], Callable[..., Any]]) -> Any:
    """Compile a driver, cached on disk; it runs without the interpreter lock.

    Args:
        make: takes the digest and returns the function to compile, which has to refer to the digest.

    Returns:
        The lazily compiled function: nothing is compiled before its first call.
    """
    function = make(source_digest())
    try:
        return njit(nogil=True, cache=True, **_OPTIONS)(function)
    except RuntimeError:  # numba finds no folder that it could write its cache to
        return njit(nogil=True, **_OPTIONS)(function)


def compiled_marker(driver: Any) -> Path | None:
    """The file beside numba's cache that says: this source was compiled here, for this Python, numba and processor.

    Args:
        driver: a function made by `cached_driver`.

    Returns:
        Its path, whether or not it exists; None if this machine has no place for a cache.
    """
    if driver.stats.cache_path is None:
        return None
    versions = f"py{platform.python_version()}-numba{numba.__version__}-{get_host_cpu_name()}"
    return Path(driver.stats.cache_path) / f"battle-{source_digest()[:16]}-{versions}.compiled"


def mark_compiled(driver: Any) -> None:
    """Leave the marker; without a writable cache there is none, and the kernels are compiled in every process.

    Args:
        driver: a function made by `cached_driver` that has been compiled.
    """
    marker = compiled_marker(driver)
    if marker is not None:
        with contextlib.suppress(OSError):
            marker.touch()
