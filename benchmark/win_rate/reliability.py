"""How sure is a win? Ten seeds in two kinds of arithmetic on six maps: the zoo's recipe beside QMIX as published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.arithmetic import AS_IT_IS
from benchmark.markdown import percent, table
from benchmark.win_rate.cells import MapCell, own_env_steps
from benchmark.win_rate.rows import cell_of
from benchmark.win_rate.summary import win_rates
from dimix.machine.text import short
from dimix.plot.table import GOOD, LAST, learned_at

MAPS = ("3m", "2s3z", "5m_vs_6m", "3s5z", "MMM", "MMM2")
#: The recipes that are compared, and their algorithms.
RECIPES = {"the zoo's": "qmix", "as published": "published"}
ARITHMETIC = (AS_IT_IS, "avx2")
SEEDS = range(10)
CELLS = [
    MapCell(map=name, algo=algo, env_steps=own_env_steps(name, algo, "smaclite"), seed=seed, arithmetic=arithmetic)
    for seed in SEEDS
    for arithmetic in ARITHMETIC
    for algo in RECIPES.values()
    for name in MAPS
]

Row = Mapping[str, Any]


def runs_by_recipe(rows: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    """Group the rows of `CELLS` by map and recipe, in the order of the table; without those that have none."""
    labels = {algo: label for label, algo in RECIPES.items()}
    known, found = set(CELLS), dict[tuple[str, str], list[Row]]()
    for row in rows:
        cell = cell_of(row)
        if isinstance(cell, MapCell) and cell in known:
            found.setdefault((cell.map, labels[cell.algo]), []).append(row)
    order = [(name, label) for name in MAPS for label in RECIPES]
    return {key: found[key] for key in order if key in found}


def figures(row: Row) -> dict[str, float]:
    """Return the figures of one run.

    Returns:
        steps, cpu_seconds: at the fifth evaluation in a row with 0.95 or more, infinite if that never happened;
        kept: share of the evaluations after it at 0.95 or more, NaN without any; won, jitter: mean of the last ten,
        from the map's own start and from moved ones.
    """
    won, evaluations = win_rates(row), row["evaluations"]
    at = learned_at(won, GOOD)
    after = won[at + 1 :] if at is not None else won[:0]
    return {
        "steps": np.inf if at is None else evaluations["env_step"][at],
        "cpu_seconds": np.inf if at is None else evaluations["cpu_seconds"][at],
        "kept": float((after >= GOOD).mean()) if len(after) else np.nan,
        "won": float(won[-LAST:].mean()),
        "jitter": float(win_rates(row, jitter=True)[-LAST:].mean()),
    }


def reliability_table(found: Mapping[tuple[str, str], Sequence[Row]]) -> str:
    """Format a line per map and recipe, as Markdown."""
    lines = []
    for (name, label), rows in found.items():
        runs = {key: np.array([figures(row)[key] for row in rows]) for key in figures(rows[0])}
        kept = runs["kept"][np.isfinite(runs["kept"])]
        lines.append([
            name,
            label,
            f"{np.isfinite(runs['steps']).sum()} of {len(rows)}",
            *quantiles(runs["steps"], short),
            *quantiles(runs["cpu_seconds"], lambda seconds: f"{seconds:.0f}"),
            percent(kept.mean()) if len(kept) else "-",
            percent(runs["won"].mean()),
            f"{percent(runs['jitter'].mean())} ({percent(runs['jitter'].min())})",
        ])  # fmt: skip
    names = ("map", "recipe", "runs that won", "env steps, median", "90 %", "processor s, median", "90 %", "kept")
    return table((*names, "last ten", "from moved starts (worst run)"), lines, left=2)


def quantiles(values: np.ndarray, shown: Any) -> tuple[str, str]:
    """Median and 90th percentile over all runs, those that never got there included."""
    found = (np.quantile(values, q, method="higher") for q in (0.5, 0.9))
    median, high = (shown(value) if np.isfinite(value) else "never" for value in found)
    return median, high
