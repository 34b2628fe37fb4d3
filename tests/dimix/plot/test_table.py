"""The table of experiments: figures by hand, the files' text."""

import csv
import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dimix.plot import plot, read_run
from dimix.plot.table import _latex_text, env_steps_to_good, summarise

FAST = [0.0, 0.5, 0.95, 1.0, 1.0, 0.95, 1.0, 1.0]  # five in a row from 2000 on: the fifth is at 6000
LATE = [0.0, 0.0, 1.0, 1.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 0.9, 0.9]  # from 5000 to 9000
NEVER = [0.0, 0.96, 0.96, 0.96, 0.96, 0.94, 0.96, 0.96, 0.96, 0.96]


@pytest.mark.parametrize(("won", "steps"), [(FAST, 6000), (LATE, 9000), (NEVER, math.inf)])
def test_five_in_a_row_counts_to_the_fifth(won_folder, won, steps):
    assert env_steps_to_good(read_run(won_folder("run", won))) == steps


def test_figures_of_two_seeds_by_hand(won_folder):
    """Last ten of LATE: 1, 1, .5, 1, 1, 1, 1, 1, .9, .9 = 9.3 / 10; all eight of FAST: 6.4 / 8 = 0.8.

    Mean 0.865; they lie 0.065 off, sd 0.065 * sqrt(2), half width t_1 * sd / sqrt(2) = 12.7062 * 0.065 = 0.8259.
    Jittered rates are half, returns ten times that. 11 s and 7 s at 1000 steps a second are 0.15 minutes on average.
    """
    runs = [read_run(won_folder("r/seed0", LATE)), read_run(won_folder("r/seed1", FAST))]
    row = summarise("r", runs)
    assert (row.experiment, row.seeds, row.env_steps, row.best_won) == ("r", 2, 9000, 1.0)
    assert (row.won, row.won_half_width) == pytest.approx((0.865, 0.8259), abs=1e-4)
    assert (row.won_jitter, row.won_jitter_half_width) == pytest.approx((0.4325, 0.413), abs=1e-4)
    assert (row.episode_return, row.episode_return_half_width) == pytest.approx((8.65, 8.259), abs=1e-3)
    assert (row.seeds_good, row.env_steps_to_good) == (2, 7500)
    assert row.minutes == pytest.approx(0.15)


def test_seeds_that_never_win_count_as_later_than_all(won_folder):
    runs = [read_run(won_folder(f"r/seed{i}", won)) for i, won in enumerate((FAST, NEVER, LATE))]
    assert (summarise("r", runs).env_steps_to_good, summarise("r", runs).seeds_good) == (9000, 2)
    assert math.isinf(summarise("r", runs[:2]).env_steps_to_good)


def written(folder, tmp_path, name):
    plot([folder], tmp_path / name)
    return (tmp_path / name).read_text("utf-8")


@pytest.fixture
def two_experiments(won_folder, tmp_path):
    won_folder("r/seed0", LATE, seed=0, env__start_jitter=0.0)
    won_folder("r/seed1", FAST, seed=1, env__start_jitter=0.0)
    won_folder("r/seed0_2", NEVER, seed=0, env__start_jitter=0.5)
    return tmp_path / "r"


def test_csv_holds_every_figure(two_experiments, tmp_path):
    first, second = csv.DictReader(io.StringIO(written(two_experiments, tmp_path, "t.csv")))
    assert (first["experiment"], first["seeds"], first["env_steps_to_good"]) == ("start_jitter=0.0", "2", "7500.0")
    assert float(first["won"]) == pytest.approx(0.865)
    assert (second["won_half_width"], second["env_steps_to_good"], second["seeds_good"]) == ("", "", "0")


def test_markdown_by_hand(two_experiments, tmp_path):
    assert written(two_experiments, tmp_path, "t.md") == (
        "| experiment | seeds | env steps (k) | won | won, jittered | return | best won | env steps (k) to 5 x 0.95 "
        "| minutes |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| start_jitter=0.0 | 2 | 9 | 0.86 ± 0.83 | 0.43 ± 0.41 | 8.65 ± 8.26 | 1.00 | 8 (2/2) | 0.1 |\n"
        "| start_jitter=0.5 | 1 | 9 | 0.86 | 0.43 | 8.62 | 0.96 | - | 0.1 |\n"
    )


def test_latex_by_hand(two_experiments, tmp_path):
    assert written(two_experiments, tmp_path, "t.tex").splitlines() == [
        r"\begin{tabular}{lrrrrrrrr}",
        r"\hline",
        r"experiment & seeds & env steps (k) & won & won, jittered & return & best won & env steps (k) to 5 x 0.95 "
        r"& minutes \\",
        r"\hline",
        r"start\_jitter=0.0 & 2 & 9 & 0.86 $\pm$ 0.83 & 0.43 $\pm$ 0.41 & 8.65 $\pm$ 8.26 & 1.00 & 8 (2/2) & 0.1 \\",
        r"start\_jitter=0.5 & 1 & 9 & 0.86 & 0.43 & 8.62 & 0.96 & - & 0.1 \\",
        r"\hline",
        r"\end{tabular}",
    ]


def test_a_column_that_nobody_recorded_is_left_out(run_folder, tmp_path):
    folder = run_folder("r/seed0", "env_step,eval/ep_reward\n0,1.0\n2000,2.0\n")
    assert written(folder, tmp_path, "t.md").splitlines()[0] == "| experiment | seeds | env steps (k) | return |"
    assert written(folder, tmp_path, "t.md").splitlines()[2] == "| r | 1 | 2 | 1.50 |"


READ = {
    r"\textbackslash{}": "\\",
    r"\textasciitilde{}": "~",
    r"\textasciicircum{}": "^",
    r"$\pm$": "±",
    **{f"${char}$": char for char in "<>|"},
    **{f"{{{char}}}": char for char in "[*"},
    **{f"\\{char}": char for char in "&%$#_{}"},
}


@given(st.text(st.sampled_from("ab \\&%$#_{}~^<>|[*±"), max_size=20))
def test_latex_prints_what_stands_there(text):
    """Read back as LaTeX does, token by token; what is no token may hold nothing that LaTeX takes for a command."""
    left, read = _latex_text(text), ""
    while left:
        token = next((token for token in READ if left.startswith(token)), left[0])
        assert token in READ or token in "ab ]"
        read, left = read + READ.get(token, token), left[len(token) :]
    assert read == text
