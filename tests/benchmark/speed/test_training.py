"""The training benchmark: its arithmetic by hand, its peers by stand-ins, and a small real run."""

import argparse
import json
import sys
import time

import pytest

from benchmark.peers import cleanmarl, epymarl
from benchmark.speed import training as bench
from benchmark.speed.peers import SCRIPTS, run_json, typed


def busy(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def measurement(env_steps, wall_s, cpu_s, **more):
    return {"env_steps": env_steps, "wall_s": wall_s, "cpu_s": cpu_s, "replay_ratio": 16.0, **more}


def test_case_from_text():
    assert bench.Case.parse("MMM:16") == ("MMM", 16, 32)
    assert bench.Case.parse("3s5z:4:96") == ("3s5z", 4, 96)
    assert str(bench.Case("3s5z", 4, 96)) == "3s5z:4:96"


@pytest.mark.parametrize("text", ["MMM", ":16", "MMM:x", "MMM:0", "MMM:1:2:3"])
def test_a_case_of_another_form_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"Right is MAP:RATIO\[:EPISODES\], for example MMM:16"):
        bench.Case.parse(text)


def test_the_clock_adds_up_each_part_and_passes_results_through():
    clock = bench.Clock()
    twice = clock.timed("a", lambda x: (busy(0.02), 2 * x)[1])
    fails = clock.timed("b", lambda: (busy(0.01), 1 / 0))
    assert [twice(3), twice(4)] == [6, 8]
    with pytest.raises(ZeroDivisionError):
        fails()
    busy(0.05)  # not timed
    assert 0.04 <= clock.seconds["a"] < 0.09 and 0.01 <= clock.seconds["b"] < 0.05


def test_median_of_rounds_by_hand():
    parts = [{"learning": 4.0, "other": 1.0}, {"learning": 1.0, "other": 1.0}, {"learning": 3.0, "other": 1.0}]
    cpu = [5.0, 2.0, 4.0]
    rounds = [
        measurement(100, 10.0, c, parts_s=p, share_of_peak=0.3, peak_bytes=b)
        for c, p, b in zip(cpu, parts, [1, 3, 2], strict=True)
    ]
    out = bench.median_of([*rounds, {"error": "killed"}])
    # 100/5, 100/2, 100/4: the median is 25; shares of learning 0.8, 0.5, 0.75
    assert out["steps_per_cpu_s"] == 25 and out["steps_per_s"] == 10 and out["share"]["learning"] == 0.75
    assert out["peak_bytes"] == 3 and out["rounds"] == 3 and out["env_steps"] == 300
    assert bench.median_of([{"error": "a"}, {"error": "b"}]) == {"error": "b"}


def test_tables_by_hand():
    share = {"simulator": 0.02, "acting": 0.03, "buffer": 0.01, "sampling": 0.1, "learning": 0.8, "other": 0.04}
    ours = {"replay_ratio": 16.04, "steps_per_s": 1000.4, "steps_per_cpu_s": 1200.0, "share": share}
    sides = {
        "dimix": {**ours, "share_of_peak": 0.41},
        "epymarl": {"replay_ratio": 16.0, "steps_per_s": 50.0, "steps_per_cpu_s": 40.0, "peak_bytes": 7.2e9},
        "cleanmarl": {"error": "No module named 'tyro'"},
    }
    full = {"episodes": 5000, "buffer_steps": 300_000, "buffer_bytes": 0.8e9, "peak_bytes": 1.25e9}
    report = {
        "command": "python -m benchmark.speed.training",
        "machine": {"cpu": "X", "cores": 2, "load": 0.1, "python": "3.11", "numpy": "2", "torch": "2"},
        "rounds": 3,
        "cases": [{"case": "MMM:16:32", "map": "MMM", "sides": sides}],
        "memory": {"MMM": full},
    }
    text = bench.as_markdown(report)
    rows = [line for line in text.splitlines() if line.startswith("| MMM")]
    assert rows[0] == "| MMM:16:32 | dimix | 16.0 | 1,000 | 1,200 |  |  |"
    assert rows[1] == "| MMM:16:32 | EPyMARL | 16.0 | 50 | 40 | 30.0x | 7.20 GB |"
    assert rows[2].startswith("| MMM:16:32 | CleanMARL |  | No module named 'tyro' |")
    assert rows[3] == "| MMM:16:32 | 2.0% | 3.0% | 1.0% | 10.0% | 80.0% | 4.0% | 41% |"
    assert "(5,000 episodes, 300,000 steps, 0.80 GB): 1.25 GB" in text


def test_which_peer_runs_what():
    args = bench.parse_args(["--jaxmarl-python", "P", "--jaxmarl-repo", "R", "--epymarl-python", "P"])
    command = bench.peer_command("jaxmarl", bench.Case("3s5z", 4), args)
    # ratio = 32 sequences per update / environments, each giving one sequence: 8 environments; 15,360 / (8 * 128) = 15
    assert command[-4:] == ["--envs", "8", "--updates", "15"]
    assert bench.peer_command("jaxmarl", bench.Case("MMM", 4), args) is None
    assert bench.peer_command("epymarl", bench.Case("MMM", 16), args) is None  # no repository given


def test_a_peer_that_fails_says_why(tmp_path):
    result = run_json([sys.executable, str(SCRIPTS / "epymarl.py"), "--repo", str(tmp_path)])
    assert "No module named" in result["error"]
    assert run_json([sys.executable, "-c", "print('noise'); print('{\"a\": 1}')"]) == {"a": 1}


def test_the_command_in_the_report_names_no_path_of_this_machine():
    words = ["--epymarl-python", "/secret/bin/python", "--epymarl-repo", "/secret/epymarl", "--rounds", "2"]
    shown = typed("m", words, {"--epymarl-python": "PYTHON", "--epymarl-repo": "REPO"})
    assert shown == "python -m m --epymarl-python PYTHON --epymarl-repo REPO --rounds 2"


def test_a_small_real_run(monkeypatch):
    monkeypatch.setattr(bench, "matrix_product_rate", lambda: 1e9)
    result = bench.measure_ours(bench.Case("3m", 2, 8), 0.2)
    assert 0.5 < result["replay_ratio"] < 4  # 2 updates of 8 after 8 episodes; lengths vary
    parts = result["parts_s"]
    assert all(parts[part] > 0 for part in bench.PARTS)
    assert sum(parts.values()) == pytest.approx(result["cpu_s"])
    assert 0 <= parts["other"] < 0.5 * result["cpu_s"]  # below 0: something was counted twice
    # Multiply-adds: what the learner's formula says for the sampled steps, over its own time, over the given rate.
    sampled = result["replay_ratio"] * result["env_steps"]
    assert 10_000 < result["share_of_peak"] * 1e9 * parts["learning"] / sampled < 1_000_000


def test_cleanmarls_meter_stops_when_the_time_is_up():
    meter = cleanmarl.Meter(0.01)
    writer = meter("runs/name")
    writer.add_scalar("rollout/ep_reward", 1.0, 5)
    assert meter.first is None
    writer.add_scalar("train/loss", 1.0, 100)
    with pytest.raises(Exception, match="^$") as stop:
        for step in range(110, 10**9, 10):
            time.sleep(0.001)
            writer.add_scalar("train/loss", 1.0, step)
    assert type(stop.value).__name__ == "EnoughError"
    assert meter.last[0] - meter.first[0] >= 0.01
    assert meter.last[2] - meter.first[2] == 10 * meter.updates


def test_epymarls_meter_counts_between_first_and_last_update():
    meter = epymarl.Meter(0.0)
    meter.seconds = 1e9
    for env_steps in (100, 150, 210):
        meter.look(env_steps, 800)
    meter.seconds = 0.0
    with pytest.raises(Exception, match="^$"):
        meter.look(260, 800)
    assert meter.last[2] - meter.first[2] == 160 and meter.sampled == 3 * 800  # the last update was not made
    assert meter.peak_bytes > 10e6


def test_full_buffer_memory_is_measured_after_it_is_full(monkeypatch):
    class Small(bench.Training):
        def __init__(self, case):
            super().__init__(case)
            self.buffer.capacity = 40

    monkeypatch.setattr(bench, "Training", Small)
    result = bench.measure_memory("3m")
    assert result["episodes"] == 40 and result["env_steps"] >= result["buffer_steps"] > 40
    assert 0 < result["buffer_bytes"] < result["peak_bytes"]
    json.dumps(result)
