"""Combine several seeds into one line with a band, on a common time axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np

_POINTS = 200  # points on a band's time axis
#: 97.5 % quantile of Student's t for 1 to 9 degrees of freedom, where the series below is not accurate.
_STUDENT_T = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622)

Edges = tuple[np.ndarray, np.ndarray, np.ndarray]


def mean_interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of values (seeds, ...), and half the width of its 95 % interval by Student's t; NaN for a single seed."""
    mean, n = values.mean(0), len(values)
    if n == 1:
        return mean, np.full_like(mean, np.nan)
    return mean, student_t(n - 1) * values.std(0, ddof=1) / np.sqrt(n)


def student_t(freedom: int) -> float:
    """97.5 % quantile of Student's t for ``freedom`` >= 1, accurate to 0.0002 (Abramowitz and Stegun 26.7.5)."""
    if freedom <= len(_STUDENT_T):
        return _STUDENT_T[freedom - 1]
    z = NormalDist().inv_cdf(0.975)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


def _ci(values: np.ndarray) -> Edges:
    mean, half = mean_interval(values)
    return mean, mean - half, mean + half


def _quartiles(values: np.ndarray) -> Edges:
    low, median, high = np.percentile(values, [25, 50, 75], axis=0)
    return median, low, high


def _minmax(values: np.ndarray) -> Edges:
    return values.mean(0), values.min(0), values.max(0)


def _none(values: np.ndarray) -> Edges:
    return (values.mean(0),) * 3


#: Kinds of bands by name: a description, and a function from (seeds, P) values to centre, lower and upper edge.
BANDS: dict[str, tuple[str, Callable[[np.ndarray], Edges]]] = {
    "minmax": ("mean of the seeds, band from the lowest to the highest", _minmax),
    "ci": ("mean of the seeds, band: its 95 % interval (Student's t)", _ci),
    "quartiles": ("median of the seeds, band from the 25 % to the 75 % quantile", _quartiles),
    "none": ("mean of the seeds", _none),
}


def band(
    curves: Sequence[tuple[np.ndarray, np.ndarray]], kind: str = "minmax"
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Put several runs on one time axis, up to the end of the shortest.

    Args:
        curves: time (ascending) and value of each run, at least one row each.
        kind: one of `BANDS`.

    Returns:
        Time, centre, lower and upper edge, (P,) each; a single run keeps its own points.
    """
    if len(curves) == 1:
        time, value = curves[0]
        return time, value, value, value
    time, values = on_one_axis(curves)
    return time, *BANDS[kind][1](values)


def on_one_axis(curves: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate several runs at the same times, up to the end of the shortest: (P,) times and (runs, P) values."""
    first, last = max(t[0] for t, _ in curves), min(t[-1] for t, _ in curves)
    time = np.linspace(first, max(first, last), _POINTS)
    return time, np.stack([np.interp(time, t, v) for t, v in curves])


def running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Mean of each value (P,) and those before it, at most ``width`` in all; the first means use fewer."""
    sums = np.convolve(values, np.ones(width))[: len(values)]
    return sums / np.minimum(np.arange(1, len(values) + 1), width)
