"""Start positions: groups as small grids around their point, allies from the bottom left, enemies mirrored."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

GAP = 0.05
"""Cells between the edges of two neighbours in a group."""


def place_group(x: float, y: float, is_ally: bool, radii: Sequence[float]) -> np.ndarray:
    """Return the start positions of one group.

    The units fill a k x k grid row by row, k = ceil(sqrt(n)). A row is as high as its largest unit. The width used to
    centre the group omits the gaps, so a group is slightly off its point (as in SMAClite).

    Args:
        x: centre of the group.
        y: centre of the group.
        is_ally: allies fill from the bottom left upwards, enemies from the top right downwards.
        radii: (n,) radius of each unit in placement order.

    Returns:
        (n, 2) float32; computed in double precision and rounded once.
    """
    n = len(radii)
    k = math.ceil(math.sqrt(n))
    rows = [list(radii[i * k : (i + 1) * k]) for i in range(k)]
    row_radius = [max(row, default=0.0) for row in rows]
    m = 1 if is_ally else -1
    left = x - m * max(sum(2 * r for r in row) for row in rows) / 2
    cy = y - m * (2 * sum(row_radius) + (k - 1) * GAP) / 2
    positions = []
    previous_row = 0.0
    for row, radius in zip(rows, row_radius, strict=True):
        cy += m * (previous_row + radius)
        previous_row = radius
        cx, previous = left, 0.0
        for r in row:
            cx += m * (previous + r)
            previous = r
            positions.append((cx, cy))
            cx += m * GAP
        cy += m * GAP
    return np.array(positions, dtype=np.float64).astype(np.float32).reshape(n, 2)
