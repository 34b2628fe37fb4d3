"""Signals that ask a run to stop, and readers of its output that go away."""

import json
import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from dimix.machine.checkpoint_file import load_checkpoint
from dimix.machine.signals import StopSignals

CONFIG = "dizoo/smac/config/smac_3m_qmix_config.py"


@pytest.fixture(autouse=True)
def heard():
    """SIGHUP as in a terminal, also where the suite itself runs under nohup: processes inherit what is ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def test_first_signal_is_a_flag_and_the_second_interrupts():
    before = signal.getsignal(signal.SIGINT)
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.received == "SIGINT"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_closed_terminal_is_a_signal_that_may_come_twice():
    with StopSignals() as signals:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        assert signals.received == "SIGHUP"
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL


def test_nohup_stays_nohup():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            signal.raise_signal(signal.SIGHUP)
        assert signals.received is None
    finally:
        signal.signal(signal.SIGHUP, before)


def arguments(options, *args):
    return ["-m", "dimix.cli", "-m", "serial", "-c", CONFIG, *(a for o in options for a in ("-o", o)), *args]


def start(folder, options, *args):
    command = [sys.executable, *arguments(options, *args)]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("seeds", [("0",), ("0", "1")])
def test_output_that_nobody_reads_stops_a_run_saved(tmp_path, shrink, seeds):
    often = ["run.progress_interval_s=0.2"]
    process = start(tmp_path, [*shrink, *often], *(a for s in seeds for a in ("-s", s)), "--env-step", "1e7")
    while "env_step" not in process.stdout.readline():
        assert process.poll() is None
    process.stdout.close()
    told = process.stderr.read()
    assert process.wait(timeout=600) == (129 if len(seeds) == 1 else 130), told
    assert told.startswith("nobody reads the output any more; it comes here instead\n") and "Traceback" not in told
    begun = [seed for seed in seeds if f"--resume smac_3m_qmix_result/seed{seed}\n" in told]
    assert len(begun) + told.count("stopped before it began") == len(seeds)  # that of a slow start
    saved = [load_checkpoint(tmp_path / f"smac_3m_qmix_result/seed{seed}/ckpt/latest.pth.tar") for seed in begun]
    assert max(content["rooms"]["collector"]["env_step"] for content in saved) > 0


def test_a_closed_terminal_stops_a_run_saved(tmp_path, shrink):
    options = [*shrink, "run.progress_interval_s=0.2"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execv(sys.executable, [sys.executable, *arguments(options, "--env-step", "1e7")])
    told = b""
    while b"env_step" not in told:
        told += os.read(terminal, 1000)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 129
    assert json.loads((tmp_path / "smac_3m_qmix_result/seed0/result.json").read_text())["reason"] == "SIGHUP"


@pytest.mark.parametrize("nohup", [False, True])
def test_a_run_whose_parent_was_killed_is_saved(tmp_path, shrink, nohup):
    if nohup:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    often = ["run.progress_interval_s=0.2"]
    process = start(tmp_path, [*shrink, *often], "-s", "0", "-s", "1", "--env-step", "1e7")
    while "env_step" not in process.stdout.readline():
        assert process.poll() is None
    process.kill()
    results = [tmp_path / f"smac_3m_qmix_result/seed{seed}/result.json" for seed in (0, 1)]
    deadline = time.monotonic() + 600
    while not all(path.exists() for path in results):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert [json.loads(path.read_text())["reason"] for path in results] == ["SIGTERM", "SIGTERM"]
    assert "Traceback" not in process.communicate()[1]
