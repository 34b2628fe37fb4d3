"""Run folders: what is read from metrics.csv and total_config.py, which runs are found, errors by name."""

import numpy as np
import pytest

from dimix.errors import OutputError
from dimix.plot import read_run
from dimix.plot.runs import read_runs


def test_curves_hold_the_rows_that_were_recorded(run_folder):
    """1000 steps at 500 a second are 2 s, 1000 more at 1000 are 1 s; the last row has no speed."""
    run = read_run(run_folder())
    step, hours, loss = run.curve("train/loss")
    assert step.tolist() == [1000, 2000, 4000] and loss.tolist() == [0.5, 0.25, 0.125]
    assert (hours * 3600).tolist() == pytest.approx([2, 3, 3])
    step, _, won = run.curve("eval/battle_won")
    assert step.tolist() == [0, 2000, 4000] and won.tolist() == [0, 0.5, 1]
    assert [len(part) for part in run.curve("train/q_tot")] == [0, 0, 0]
    assert run.env_steps == 4000


@pytest.mark.parametrize("place", ["", "log", "log/metrics.csv"])
def test_folder_log_or_file_may_be_given(run_folder, place):
    folder = run_folder()
    assert read_run(folder / place).folder == folder


def test_half_a_row_at_the_end_is_left_out(run_folder):
    text = (run_folder() / "log/metrics.csv").read_text()
    run = read_run(run_folder("other", text=text + "5000,40,0."))
    assert run.columns["env_step"].max() == 4000


def test_no_speed_means_no_wall_time(run_folder):
    run = read_run(run_folder(text="env_step,train_iter,eval/battle_won\n0,0,0.5\n10,1,1.0\n"))
    assert np.isnan(run.hours).all()


def test_the_config_tells_the_seed_and_the_folder_where_there_is_none(run_folder):
    with_config = read_run(run_folder("a/seed0_2", seed=7, env__start_jitter=0.5))
    assert with_config.config == {"seed": 7, "env.start_jitter": 0.5, "create_config.env.type": "smac"}
    without = [read_run(run_folder(name)) for name in ("b/seed3", "b_seed12_2", "c")]
    assert [run.config for run in without] == [None] * 3
    assert [run.seed for run in [with_config, *without]] == [7, 3, 12, None]


def test_a_config_that_is_code_is_not_run_and_counts_as_none(run_folder, tmp_path):
    folder = run_folder(seed=1)
    trap = tmp_path / "ran"
    (folder / "total_config.py").write_text(
        f"main_config = EasyDict(dict(seed=open({str(trap)!r}, 'w').write('x')))\ncreate_config = EasyDict({{}})\n"
    )
    assert read_run(folder).config is None and not trap.exists()


def test_all_runs_below_a_folder_each_once_in_the_order_of_their_numbers(run_folder, tmp_path, capsys):
    for name in ("r/a/seed10", "r/a/seed2", "r/b/c/seed0"):
        run_folder(name)
    run_folder("r/a/seed3", text="env_step,train/loss\n")
    runs = read_runs([tmp_path / "r/a/seed10", tmp_path / "r"], out=print)
    assert [str(run.folder.relative_to(tmp_path / "r")) for run in runs] == ["a/seed10", "a/seed2", "b/c/seed0"]
    assert "left out: " in capsys.readouterr().out.replace(str(tmp_path), "")
    with pytest.raises(OutputError, match="seed3/log/metrics.csv: has no rows yet"):
        read_runs([tmp_path / "r/a/seed2", tmp_path / "r/a/seed3"], out=print)


def test_a_folder_whose_runs_have_all_just_begun(run_folder, tmp_path):
    run_folder("r/seed0", text="env_step,train/loss\n")
    with pytest.raises(OutputError, match="/r: no run there can be read. Give folders of runs that have evaluated"):
        read_runs([tmp_path / "r"], out=print)


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


def test_folder_without_metrics(tmp_path):
    with pytest.raises(OutputError, match="nowhere: no log/metrics.csv there. Give the run folder that a training"):
        read_run(tmp_path / "nowhere")
