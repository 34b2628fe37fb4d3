"""A run on a map and with a policy of the user's own, moved elsewhere while both files change where they were."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from dizoo.smac.battle.maps.mapfile import standard_maps

CONFIG = """
from easydict import EasyDict

main_config = EasyDict(env=dict(map_name="my/small.json"))
create_config = EasyDict(env=dict(type="smac"), policy=dict(type="halved", import_names=["halved_qmix"]))
"""
POLICY = """
from halved_parts import HALF
from dimix.policy import QMIXPolicy
from dimix.registry import POLICY_REGISTRY


@POLICY_REGISTRY.register("halved")
class HalvedQMIX(QMIXPolicy):
    def _reward(self, batch):
        return HALF * super()._reward(batch)
"""


def dimix(folder, *args):
    command = [sys.executable, "-m", "dimix.cli", *map(str, args)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)


def done(folder, *args):
    ended = dimix(folder, *args)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def refused(folder, *args):
    ended = dimix(folder, *args)
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    return ended.stderr


@pytest.fixture
def home(tmp_path):
    """Where the run begins."""
    home = tmp_path / "home"
    (home / "my").mkdir(parents=True)
    (home / "my/small.json").write_text(json.dumps(standard_maps()["3m"]))
    (home / "my_config.py").write_text(CONFIG)
    (home / "halved_qmix.py").write_text(POLICY)
    (home / "halved_parts.py").write_text("HALF = 0.5\n")
    return home


def test_a_run_keeps_what_it_read(tmp_path, home, shrink, runs):
    small = [a for o in shrink for a in ("-o", o)]
    train = ["-m", "serial", "-c", "my_config.py", *small, "--env-step"]
    done(home, *train, 800, "--exp-name", "whole")
    done(home, *train, 400, "--exp-name", "run")
    away = tmp_path / "away"
    away.mkdir()
    run = (home / "run").rename(away / "the run")

    # something else under the names: noticed, and the copies are used
    (home / "my/small.json").write_text(json.dumps(standard_maps()["3m"] | {"episode_limit": 7}))
    (home / "halved_parts.py").write_text("HALF = 0.25\n")
    told = done(away, "-m", "eval", "--load-path", "the run", "-n", 4)
    assert "the run/ckpt/best.pth.tar: halved on small, seed 0" in told
    assert f"note: env.map_name: {home}/my/small.json has changed since; the run keeps to its copy" in told
    assert f"note: halved_parts: {home}/halved_parts.py has changed since" in told and "halved_qmix:" not in told

    # with the config of then it is refused, each change named
    resume = ["--resume", run, "--env-step", 800]
    told = refused(home, "-m", "serial", "-c", "my_config.py", *small, *resume)
    assert f"env.map_name: {home}/my/small.json is not what the run read ({home}/my/small.json then)" in told
    assert f"halved_parts: {home}/halved_parts.py is not what the run read" in told
    assert "the run has" not in told  # no key has changed

    # without its folder a checkpoint has no copies
    (run / "ckpt/best.pth.tar").rename(home / "best.pth.tar")
    told = refused(home, "-m", "eval", "--load-path", "best.pth.tar", "-n", 4, "-o", "env.map_name=3m")
    assert "checkpoint best.pth.tar: what its run read is not here.\n  halved_parts: " in told
    assert "Leave it in its run folder, which has copies" in told and "env.map_name" not in told

    # a new place for the same content is no change; what is trained is what would have been
    other = tmp_path / "other/small.json"
    other.parent.mkdir()
    other.write_text(json.dumps(standard_maps()["3m"]))
    told = done(tmp_path, "-m", "serial", *resume, "-o", f"env.map_name={other}")
    assert "halved on smac small" in told and "halved_parts.py has changed since" in told
    runs.assert_same(runs.state_of(home / "whole"), runs.state_of(run))
    assert runs.rows(home / "whole") == runs.rows(run)

    # moved once more, after the resume
    run = run.rename(tmp_path / "third")
    done(away, "-m", "eval", "--load-path", run / "ckpt/latest.pth.tar", "-n", 4)
    (home / "my/small.json").unlink()
    done(away, "-m", "serial", "-c", run / "total_config.py", "--exp-name", "again", "--env-step", 100)
