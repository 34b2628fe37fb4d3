"""How long until a team wins: from the start of the command to the fifth evaluation in a row at 0.95 or more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.markdown import span, table
from benchmark.win_rate.cells import make_cells
from benchmark.win_rate.rows import cell_of
from benchmark.win_rate.summary import time_to, win_rates
from dimix.plot.table import GOOD, IN_A_ROW

MAPS = ("3m", "2s3z", "5m_vs_6m", "3s5z", "MMM")
#: A run ends when its last five evaluations average 0.99: each of them then won at least 0.95.
STOP = "env.stop_value=0.99"
CELLS = make_cells(MAPS, ["qmix"], [0, 1, 2], ["smaclite"], [0.0], 1_000_000, options=(STOP,), until_won=True)

Row = Mapping[str, Any]


def ordered(rows: Iterable[Row]) -> list[Row]:
    """Sort the rows of `CELLS`, map by map."""
    mine = [row for row in rows if cell_of(row) in CELLS]
    return sorted(mine, key=lambda row: (MAPS.index(row["cell"]["map"]), row["cell"]["seed"]))


def seconds_to(row: Row, won: np.ndarray, level: float) -> float | None:
    """Seconds from the command to the first evaluation that won at least this much; None without one."""
    good = np.flatnonzero(won >= level)
    return row["training"]["start_up_s"] + row["evaluations"]["seconds"][good[0]] if len(good) else None


def figures(row: Row) -> dict[str, Any]:
    """Return a run's figures for the tables; times are None if it did not get there.

    Returns:
        first_s: seconds to the first evaluation at 0.95 or more; fifth_s and fifth_step: to the end of the first five
        in a row; stable: share of evaluations at 0.95 or more from the first one on; jitter_s: seconds to the first
        evaluation at 0.9 or more from jittered starts; last_won, last_jitter: mean of the last five.
    """
    won, jitter = win_rates(row), win_rates(row, jitter=True)
    start, fifth, good = row["training"]["start_up_s"], time_to(row, GOOD), won >= GOOD
    return {
        "first_s": seconds_to(row, won, GOOD),
        "fifth_s": fifth and start + fifth[1],
        "fifth_step": fifth and fifth[0],
        "stable": good[good.argmax() :].mean() if good.any() else None,
        "jitter_s": seconds_to(row, jitter, 0.9),
        "last_won": won[-IN_A_ROW:].mean(),
        "last_jitter": jitter[-IN_A_ROW:].mean(),
        "whole_s": start + row["training"]["seconds"],
    }


#: Columns of the table of runs, and the figure of each.
COLUMNS = {
    "first >= 0.95 (s)": ("first_s", ".0f"),
    "five in a row (s)": ("fifth_s", ".0f"),
    "env steps then": ("fifth_step", ".0f"),
    "stable after first": ("stable", ".2f"),
    "won, last 5": ("last_won", ".2f"),
    "jittered, last 5": ("last_jitter", ".2f"),
    "jittered >= 0.9 (s)": ("jitter_s", ".0f"),
    "whole run (s)": ("whole_s", ".0f"),
}


def runs_table(rows: Sequence[Row]) -> str:
    """Format a line per run, as Markdown."""
    lines = []
    for row in rows:
        found = figures(row)
        cells = ["-" if found[name] is None else format(found[name], form) for name, form in COLUMNS.values()]
        lines.append([row["cell"]["map"], str(row["cell"]["seed"]), *cells])
    return table(("map", "seed", *COLUMNS), lines)


def ranges_table(rows: Sequence[Row]) -> str:
    """Format a line per map, from the lowest to the highest of its seeds, as in the project's README."""
    lines = []
    for name in dict.fromkeys(row["cell"]["map"] for row in rows):
        seeds = [figures(row) for row in rows if row["cell"]["map"] == name]
        lines.append([
            name,
            span([f["first_s"] for f in seeds], "{:.0f}".format),
            span([f["fifth_s"] for f in seeds], "{:.0f}".format),
            span([f["fifth_step"] for f in seeds], lambda steps: f"{steps / 1000:.0f}k"),
            span([f["last_jitter"] for f in seeds], "{:.2f}".format),
        ])  # fmt: skip
    names = ("map", "first evaluation won (s)", "five in a row (s)", "env steps then", "won from moved starts")
    return table(names, lines)
