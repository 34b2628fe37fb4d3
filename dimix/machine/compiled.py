"""How kernels are compiled: by numba, free of the interpreter lock, and kept on disk where there is room for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A decorator that compiles a function at its first call.

    The machine code is cached beside the source, in the user's cache folder, or where ``NUMBA_CACHE_DIR`` says. Where
    none of them can be written (a container with a read-only package and no home), every process compiles anew.

    Args:
        **options: numba's other options (``fastmath``, ``error_model``).

    Returns:
        The decorator; what it returns is called like the function, from several threads at once if need be.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(nogil=True, cache=True, **options)(function)
        except RuntimeError:  # numba finds no folder that it could write its cache to
            return numba.njit(nogil=True, **options)(function)

    return decorate
