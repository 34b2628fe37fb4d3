"""The simulator benchmark: its table by hand, its peers by a stand-in, and a small real run."""

import json
import sys

import pytest

from benchmark import provenance
from benchmark.peers.simulators import Clock
from benchmark.speed import simulator


def test_table_by_hand():
    report = {
        "command": "python -m benchmark.speed.simulator",
        "machine": {"cpu": "X", "cores": 2, "load": 0.1, "python": "3.11", "numpy": "2", "numba": "0.6"},
        "batch": 256,
        "rules": "smaclite",
        "peers": ["smaclite"],
        "maps": {
            "MMM": {
                "one_core": {"steps_per_cpu_s": 50_000.0, "steps_per_s": 40_000.0, "bytes_per_battle": 2048.0},
                "all_cores": {"steps_per_s": 76_000.0},
                "peers": {"smaclite": {"steps_per_cpu_s": 62.5}},
            },
            "3m": {
                "one_core": {"steps_per_cpu_s": 200_000.0, "steps_per_s": 200_000.0, "bytes_per_battle": 512.0},
                "all_cores": {"steps_per_s": 380_000.0},
                "peers": {},
            },
        },
    }
    rows = [line for line in simulator.as_markdown(report).splitlines() if line.startswith("|")]
    assert rows[0] == "| map | 1 core | us/step | 2 cores | scaling | KiB/battle | smaclite | ratio |"
    # 1e6 / 50,000 = 20 us; 76 / 40 = 1.90; 50,000 / 62.5 = 800
    assert rows[2] == "| MMM | 50,000 | 20.0 | 76,000 | 1.90 | 2.0 | 62 | 800x |"
    assert rows[3] == "| 3m | 200,000 | 5.0 | 380,000 | 1.90 | 0.5 | - | - |"


def test_a_peer_that_fails_says_why():
    result = simulator.measure_peer("smaclite", sys.executable, "no_such_map", 0.1)
    assert set(result) == {"error"} and ("smaclite" in result["error"] or "gymnasium" in result["error"])


def test_a_small_real_run(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "RESULTS", tmp_path)
    monkeypatch.setattr(simulator, "find_peers", lambda args: {})
    arguments = ["--maps", "2m_vs_1z", "--seconds", "0.05", "--batch", "8", "--no-start", "--write"]
    assert simulator.main([*arguments, "--smaclite-python", "/secret/python"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Environment steps per second") and "| 2m_vs_1z |" in printed
    report = json.loads((tmp_path / "simulator.json").read_text())
    one = report["maps"]["2m_vs_1z"]["one_core"]
    assert one["threads"] == 1 and one["steps"] % 8 == 0 and one["steps"] >= 8
    assert one["steps_per_s"] > 1000  # a hundred times below what it does, a hundred times above plain Python
    assert "PYTHON" in report["command"] and "secret" not in report["command"]


def test_the_peers_clock_counts_only_what_is_inside():
    clock = Clock()
    calls = []

    def step():
        calls.append(1)
        with clock:
            sum(range(20_000))
        sum(range(200_000))  # not timed

    result = clock.measure(step, 7, 0.01)
    timed = len(calls) - 3  # three calls to warm up
    assert result["steps"] == 7 * timed
    assert clock.wall >= 0.01 and result["steps_per_s"] == pytest.approx(7 * timed / clock.wall)
