"""A training process killed at random moments and resumed ends as one that was left alone, bit for bit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest

CONFIG = "dizoo/smac/config/smac_3m_qmix_config.py"
STEPS = 2400


def start(folder, *args):
    """A training in a fresh process; its output goes to a file."""
    log = open(folder / "console.txt", "a")
    return subprocess.Popen(
        [sys.executable, "-m", "dimix.cli", "-m", "serial", *args], cwd=folder, stdout=log, stderr=log
    )


def finish(folder, *args):
    process = start(folder, *args)
    assert process.wait(timeout=600) == 0, (folder / "console.txt").read_text()


@pytest.fixture
def options(shrink):
    more = ("run.checkpoint_interval_s=0.1", "run.progress_interval_s=0.5", "policy.other.eps.hold=3")
    return ["-c", CONFIG, "--env-step", str(STEPS), *(a for o in (*shrink, *more) for a in ("-o", o))]


def test_killed_and_resumed_equals_uninterrupted(tmp_path, options, runs):
    moments = random.Random(os.getpid())
    finish(tmp_path, *options, "--exp-name", "whole")
    kills = 0
    process = start(tmp_path, *options, "--exp-name", "cut")
    while kills < 3:
        latest = tmp_path / "cut/ckpt/latest.pth.tar"
        deadline = time.monotonic() + 600
        seen = latest.stat().st_mtime_ns if latest.exists() else 0
        # wait until this process has saved once more, then strike somewhere between two savings
        while process.poll() is None and (latest.stat().st_mtime_ns if latest.exists() else 0) == seen:
            assert time.monotonic() < deadline, (tmp_path / "console.txt").read_text()
            time.sleep(0.005)
        time.sleep(moments.uniform(0.0, 0.35))
        if process.poll() is not None:
            break  # it was faster than the knife; what it did still has to be right
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        process = start(tmp_path, "--resume", "cut")
    assert process.wait(timeout=600) == 0, (tmp_path / "console.txt").read_text()
    assert kills > 0, "the training ended before it could be killed once"
    assert runs.rows(tmp_path / "cut") == runs.rows(tmp_path / "whole")
    runs.assert_same(runs.state_of(tmp_path / "cut"), runs.state_of(tmp_path / "whole"))


def test_battles_that_begin_in_won_games_resume_too(tmp_path, shrink, runs):
    backplay = ["env.backplay.share=0.7", "env.backplay.battles=300", "env.backplay.rounds=8"]
    options = ["-c", CONFIG, *(a for o in (*shrink, *backplay) for a in ("-o", o))]
    finish(tmp_path, *options, "--exp-name", "whole", "--env-step", "900")
    finish(tmp_path, *options, "--exp-name", "cut", "--env-step", "450")
    searched = (tmp_path / "console.txt").read_text().count("looking for won games of 3m")
    finish(tmp_path, "--resume", "cut", "--env-step", "900")
    console = (tmp_path / "console.txt").read_text()
    assert searched == console.count("looking for won games of 3m") == 2  # not a third time
    assert console.count("battles begin in ") == 2
    runs.assert_same(runs.state_of(tmp_path / "cut"), runs.state_of(tmp_path / "whole"))


def test_a_search_for_won_games_can_be_stopped(tmp_path, shrink):
    backplay = ["share=0.7", "battles=100", "rounds=10000"]
    options = ["-c", CONFIG, *(a for o in shrink for a in ("-o", o))]
    options += [a for o in backplay for a in ("-o", f"env.backplay.{o}")]
    console = tmp_path / "console.txt"
    for searches, command in ((1, [*options, "--exp-name", "run"]), (2, ["--resume", "run"])):
        process = start(tmp_path, *command)
        deadline = time.monotonic() + 600
        while console.read_text().count(" of 2 rounds found") < searches and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=600) == 130, console.read_text()
        assert console.read_text().count("stopped by SIGINT; go on with: dimix -m serial --resume run") == searches


def test_fresh_processes_with_one_seed_agree(tmp_path, options, runs):
    for name in ("a", "b"):
        finish(tmp_path, *options, "--exp-name", name, "--env-step", "600")
    runs.assert_same(runs.state_of(tmp_path / "a"), runs.state_of(tmp_path / "b"))
    assert runs.rows(tmp_path / "a") == runs.rows(tmp_path / "b")


def test_ctrl_c_saves_and_the_exit_status_tells(tmp_path, options):
    process = start(tmp_path, *options, "--exp-name", "run", "--env-step", "10_000_000")
    latest = tmp_path / "run/ckpt/latest.pth.tar"
    while not latest.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=600) == 130
    assert "stopped by SIGINT; go on with: dimix -m serial --resume run" in (tmp_path / "console.txt").read_text()
