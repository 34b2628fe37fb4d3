"""The page of a trained run: complete by itself, right in its numbers, and clear about what it leaves out."""

import html
import re

import pytest
from click.testing import CliRunner

from dimix.cli import command
from dimix.entry import serial_pipeline
from dimix.errors import OutputError
from dimix.plot.runs import read_run
from dimix.report import report
from dimix.report.gather import spread
from dimix.report.write import evaluation_share


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A run of 3m with three evaluations, two games of each recorded."""
    small = dict(hidden_size_list=[8], mixer_embed_dim=4, hypernet_embed_dim=4)
    learn, collect = dict(update_per_collect=2, batch_size=4), dict(n_episode=4)
    policy = dict(model=small, learn=learn, collect=collect, eval=dict(evaluator=dict(eval_freq=2)))
    env = dict(map_name="3m", collector_env_num=4, evaluator_env_num=2, n_evaluator_episode=2)
    env |= dict(jitter_eval=dict(n_episode=2), replay=dict(every=1, n_episode=1))
    folder = tmp_path_factory.mktemp("runs") / "tiny/seed0"
    main = dict(env=env, policy=policy, run=dict(env_step=300, tensorboard=False))
    create = dict(env=dict(type="smac"), policy=dict(type="qmix"))
    serial_pipeline((main, create), seed=0, exp_name=str(folder), out=lambda line: None)
    return folder


@pytest.fixture(scope="module")
def page(run_folder):
    target = run_folder.parent / "report.html"
    shown = CliRunner().invoke(command, ["-m", "report", str(run_folder), "-o", str(target)])
    assert shown.exit_code == 0, shown.output
    assert re.search(r"report.html: 1 run, \d+ findings?\n$", shown.output)
    return target.read_text("utf-8")


def test_the_page_needs_nothing_else(page):
    outside = re.findall(r"""(?:src|href)=["'](?!data:)([^"']*)""", page)
    assert outside == [] and "{{" not in page and "@import" not in page


def test_the_page_says_what_was_trained_and_how_well(page, run_folder):
    run = read_run(run_folder)
    won = int(run.curve("eval/games_won")[2][-1])
    assert f"<td>{won} of 2 (" in page
    assert f"{run.curve('eval/ep_reward')[2][-1]:.2f} ±" in page
    assert "<td>env.map_name</td><td>&#x27;MMM&#x27;</td><td>&#x27;3m&#x27;</td>" in page
    assert "<td>policy.learn.batch_size</td><td>32</td><td>4</td>" in page
    assert "policy.learn.discount_factor" not in page  # as it was
    assert "<td>attack_nearest</td><td>100%</td>" in page
    assert "A team that learns nothing wins too" in page
    assert "\\begin{tabular}" in page and "experiment,seeds,env_steps" in page


def test_the_games_are_of_the_first_a_middle_and_the_last_evaluation(page, run_folder):
    frame = html.unescape(re.search(r'srcdoc="([^"]*)"', page)[1])
    assert frame.startswith("<!DOCTYPE html>") and frame.count('class="game"') == 3
    steps = sorted({int(path.name.split("_step")[1][:9]) for path in (run_folder / "replays").iterdir()})
    assert steps[0] == 0 and len(steps) >= 3


def test_spread():
    assert [spread(list(range(n))) for n in range(6)] == [[], [0], [0, 1], [0, 1, 2], [0, 2, 3], [0, 2, 4]]


def test_share_of_evaluations_by_hand(tmp_path):
    """Rounds of 1000 steps: 1 s each, 3 s after the two evaluations: 4 of 8 s more than usual."""
    rows = ["0,0,5,", "1000,1,,333.3333", "2000,2,,1000", "2000,2,6,", "3000,3,,333.3333", "4000,4,,1000"]
    (tmp_path / "log").mkdir()
    head = "env_step,train_iter,eval/ep_reward,speed/env_steps_per_s"
    (tmp_path / "log/metrics.csv").write_text("\n".join([head, *rows]) + "\n")
    assert evaluation_share(read_run(tmp_path)) == pytest.approx(0.5, abs=1e-4)


def test_a_run_of_which_only_the_metrics_are_left(tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log/metrics.csv").write_text("env_step,train_iter,eval/battle_won\n0,0,0.0\n1000,9,0.5\n")
    said = []
    report([tmp_path], tmp_path / "a.html", said.append)
    assert any("settings, games and floors are left out" in line for line in said)
    assert "None were recorded" in (tmp_path / "a.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("target", "message"),
    [("a.pdf", "-o a.pdf: ending '.pdf'. Right is .html"), ("no/a.html", "no/a.html: cannot be written")],
)
def test_targets_that_cannot_be_written(target, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log").mkdir()
    (tmp_path / "log/metrics.csv").write_text("env_step,train_iter,eval/battle_won\n0,0,0.0\n1000,9,0.5\n")
    with pytest.raises(OutputError, match=message):
        report([tmp_path], target, lambda line: None)
