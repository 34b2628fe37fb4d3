"""Several seeds at once, through the command line."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time

import pytest

from dimix.entry import serial_pipeline
from dimix.entry.multi_seed import _table
from dimix.machine.processes import Child, Job, Watcher, run_jobs

CONFIG = """

main_config = dict(
    env=dict(map_name="two_step"),
    policy=dict(
        model=dict(hidden_size_list=[8]),
        learn=dict(update_per_collect=2, batch_size=8),
        collect=dict(n_episode=8),
        eval=dict(evaluator=dict(eval_freq=10)),
    ),
    run=dict(env_step=200, tensorboard=False),
)
create_config = dict(env=dict(type="matrix_game"), policy=dict(type="{policy}"{imports}))
"""

FAILS_FOR_SEED_1 = """
from dimix.policy import QMIXPolicy
from dimix.registry import POLICY_REGISTRY


@POLICY_REGISTRY.register("fragile")
class Fragile(QMIXPolicy):
    def _reward(self, batch):
        broken = FRAGILE_SEED == getattr(self, "_seed", None)
        return super()._reward(batch) * (float("nan") if broken else 1.0)


from dimix.entry.rooms import stream_seed

FRAGILE_SEED = stream_seed(1, "policy")
"""


def test_each_seed_in_its_folder_with_the_result_it_has_alone(tmp_path, dimix, runs):
    (tmp_path / "tiny_config.py").write_text(CONFIG.format(policy="qmix", imports=""))
    done = dimix("-m", "serial", "-c", "tiny_config.py", "-s", 0, "-s", 7, "--jobs", 2)
    assert done.returncode == 0, done.stderr
    base = tmp_path / "tiny_result"
    assert {p.name for p in base.iterdir()} == {"seed0", "seed7"}
    assert [json.loads((base / f"seed{s}/result.json").read_text())["seed"] for s in (0, 7)] == [0, 7]
    table = done.stdout.splitlines()[-6:]
    assert table[0].split()[:2] == ["seed", "score"]
    assert table[1].startswith("0 ") and table[1].endswith("tiny_result/seed0")
    assert table[2].startswith("7 ") and table[2].endswith("tiny_result/seed7")
    assert [line.split("  ")[0] for line in table[3:5]] == ["mean ± sd", "range"]
    assert table[5].startswith("curves  dimix -m plot tiny_result -o curves.png")
    assert any(line.startswith("seed 7: ") for line in done.stdout.splitlines())
    alone = dimix("-m", "serial", "-c", "tiny_config.py", "-s", 7, "--exp-name", "alone")
    assert alone.returncode == 0, alone.stderr
    runs.assert_same(runs.state_of(tmp_path / "alone"), runs.state_of(base / "seed7"))
    assert runs.rows(tmp_path / "alone") == runs.rows(base / "seed7")


def test_one_seed_that_fails_leaves_the_others_and_the_status_tells(tmp_path, dimix):
    (tmp_path / "fragile.py").write_text(FAILS_FOR_SEED_1)
    imports = ', import_names=["fragile"]'
    (tmp_path / "tiny_config.py").write_text(CONFIG.format(policy="fragile", imports=imports))
    done = dimix("-m", "serial", "-c", "tiny_config.py", "-s", 0, "-s", 1)
    assert done.returncode == 1
    assert re.search(r"seed 1: TrainingError: update 0: loss nan", done.stdout)
    assert re.search(r"(?m)^0 .*tiny_result/seed0$", done.stdout)
    assert re.search(r"(?m)^1 .*failed", done.stdout)


def test_config_errors_come_once_and_before_any_process(tmp_path, dimix):
    (tmp_path / "tiny_config.py").write_text(CONFIG.format(policy="qmx", imports=""))
    done = dimix("-m", "serial", "-c", "tiny_config.py", "-s", 0, "-s", 1)
    assert done.returncode == 1
    assert done.stderr.count("no policy 'qmx'") == 1
    assert not (tmp_path / "tiny_result").exists()


def test_ctrl_c_stops_all_seeds_and_resume_goes_on_with_them(tmp_path, dimix):
    (tmp_path / "tiny_config.py").write_text(CONFIG.format(policy="qmix", imports=""))
    train = ("-m", "serial", "-c", "tiny_config.py", "-s", "0", "-s", "7", "--jobs", "2")
    with open(tmp_path / "console.txt", "w") as console:
        process = subprocess.Popen(
            [sys.executable, "-m", "dimix.cli", *train, "--env-step", "10_000_000"],
            cwd=tmp_path,
            stdout=console,
            stderr=console,
        )
    saved = [tmp_path / f"tiny_result/seed{seed}/ckpt/latest.pth.tar" for seed in (0, 7)]
    while not all(path.exists() for path in saved) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=600) == 130, (tmp_path / "console.txt").read_text()
    before = [json.loads((path.parent.parent / "result.json").read_text()) for path in saved]
    assert [result["reason"] for result in before] == ["SIGTERM", "SIGTERM"]  # how the parent tells its children
    goal = max(result["env_step"] for result in before) + 200
    done = dimix(*train, "--resume", "--env-step", goal)
    assert done.returncode == 0, done.stdout + done.stderr
    after = [json.loads((path.parent.parent / "result.json").read_text()) for path in saved]
    assert all(result["reason"] == "env_step" and result["env_step"] >= goal for result in after)
    assert {p.name for p in (tmp_path / "tiny_result").iterdir()} == {"seed0", "seed7"}


def finished(seed, score, jitter, env_step, seconds):
    evaluation = {} if jitter is None else {"eval/battle_won_jitter": jitter}
    result = dict(score=score, evaluation=evaluation, env_step=env_step, seconds=seconds, reason="env_step")
    result["run_folder"] = f"r/{seed}"
    return Child(Job(f"seed {seed}", print, {"seed": seed}), None, None, result)


def failed(seed):
    return Child(Job(f"seed {seed}", print, {"seed": seed}), None, None, error="TrainingError: loss nan\nmore")


def test_table_of_seeds_by_hand():
    """Scores 0.9 and 1.0: mean 0.95, sd 0.1 / sqrt(2) = 0.0707; jittered 0.2 and 0.6: 0.4 and 0.4 / sqrt(2) = 0.283."""
    children = [finished(7, 1.0, 0.6, 300_000, 90.0), failed(1), finished(0, 0.9, 0.2, 100_000, 30.0)]
    assert _table(children).splitlines() == [
        "seed       score          jitter       env steps    time         ended by  run folder",
        "0          0.900          0.20         100k         30s          env_step  r/0",
        "1          -              -            -            -            failed    TrainingError: loss nan",
        "7          1.000          0.60         300k         1m30s        env_step  r/7",
        "mean ± sd  0.950 ± 0.071  0.40 ± 0.28  200k ± 141k  1m00s ± 42s",
        "range      0.900 - 1.000  0.20 - 0.60  100k - 300k  30s - 1m30s",
    ]


@pytest.mark.parametrize("children", [[finished(0, 1.0, None, 1, 1.0)], [failed(0), failed(1)]])
def test_fewer_than_two_finished_seeds_have_no_mean(children):
    assert len(_table(children).splitlines()) == 1 + len(children)


def test_games_without_jittered_starts_have_no_mean_of_them():
    lines = _table([finished(seed, 1.0, None, 1000, 1.0) for seed in (0, 1)]).splitlines()
    assert [re.split("  +", line)[2] for line in lines] == ["jitter", "-", "-", "-", "-"]


class _Impatient(Watcher):
    """Asks to stop while the process still imports, and keeps what it says."""

    def __init__(self):
        self.lines = []

    def line(self, child, text):
        self.lines.append(text)

    def tick(self, running):
        if running and not running[0].signalled:
            signal.raise_signal(signal.SIGTERM)


def test_a_process_that_is_stopped_before_it_begins_has_not_failed(tmp_path):
    watcher, config = _Impatient(), "dizoo/matrix_game/config/two_step_qmix_config.py"
    options = {"input_cfg": config, "seed": 0, "exp_name": str(tmp_path / "run")}
    (child,) = run_jobs([Job("seed 0", serial_pipeline, options)], 1, watcher)
    assert child.error is None and child.signalled
    assert child.result is not None or watcher.lines == ["stopped before it began"]
    assert "failed" not in _table([child])
