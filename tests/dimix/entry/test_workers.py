"""One training in several processes: repeatable, resumable, and ended as a whole."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dimix.entry import serial_pipeline
from dimix.errors import CheckpointError, RankError
from dimix.machine.checkpoint_file import load_checkpoint

REPO = Path(__file__).resolve().parents[3]
LBF = "dizoo/lbf/config/lbf_8x8_2p_2f_qmix_config.py"


def silent(text):
    """Print nothing."""


def rooms_of(folder):
    content = load_checkpoint(folder / "ckpt/latest.pth.tar")
    return [content["rooms"], *content["other_rooms"]]


@pytest.fixture
def train(tmp_path, game_config):
    """Train on the matrix game with two workers, with changes to the defaults."""

    def run(name, steps=300, **options):
        options = {"workers": 2, "exp_name": str(tmp_path / name), **options}
        config = None if options.get("resume") else game_config()
        return serial_pipeline(config, env_step=steps, explain=False, out=silent, **options)

    return run


def test_resumed_equals_uninterrupted_and_each_worker_has_its_share(train, tmp_path, runs):
    whole = train("whole")
    train("cut", steps=150)
    again = train("cut", resume=str(tmp_path / "cut"), workers=None)
    assert (whole.env_step, whole.train_iter) == (again.env_step, again.train_iter)
    states = rooms_of(tmp_path / "whole")
    runs.assert_same(states, rooms_of(tmp_path / "cut"))
    assert runs.rows(tmp_path / "whole") == runs.rows(tmp_path / "cut")
    assert sum(rooms["collector"]["env_step"] for rooms in states) == whole.env_step >= 300
    assert sum(rooms["collector"]["episode_count"] for rooms in states) == whole.episode_count
    runs.assert_same(*(rooms["policy"]["learn"] for rooms in states))
    first, second = (rooms["buffer"]["action"] for rooms in states)
    assert first.tolist()[:50] != second.tolist()[:50]  # each explores by itself
    assert float(runs.rows(tmp_path / "whole")[0]["eval/games_played"]) == 4

    with pytest.raises(CheckpointError, match="trained by 2 workers, now run.workers = 1. Go on with --workers 2"):
        train("cut", steps=400, resume=str(tmp_path / "cut"), workers=1)
    alone = train("alone", steps=20, workers=1, load_path=str(tmp_path / "whole"))
    assert alone.reason == "env_step"


@pytest.fixture
def game_file(tmp_path, game_config):
    """A config file of the same game."""
    (tmp_path / "game_config.py").write_text("main_config, create_config = " + repr(game_config()))
    return "game_config.py"


def test_both_commands_of_the_page_do_the_same(tmp_path, shrink, runs):
    page = (REPO / "docs/scaling.md").read_text("utf-8")
    starts = {"dimix ": ["-m", "dimix"], "torchrun --standalone": ["-m", "torch.distributed.run", "--standalone"]}
    for number, (start, module) in enumerate(starts.items()):
        (line,) = re.findall(rf"^{start}(.*(?:--workers 2|nproc_per_node=2 .*))$", page, re.MULTILINE)
        command = [sys.executable, *module, *shlex.split(line), "--env-step", "100", "--exp-name", str(number)]
        command += [a for o in shrink for a in ("-o", o)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("result: ") == 1 and "2 workers" in done.stdout
    runs.assert_same(rooms_of(tmp_path / "0"), rooms_of(tmp_path / "1"))
    assert runs.rows(tmp_path / "0") == runs.rows(tmp_path / "1")


def begun(folder, config, overrides=()):
    """A training of two workers in a process of its own, once it has saved twice; and the other process."""
    small = [a for o in (*overrides, "run.checkpoint_interval_s=0.1") for a in ("-o", o)]
    command = [sys.executable, "-m", "dimix", "-m", "serial", "-c", config, *small, "--env-step", "1e6"]
    with open(folder / "console.txt", "w") as console:
        process = subprocess.Popen(
            [*command, "--workers", "2", "--exp-name", "run"], cwd=folder, stdout=console, stderr=console
        )
    previous = folder / "run/ckpt/previous.pth.tar"
    deadline = time.monotonic() + 300
    while not previous.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.poll() is None, (folder / "console.txt").read_text()
    (other,) = [p for p in psutil.Process(process.pid).children() if "spawn_main" in " ".join(p.cmdline())]
    return process, other


def test_a_worker_that_dies_ends_all_with_its_name(tmp_path, shrink):
    pytest.importorskip("lbforaging")
    few = [name for name in shrink if not name.startswith("env.jitter_eval")]
    process, other = begun(tmp_path, LBF, few)
    other.send_signal(signal.SIGKILL)
    assert process.wait(timeout=60) == 1
    console = (tmp_path / "console.txt").read_text()
    assert console.count("Error") == 1 and "Traceback" not in console
    assert "RankError: worker 1 of 0 to 1: the process ended without a result (exit status -9)" in console
    assert not psutil.wait_procs([other], timeout=5)[1]
    assert len(rooms_of(tmp_path / "run")) == 2


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
def test_all_end_with_the_first(tmp_path, game_file, by):
    process, other = begun(tmp_path, game_file, ["env.stop_value=100"])
    process.send_signal(by)
    assert process.wait(timeout=60) == (130 if by == signal.SIGINT else -9)
    assert not psutil.wait_procs([other], timeout=20)[1]
    console = (tmp_path / "console.txt").read_text()
    assert "Traceback" not in console and "Error" not in console
    assert ("stopped by SIGINT; go on with: dimix -m serial --resume run" in console) == (by == signal.SIGINT)
    assert len(rooms_of(tmp_path / "run")) == 2


def test_a_worker_that_cannot_begin_is_named(train, monkeypatch):
    monkeypatch.setattr("dimix.entry.workers.follow", json.loads)  # which knows no argument "place"
    with pytest.raises(RankError, match=r"worker 1 of 0 to 1: TypeError: .* All have stopped"):
        train("run")
