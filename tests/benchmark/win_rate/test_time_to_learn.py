"""Time to learn: figures of a run by hand, and the cells as they are typed."""

from __future__ import annotations

import pytest

from benchmark.__main__ import cells_of, parse_args
from benchmark.win_rate.time_to_learn import CELLS, MAPS, figures, ordered, ranges_table
from dimix.errors import ConfigError


def row(seed, won, jitter):
    """Evaluations of 4 games every 1000 steps and 10 seconds, the first 3 seconds after the command."""
    count = len(won)
    evaluations = dict(env_step=[1000 * i for i in range(count)], seconds=[10.0 * i for i in range(count)])
    evaluations |= dict(games_won=won, games_played=[4] * count, games_won_jitter=jitter)
    evaluations |= dict(games_played_jitter=[4] * count)
    (cell,) = (cell for cell in CELLS if (cell.map, cell.seed) == ("3m", seed))
    return dict(cell=cell.fields(), evaluations=evaluations, training=dict(start_up_s=3.0, seconds=90.0))


def test_figures_by_hand():
    found = figures(row(0, [0, 4, 3, 4, 4, 4, 4, 4], [0, 0, 0, 3, 4, 4, 0, 1]))
    assert (found["first_s"], found["fifth_s"], found["fifth_step"]) == (13.0, 73.0, 7000)  # evaluations 3 to 7
    assert found["stable"] == pytest.approx(6 / 7) and found["jitter_s"] == 43.0 and found["whole_s"] == 93.0
    assert found["last_won"] == 1.0 and found["last_jitter"] == 12 / 20


def test_a_run_that_does_not_get_there():
    found = figures(row(1, [0, 3, 3], [0, 0, 3]))
    assert [found[name] for name in ("first_s", "fifth_s", "fifth_step", "stable", "jitter_s")] == [None] * 5
    rows = [row(0, [4] * 5, [0] * 5), row(1, [0] * 5, [4] * 5)]
    assert ranges_table(ordered(rows[::-1])).splitlines()[-1] == (
        "| 3m | 3 - 3 (1 of 2) | 43 - 43 (1 of 2) | 4k - 4k (1 of 2) | 0.00 - 1.00 |"
    )


def test_the_cells_are_those_of_a_command():
    typed = ["run", "--maps", *MAPS, "--env-steps", "1e6", "--until-won", "-o", "env.stop_value=0.99"]
    assert cells_of(parse_args(typed)) == cells_of(parse_args(["run", "--cells", "time"])) == CELLS
    assert {cell.seed for cell in cells_of(parse_args(["run", "--cells", "time", "--seeds", "2"]))} == {2}
    with pytest.raises(ConfigError, match="-o, --until-won and --env-steps are for cells of your own"):
        cells_of(parse_args(["run", "--until-won"]))
