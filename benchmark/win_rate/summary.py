"""From rows to figures: one training run, the seeds of one experiment, many maps."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmark.arithmetic import AS_IT_IS
from benchmark.win_rate.cells import MapCell
from benchmark.win_rate.rows import cell_of, config_changes
from dimix.plot.table import LAST, learned_at

BOOTSTRAPS = 2000
MIN_SEEDS = 3


@dataclass(frozen=True)
class Experiment:
    """The seeds of one experiment.

    Attributes:
        cell: the seeds' common cell, with the first one's seed.
        rows: by seed, ascending.
    """

    cell: MapCell
    rows: tuple[Mapping[str, Any], ...]

    @property
    def seeds(self) -> list[int]:
        """Seeds with a row."""
        return [row["cell"]["seed"] for row in self.rows]

    def last_ten(self, jitter: bool = False) -> np.ndarray:
        """(seeds,) mean win rate over each seed's last ten evaluations, from nominal or jittered starts."""
        return np.array([win_rates(row, jitter)[-LAST:].mean() for row in self.rows])

    def final(self, kind: str) -> np.ndarray:
        """(seeds,) win rate of each seed's final games of one kind."""
        return np.array([row["final"][kind]["games_won"] / row["final"][kind]["games_played"] for row in self.rows])

    def distinct(self, kind: str) -> np.ndarray:
        """(seeds,) number of different games among each seed's final games of one kind."""
        return np.array([row["final"][kind]["distinct_games"] for row in self.rows])

    def mixed(self) -> list[str]:
        """Config keys in which the seeds differ: if any, code changed between them and they are not one sample."""
        first = self.rows[0]["config"]
        return sorted({key for row in self.rows[1:] for key in config_changes(first, row["config"])})

    def best_single(self) -> float:
        """The best single evaluation of any seed: as in DI-engine's tables, not an estimate of anything."""
        return max(float(win_rates(row).max()) for row in self.rows)

    def reached(self, level: float) -> list[tuple[int, float] | None]:
        """Env steps and seconds to a level, by seed; see `time_to`."""
        return [time_to(row, level) for row in self.rows]


def win_rates(row: Mapping[str, Any], jitter: bool = False) -> np.ndarray:
    """(evaluations,) share of games won; NaN from jittered starts if a run played none."""
    evaluations, suffix = row["evaluations"], "_jitter" * jitter
    if f"games_won{suffix}" not in evaluations:
        return np.full(len(evaluations["env_step"]), np.nan)
    return np.divide(evaluations[f"games_won{suffix}"], evaluations[f"games_played{suffix}"])


def time_to(row: Mapping[str, Any], level: float) -> tuple[int, float] | None:
    """Env steps and seconds to the last of the first five evaluations in a row that each won at least ``level``.

    Seconds include evaluations. None if it never happened.
    """
    at, evaluations = learned_at(win_rates(row), level), row["evaluations"]
    return None if at is None else (evaluations["env_step"][at], evaluations["seconds"][at])


def experiments(rows: Iterable[Mapping[str, Any]]) -> list[Experiment]:
    """Group full training runs on SMAC's maps into experiments; rows of other cells are skipped."""
    found: dict[MapCell, list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: row["cell"]["seed"]):
        cell = cell_of(row)
        if isinstance(cell, MapCell) and not cell.until_won:
            found.setdefault(replace(cell, seed=-1), []).append(row)
    return [Experiment(replace(cell, seed=rows[0]["cell"]["seed"]), tuple(rows)) for cell, rows in found.items()]


def main_experiments(found: Sequence[Experiment]) -> dict[tuple[str, str, str], Experiment]:
    """Select the experiments for the tables, by rules, map and algorithm: full runs without options.

    Of several lengths, the one with most seeds counts, then the longest.
    """
    chosen: dict[tuple[str, str, str], Experiment] = {}
    for one in sorted(found, key=lambda e: (len(e.rows), e.cell.env_steps)):
        if not one.cell.options and one.cell.arithmetic == AS_IT_IS:
            chosen[(one.cell.rules, one.cell.map, one.cell.algo)] = one
    return chosen


def spread(values: np.ndarray) -> tuple[float, float, float]:
    """Median, 25 % and 75 % quantile over seeds."""
    low, median, high = np.percentile(values, [25, 50, 75])
    return float(median), float(low), float(high)


def seed_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean over seeds of win rates, and the ends of its 95 % interval (Student's t), cut to [0, 1].

    One seed says nothing about others: its interval is everything.
    """
    from scipy import stats

    mean = float(values.mean())
    if len(values) < 2:
        return mean, 0.0, 1.0
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return mean, max(mean - float(half), 0.0), min(mean + float(half), 1.0)


def score_matrix(found: Sequence[Experiment], jitter: bool = False) -> tuple[np.ndarray, list[int], list[str]]:
    """Return last-ten win rates of experiments on several maps, for the seeds that all of them have.

    Args:
        found: one experiment per map; those with fewer than three seeds are skipped.
        jitter: from jittered starts.

    Returns:
        (seeds, maps) win rates, the seeds, the maps.
    """
    enough = [e for e in found if len(e.rows) >= MIN_SEEDS]
    seeds = sorted(set.intersection(*(set(e.seeds) for e in enough))) if enough else []
    columns = [e.last_ten(jitter)[np.isin(e.seeds, seeds)] for e in enough]
    matrix = np.stack(columns, axis=1) if columns else np.empty((0, 0))
    return matrix, seeds, [e.cell.map for e in enough]


def interquartile_mean(matrix: np.ndarray) -> tuple[float, float, float]:
    """Return the IQM of (seeds, maps) scores and the ends of its 95 % interval.

    The interval is bootstrapped over seeds within each map (rliable).
    """
    from rliable import library, metrics

    others = np.random.get_state()
    np.random.seed(0)  # rliable draws from numpy's global generator, whatever its random_state
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # rliable seeds its bootstrap in a way that arch will change
            point, interval = library.get_interval_estimates(
                {"": matrix},
                lambda scores: np.array([metrics.aggregate_iqm(scores)]),
                reps=BOOTSTRAPS,
                random_state=np.random.RandomState(0),
            )
    finally:
        np.random.set_state(others)
    return float(point[""][0]), float(interval[""][0, 0]), float(interval[""][1, 0])
