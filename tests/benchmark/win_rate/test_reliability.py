"""The yardstick of a recipe, from rows made up here."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from benchmark.win_rate.reliability import (
    ARITHMETIC,
    CELLS,
    MAPS,
    SEEDS,
    figures,
    reliability_table,
    runs_by_recipe,
    summary,
)

MMM = next(cell for cell in CELLS if cell.map == "MMM" and cell.algo == "published")


def row(won, jitter=None, cell=MMM):
    """Evaluations of 20 games, one per 1000 env steps and two processor seconds."""
    count = len(won)
    games = {"games_won": won, "games_won_jitter": jitter or [10] * count}
    games |= {"games_played": [20] * count, "games_played_jitter": [20] * count}
    steps = [1000 * i for i in range(count)]
    return {
        "cell": cell.fields(),
        "evaluations": {"env_step": steps, "cpu_seconds": [2.0 * i for i in range(count)], **games},
    }


def test_figures_by_hand():
    """Won 0.95 and more from evaluation 5 to 11; of the four after the fifth of them, 10 to 13, two hold it."""
    found = figures(row([0] * 5 + [20, 19, 20, 20, 20, 20, 20, 0, 10], [0] * 4 + [20] * 10))
    assert (found["steps"], found["cpu_seconds"], found["kept"]) == (9000, 18.0, 0.5)
    assert found["won"] == pytest.approx((0 + 20 + 19 + 5 * 20 + 0 + 10) / 200)
    assert found["jitter"] == 1.0
    never = figures(row([20, 20, 20, 20, 0] * 3))
    assert never["steps"] == never["cpu_seconds"] == math.inf and math.isnan(never["kept"])


def test_a_run_that_never_won_counts_as_never():
    rows = [row([20] * 9, cell=replace(MMM, seed=seed)) for seed in range(2)] + [
        row([0] * 9, cell=replace(MMM, seed=2))
    ]
    (line,) = reliability_table(summary(runs_by_recipe(rows))).splitlines()[2:]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[:7] == ["MMM", "as published", "2 of 3", "4.0k", "never", "8", "never"]
    assert cells[7:] == ["100", "66.7", "50 (50)"]


def test_other_rows_do_not_count():
    assert (
        runs_by_recipe([row([20] * 9, cell=replace(MMM, env_steps=1)), row([20] * 9, cell=replace(MMM, seed=99))]) == {}
    )
    assert len(CELLS) == len(set(CELLS)) == 2 * len(ARITHMETIC) * len(SEEDS) * len(MAPS)
