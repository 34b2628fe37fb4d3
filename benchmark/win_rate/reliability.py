"""How sure is a win? Ten seeds in two kinds of arithmetic on six maps: the zoo's recipe beside QMIX as published."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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


def summary(found: Mapping[tuple[str, str], Sequence[Row]]) -> list[dict[str, Any]]:
    """Return the figures of every map and recipe, as written to ``reliability.json``.

    Env steps and processor seconds are [median, 90th percentile] over all runs, None if those never won; win rates are
    means over runs, with the worst run's from moved starts. ``kept`` is None without an evaluation after a win.
    """
    lines = []
    for (name, label), rows in found.items():
        runs = {key: np.array([figures(row)[key] for row in rows]) for key in figures(rows[0])}
        kept = runs["kept"][np.isfinite(runs["kept"])]
        lines.append({
            "map": name,
            "recipe": label,
            "runs": len(rows),
            "won": int(np.isfinite(runs["steps"]).sum()),
            "env_steps": quantiles(runs["steps"]),
            "cpu_seconds": quantiles(runs["cpu_seconds"]),
            "kept": round(float(kept.mean()), 6) if len(kept) else None,
            "last_ten": round(float(runs["won"].mean()), 6),
            "moved": round(float(runs["jitter"].mean()), 6),
            "moved_worst": round(float(runs["jitter"].min()), 6),
        })  # fmt: skip
    return lines


def quantiles(values: np.ndarray) -> list[float | None]:
    """Median and 90th percentile over all runs, those that never got there included; None for never."""
    found = (round(float(np.quantile(values, q, method="higher")), 3) for q in (0.5, 0.9))
    return [value if np.isfinite(value) else None for value in found]


def reliability_table(lines: Sequence[Mapping[str, Any]]) -> str:
    """Format a line per map and recipe of `summary`, as Markdown."""
    cells = [
        (
            line["map"],
            line["recipe"],
            f"{line['won']} of {line['runs']}",
            *(shown(short, steps) for steps in line["env_steps"]),
            *(shown("{:.0f}".format, seconds) for seconds in line["cpu_seconds"]),
            "-" if line["kept"] is None else percent(line["kept"]),
            percent(line["last_ten"]),
            f"{percent(line['moved'])} ({percent(line['moved_worst'])})",
        )
        for line in lines
    ]
    names = ("map", "recipe", "runs that won", "env steps, median", "90 %", "processor s, median", "90 %", "kept")
    return table((*names, "last ten", "from moved starts (worst run)"), cells, left=2)


def readme_table(lines: Sequence[Mapping[str, Any]]) -> str:
    """Format what the first command of the README gives, a line per map, as Markdown."""
    cells = [
        (
            line["map"],
            f"{line['won']} of {line['runs']}",
            *(shown(short, steps) for steps in line["env_steps"]),
            *(shown(lambda seconds: f"{seconds / 60:.1f}", seconds) for seconds in line["cpu_seconds"]),
            percent(line["last_ten"]),
            percent(line["moved"]),
        )
        for line in lines
        if line["recipe"] == "the zoo's"
    ]
    names = ("map", "runs that won", "after env steps", "90 % after", "minutes of a core", "90 %")
    return table((*names, "% won, own start", "% won, moved starts"), cells)


def shown(format_value: Callable[[float], str], value: float | None) -> str:
    """Format a value; None is never."""
    return "never" if value is None else format_value(value)
