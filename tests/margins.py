"""A plugin that tells how close the numeric comparisons of each test come to failing: ``pytest -p tests.margins``.

For each test the largest share of its tolerance that an error took (1 is the limit) becomes a property ``margin`` of
the JUnit report. Watched are ``torch.testing.assert_close``, ``numpy.testing.assert_allclose`` and ``pytest.approx``;
a test of a threshold adds its own with the fixture ``margin``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

_Scalar = type(pytest.approx(1.0))
_exact_eq = _Scalar.__eq__
_assert_close, _assert_allclose = torch.testing.assert_close, np.testing.assert_allclose

_shares: list[float] = []


def _note(actual: Any, expected: Any, rtol: float, atol: float) -> None:
    """Remember the largest share of ``atol + rtol * |expected|`` that a difference takes."""
    found, right = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    error, allowed = np.abs(found - right), atol + rtol * np.abs(right)
    finite = np.isfinite(error) & (allowed > 0)  # a tolerance of 0 asks for equality: no margin to tell
    if finite.any():
        _shares.append(float((error[finite] / np.broadcast_to(allowed, error.shape)[finite]).max()))


def _approx_eq(self: Any, actual: Any) -> bool:
    equal = _exact_eq(self, actual)
    if equal and isinstance(actual, int | float | np.number) and isinstance(self.expected, int | float | np.number):
        _note(actual, self.expected, 0.0, self.tolerance)
    return equal


def _close(actual: Any, expected: Any, *, rtol: float | None = None, atol: float | None = None, **options: Any) -> None:
    _assert_close(actual, expected, rtol=rtol, atol=atol, **options)
    if isinstance(actual, torch.Tensor) and isinstance(expected, torch.Tensor) and actual.is_floating_point():
        usual = {torch.float64: (1e-7, 1e-7)}.get(actual.dtype, (1.3e-6, 1e-5))  # torch's own
        both = (rtol, atol) if rtol is not None and atol is not None else usual
        _note(actual.detach(), expected.detach(), *both)


def _allclose(actual: Any, desired: Any, rtol: float = 1e-7, atol: float = 0.0, *args: Any, **options: Any) -> None:
    _assert_allclose(actual, desired, rtol, atol, *args, **options)
    _note(actual, desired, rtol, atol)


def pytest_configure(config: pytest.Config) -> None:
    """Watch the comparisons."""
    _Scalar.__eq__ = _approx_eq  # type: ignore[method-assign]
    torch.testing.assert_close, np.testing.assert_allclose = _close, _allclose


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Write down how close a test came."""
    _shares.clear()
    yield
    if _shares:
        item.user_properties.append(("margin", max(_shares)))
