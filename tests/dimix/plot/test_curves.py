"""Figures: which panels, lines and legends there are, the files, errors by name."""

import re

import numpy as np
import pytest

from dimix.errors import OutputError
from dimix.plot import Look, panel_grid, plot
from dimix.plot.curves import draw, say_where_cut
from dimix.plot.experiments import read_experiments

pytest.importorskip("matplotlib")


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_grid_has_as_many_panels_as_asked_for():
    figure, panels = panel_grid(5, 2.0, 1.0)
    assert len(panels) == 5 and figure.axes == panels
    assert figure.get_size_inches().tolist() == [8.0, 2.0]


def test_files_of_two_experiments(run_folder, tmp_path, capsys):
    folders = [run_folder("a_seed0"), run_folder("a_seed1"), run_folder("$b$<x>")]
    for name in ("curves.png", "curves.svg", "curves.html", "curves.pdf"):
        plot(folders, tmp_path / name)
        assert f"{tmp_path / name}: 3 runs of 2 experiments\n" in capsys.readouterr().out
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "curves.pdf").read_bytes().startswith(b"%PDF")
    svg = (tmp_path / "curves.svg").read_text()
    assert all(text in svg for text in ("a (2 seeds)", "games won", "loss", "env steps", "minutes"))
    assert "<title>curves: a, $b$&lt;x&gt;</title>" in (tmp_path / "curves.html").read_text()
    assert not re.search(r'(src|href)="http', (tmp_path / "curves.html").read_text())


def test_one_panel_of_one_metric(won_folder):
    """Ten times the win rate, each value the mean of it and the one before."""
    groups = read_experiments([won_folder("r/seed0", [0.0, 0.5, 1.0])], out=print)
    look = Look(metrics=("eval/ep_reward",), title="Cost in $", smooth=2, x_axis="env_step")
    figure = draw(groups, look)
    (axis,) = figure.axes
    assert axis.lines[0].get_xdata().tolist() == [0, 1000, 2000]
    assert axis.lines[0].get_ydata().tolist() == [0, 2.5, 7.5]
    assert (axis.get_ylabel(), axis.get_xlabel(), figure._suptitle.get_text()) == ("return", "env steps", r"Cost in \$")


def test_the_x_axis_is_steps_time_or_both(won_folder):
    groups = read_experiments([won_folder("r/seed0", [0.0, 0.5, 1.0])], out=print)
    labels = {
        kind: [axis.get_xlabel() for axis in draw(groups, Look(("eval/battle_won",), x_axis=kind)).axes]
        for kind in ("env_step", "time", "both")
    }
    assert labels == {"env_step": ["env steps"], "time": ["minutes"], "both": ["env steps", "minutes"]}


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        ("minmax", "mean of the seeds, band from the lowest to the highest"),
        ("ci", "mean of the seeds, band: its 95 % interval (Student's t)"),
        ("quartiles", "median of the seeds, band from the 25 % to the 75 % quantile"),
        ("none", "mean of the seeds"),
    ],
)
def test_the_legend_says_what_line_and_band_are(won_folder, tmp_path, kind, title):
    for seed, won in enumerate(([0.0, 0.0], [0.2, 0.2], [1.0, 1.0])):
        won_folder(f"r/seed{seed}", won)
    figure = draw(read_experiments([tmp_path / "r"], out=print), Look(("eval/battle_won",), band=kind))
    assert figure.legends[0].get_title().get_text() == title
    assert legend(figure) == ["r (3 seeds)"]
    assert figure.axes[0].lines[0].get_ydata()[0] == pytest.approx(0.2 if kind == "quartiles" else 0.4)
    assert len(figure.axes[0].collections) == (kind != "none")


def test_a_line_cut_to_its_shortest_seed_is_said_in_the_figure_and_in_words(won_folder, tmp_path):
    won_folder("r/seed0", [0.0] * 5)
    won_folder("r/seed1", [0.0] * 9)
    groups, told = read_experiments([tmp_path / "r"], out=print), []
    figure = draw(groups, Look(("eval/battle_won",)))
    assert legend(figure) == ["r (2 seeds, cut to the shortest)"]
    assert np.max(figure.axes[0].lines[0].get_xdata()) == 4000
    say_where_cut(groups, told.append)
    assert [line.replace(f"{tmp_path}/", "") for line in told] == [
        "r: drawn up to env step 4000, where r/seed0 ends; r/seed1 has 8000"
    ]


def test_runs_that_end_within_a_twentieth_of_each_other_are_not_called_cut(won_folder, tmp_path):
    won_folder("r/seed0", [0.0] * 40)
    won_folder("r/seed1", [0.0] * 41)
    groups, told = read_experiments([tmp_path / "r"], out=print), []
    say_where_cut(groups, told.append)
    assert told == [] and legend(draw(groups, Look(("eval/battle_won",)))) == ["r (2 seeds)"]


def test_nothing_of_a_long_legend_hides_a_panel_or_leaves_the_figure(won_folder, tmp_path):
    for number in range(5):
        won_folder(f"r{number}/seed0", [0.0, 1.0], seed=0, **{f"env__long_key_{i}": number for i in range(9)})
    figure = draw(read_experiments([tmp_path], out=print), Look(("eval/battle_won",), title="A title " * 30))
    figure.draw_without_rendering()
    box, page = figure.legends[0].get_window_extent(), figure.bbox
    title = figure._suptitle.get_window_extent()
    assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0
    assert page.x0 <= title.x0 and title.x1 <= page.x1 and title.y1 <= page.y1
    for axis in figure.axes:
        around = axis.get_tightbbox()
        assert box.y1 <= around.y0 and around.y1 <= title.y0 and axis.get_window_extent().height > 100


def test_errors_name_what_is_wrong(run_folder, tmp_path):
    folder = run_folder(text="env_step,train/q_tot,eval/battle_won\n1,2,\n")
    with pytest.raises(OutputError, match="none of eval/battle_won, .* was recorded"):
        plot([folder], tmp_path / "a.png")
    with pytest.raises(OutputError, match="none of eval/battle_won was recorded"):
        plot([folder], tmp_path / "a.png", Look(("train/q_tot", "eval/battle_won")))
    with pytest.raises(OutputError, match="--metric battle_won: no run has such a column. Did you mean 'eval/battle_"):
        plot([folder], tmp_path / "a.png", Look(("battle_won",)))
    with pytest.raises(OutputError, match="--x-axis time: .* holds no speed/env_steps_per_s. Use --x-axis env_step"):
        plot([folder], tmp_path / "a.png", Look(("train/q_tot",), x_axis="time"))
    with pytest.raises(OutputError, match="--band quartile: there is none. .* Did you mean 'quartiles'"):
        Look(band="quartile")
    with pytest.raises(OutputError, match="--x-axis steps: there is none. Right is one of both, env_step, time"):
        Look(x_axis="steps")
    with pytest.raises(OutputError, match="ending '.gif'. Right is one of .png, .svg, .pdf, .html, .csv, .md, .tex"):
        plot([folder], tmp_path / "a.gif")
    with pytest.raises(OutputError, match="a.csv: a table has no metric, title, band, smoothing or axis"):
        plot([folder], tmp_path / "a.csv", Look(smooth=2))
    with pytest.raises(OutputError, match=r"nowhere/a\.png: cannot be written \(No such file or directory\)"):
        plot([run_folder("other")], tmp_path / "nowhere/a.png")
