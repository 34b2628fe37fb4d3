"""Learning curves: what is read from metrics.csv, which runs belong together, the band, errors by name."""

import re

import numpy as np
import pytest

from dimix.errors import OutputError
from dimix.plot import Run, band, group_runs, panel_grid, plot, read_run

ROWS = """env_step,train_iter,train/loss,eval/battle_won,speed/env_steps_per_s
0,0,,0.0,
1000,8,0.5,,500.0
2000,16,0.25,0.5,1000.0
4000,32,0.125,1.0,
"""


@pytest.fixture
def run_folder(tmp_path):
    def make(name="run_seed0", text=ROWS):
        folder = tmp_path / name
        (folder / "log").mkdir(parents=True)
        (folder / "log/metrics.csv").write_text(text)
        return folder

    return make


def test_curves_hold_the_rows_that_were_recorded(run_folder):
    """1000 steps at 500 a second are 2 s, 1000 more at 1000 are 1 s; the last row has no speed."""
    run = read_run(run_folder())
    step, hours, loss = run.curve("train/loss")
    assert step.tolist() == [1000, 2000, 4000] and loss.tolist() == [0.5, 0.25, 0.125]
    assert (hours * 3600).tolist() == pytest.approx([2, 3, 3])
    assert run.curve("eval/battle_won")[2].tolist() == [0, 0.5, 1]
    assert [len(part) for part in run.curve("train/q_tot")] == [0, 0, 0]


def test_evaluations_are_the_rows_that_have_one(run_folder):
    found = read_run(run_folder()).evaluations(["battle_won"])
    assert found == [dict(env_step=step, battle_won=won) for step, won in ((0, 0.0), (2000, 0.5), (4000, 1.0))]


def test_a_grid_has_as_many_panels_as_asked_for():
    figure, panels = panel_grid(5, 2.0, 1.0)
    assert len(panels) == 5 and figure.axes == panels
    assert figure.get_size_inches().tolist() == [8.0, 2.0]


@pytest.mark.parametrize("place", ["", "log", "log/metrics.csv"])
def test_folder_log_or_file_may_be_given(run_folder, place):
    folder = run_folder()
    assert read_run(folder / place).folder == folder


def test_half_a_row_at_the_end_is_left_out(run_folder):
    run = read_run(run_folder(text=ROWS + "5000,40,0."))
    assert run.columns["env_step"].max() == 4000


def test_no_speed_means_no_wall_time(run_folder):
    run = read_run(run_folder(text="env_step,train_iter,eval/battle_won\n0,0,0.5\n10,1,1.0\n"))
    assert np.isnan(run.hours).all()


def test_seeds_of_one_experiment_belong_together(tmp_path):
    names = ["a_qmix_result/seed0", "a_qmix_result/seed1_2", "b_qmix_seed0", "b_qmix_seed1", "c"]
    groups = group_runs([Run(tmp_path / name, {}) for name in names])
    found = {label: [str(r.folder.relative_to(tmp_path)) for r in runs] for label, runs in groups.items()}
    assert found == {"a_qmix_result": names[:2], "b_qmix": names[2:4], "c": names[4:]}


def test_experiments_of_the_same_name_are_told_apart(tmp_path):
    groups = group_runs([Run(tmp_path / "x/run/seed0", {}), Run(tmp_path / "y/run/seed0", {})])
    assert list(groups) == ["x/run", "y/run"]


def test_band_by_hand():
    """One run rises from 0 to 1 over 0..10, the other is 0.5 over 2..8: they share 2..8."""
    first = (np.array([0.0, 10.0]), np.array([0.0, 1.0]))
    second = (np.array([2.0, 8.0]), np.array([0.5, 0.5]))
    time, mean, low, high = band([first, second])
    assert (time[0], time[-1]) == (2, 8)
    np.testing.assert_allclose(mean, (time / 10 + 0.5) / 2)
    np.testing.assert_allclose(low, np.minimum(time / 10, 0.5))
    np.testing.assert_allclose(high, np.maximum(time / 10, 0.5))


def test_one_run_keeps_its_points():
    time, mean, low, high = band([(np.array([1.0, 5.0]), np.array([3.0, 4.0]))])
    assert time.tolist() == [1, 5] and mean.tolist() == low.tolist() == high.tolist() == [3, 4]


def test_draws_two_experiments(run_folder, tmp_path):
    pytest.importorskip("matplotlib")
    folders = [run_folder("a_seed0"), run_folder("a_seed1"), run_folder("$b$<x>")]
    for name in ("curves.png", "curves.svg", "curves.html"):
        plot(folders, tmp_path / name)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    svg = (tmp_path / "curves.svg").read_text()
    assert all(text in svg for text in ("a (2 seeds)", "games won", "loss", "env steps", "minutes"))
    assert "<title>curves: a, $b$&lt;x&gt;</title>" in (tmp_path / "curves.html").read_text()
    assert not re.search(r'(src|href)="http', (tmp_path / "curves.html").read_text())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a metrics file"),
        ("a,b\n1,2\n", "has no column env_step"),
        ("env_step,train/loss\n", "has no rows yet"),
        ("env_step,train/loss\n1,much\n", "not a metrics file .could not convert"),
    ],
)
def test_file_that_is_no_metrics(run_folder, text, message):
    with pytest.raises(OutputError, match=message):
        read_run(run_folder(text=text))


def test_errors_name_what_is_missing(run_folder, tmp_path):
    pytest.importorskip("matplotlib")
    with pytest.raises(OutputError, match="nowhere: no log/metrics.csv there. Give the run folder"):
        read_run(tmp_path / "nowhere")
    folder = run_folder(text="env_step,train/q_tot\n1,2\n")
    with pytest.raises(OutputError, match="none of eval/battle_won, .* was recorded"):
        plot([folder], tmp_path / "a.png")
    with pytest.raises(OutputError, match="ending '.gif'. Right is one of .png, .svg, .html"):
        plot([folder], tmp_path / "a.gif")
    with pytest.raises(OutputError, match=r"nowhere/a\.png: cannot be written \(No such file or directory\)"):
        plot([run_folder("other")], tmp_path / "nowhere/a.png")
