"""How kernels are compiled: by numba, without the GIL, and cached on disk if possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba.core.dispatcher import Dispatcher

#: Fused multiply-adds; NaN and infinity keep their meaning.
FASTMATH = {"contract", "nsz", "arcp"}


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorator that compiles a function on its first call.

    The machine code is cached next to the source, in the user's cache folder, or in ``NUMBA_CACHE_DIR``. If none of
    them is writable (a container with a read-only package and no home), every process compiles again.

    Args:
        **options: numba's other options (``fastmath``, ``error_model``).

    Returns:
        The decorator. The compiled function may be called from several threads at once.

    Raises:
        TypeError: the function refers to a compiled one of an enclosing function.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        helpers = [cell.cell_contents for cell in function.__closure__ or ()]
        if any(isinstance(helper, Dispatcher) for helper in helpers):
            raise TypeError(
                f"{function.__qualname__} calls a compiled function of an enclosing function, which numba takes for a "
                "new one in every process: the cache would never serve. Define it on the module's level."
            )
        try:
            return numba.njit(nogil=True, cache=True, **options)(function)
        except RuntimeError:  # numba finds no writable folder for its cache
            return numba.njit(nogil=True, **options)(function)

    return decorate
