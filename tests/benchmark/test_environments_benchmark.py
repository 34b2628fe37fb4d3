"""The script that measures adapters: it plays what it says, and its table holds what it measured."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark import environments
from benchmark.environments import CASES, Row, measure, table


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_bare_and_adapter_play_the_same_game(case):
    env = environments.make(case, 1, type="base")
    env.reset()
    counts = env.action_mask[0].sum(-1)
    bare = case.bare()
    for t in range(3):  # a bare environment refuses actions that it does not have
        bare(np.asarray(counts - 1), t)
        environments._advance(env, (counts - 1)[None])
    assert env.episode_length[0] == 3


def test_one_case_is_measured(monkeypatch):
    row = measure(CASES[0], rounds=2, round_s=0.02)
    assert row.name == "Foraging-8x8-2p-2f-v3"
    assert 0 < row.bare_us < 1e5 and 0 < row.adapter_us < 1e5 and row.processes_us > 0
    assert row.lost == pytest.approx(1 - row.bare_us / row.adapter_us)


def test_table_by_hand():
    text = table([Row("game", 90.0, 100.0, 0.1, 300.4, 2)])
    assert text.splitlines()[0] == "Microseconds per step of one game; processes: 8 games in 2, wall time."
    assert text.splitlines()[-1] == "| game | 90 | 100 | 10.0% | 300 |"
