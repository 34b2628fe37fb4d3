"""Several seeds at once, through the command line."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time

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
    table = done.stdout.splitlines()[-4:]
    assert table[0].split()[:2] == ["seed", "score"]
    assert table[1].startswith("0 ") and table[1].endswith("tiny_result/seed0")
    assert table[2].startswith("7 ") and table[2].endswith("tiny_result/seed7")
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
    assert process.wait(timeout=60) == 130, (tmp_path / "console.txt").read_text()
    before = [json.loads((path.parent.parent / "result.json").read_text()) for path in saved]
    assert [result["reason"] for result in before] == ["SIGTERM", "SIGTERM"]  # how the parent tells its children
    goal = max(result["env_step"] for result in before) + 200
    done = dimix(*train, "--resume", "--env-step", goal)
    assert done.returncode == 0, done.stdout + done.stderr
    after = [json.loads((path.parent.parent / "result.json").read_text()) for path in saved]
    assert all(result["reason"] == "env_step" and result["env_step"] >= goal for result in after)
    assert {p.name for p in (tmp_path / "tiny_result").iterdir()} == {"seed0", "seed7"}
