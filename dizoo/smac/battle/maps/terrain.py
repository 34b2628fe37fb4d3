"""Grids of walkable cells: reading them, merging blocked cells into rectangles, and finding reachable cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dizoo.smac.battle.errors import MapError

WALKABLE, BLOCKED = ".", "#"
SMACLITE_WALKABLE, SMACLITE_BLOCKED = "_", "CX"


def parse_rows(
    where: str, rows: Any, width: int, height: int, *, top_first: bool, walkable: str, blocked: str
) -> np.ndarray:
    """Read a grid of characters into an array.

    Args:
        where: what the grid belongs to, for messages.
        rows: ``height`` strings (or lists of one-character cells) of ``width`` characters.
        width: cells in x.
        height: cells in y.
        top_first: the first row is the top of the map (largest y); else the bottom.
        walkable: characters of open cells.
        blocked: characters of blocked cells.

    Returns:
        (height, width) bool, row y = 0 first, True = walkable.

    Raises:
        MapError: a wrong number of rows or columns, or an unknown character.
    """
    if not isinstance(rows, Sequence) or isinstance(rows, str) or len(rows) != height:
        found = f"{len(rows)} rows" if isinstance(rows, Sequence) and not isinstance(rows, str) else repr(rows)
        raise MapError(f"{where}: terrain has {found}. Give {height} rows of {width} characters.")
    open_cells = np.zeros((height, width), dtype=np.bool_)
    for i, row in enumerate(rows):
        if not isinstance(row, str | list) or len(row) != width:
            found = f"{len(row)} cells" if isinstance(row, str | list) else repr(row)
            raise MapError(f"{where}: terrain row {i} has {found}. Give {width}.")
        for x, cell in enumerate(row):
            if not isinstance(cell, str) or len(cell) != 1 or cell not in walkable + blocked:
                known = f"'{walkable}' walkable, " + ", ".join(f"'{b}'" for b in blocked) + " blocked"
                raise MapError(f"{where}: terrain row {i} column {x} is {cell!r}. Known cells: {known}.")
            open_cells[height - 1 - i if top_first else i, x] = cell in walkable
    return open_cells


def merge_blocked(open_cells: np.ndarray) -> np.ndarray:
    """Cover the blocked cells with rectangles by one greedy scan from the bottom left.

    Each rectangle grows right first, then up, over blocked cells, even those that an earlier rectangle covers, so
    rectangles may overlap. Their order is part of the rules, because obstacles act in it.

    Returns:
        (R, 4) float64: x, y, width, height in order of discovery.
    """
    height, width = open_cells.shape
    visited = np.zeros_like(open_cells)
    rects: list[tuple[int, int, int, int]] = []
    for y in range(height):
        for x in range(width):
            if visited[y, x] or open_cells[y, x]:
                continue
            right = x + 1
            while right < width and not open_cells[y, right]:
                right += 1
            top = y + 1
            while top < height and not open_cells[top, x:right].any():
                top += 1
            visited[y:top, x:right] = True
            rects.append((x, y, right - x, top - y))
    return np.array(rects, dtype=np.float64).reshape(-1, 4)


def reachable(open_cells: np.ndarray, start: tuple[int, int]) -> np.ndarray:
    """Find the cells (H, W) bool that can be reached from ``start`` (x, y) by steps over edges, not corners.

    All False if the start itself is blocked.
    """
    height, width = open_cells.shape
    seen = np.zeros_like(open_cells)
    stack = [start] if open_cells[start[1], start[0]] else []
    while stack:
        x, y = stack.pop()
        if not (0 <= x < width and 0 <= y < height) or seen[y, x] or not open_cells[y, x]:
            continue
        seen[y, x] = True
        stack += [(x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)]
    return seen
