"""The script that measures adapters: both sides play the same games, and its table holds what it measured."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmark.speed import environments
from benchmark.speed.environments import CASES, STILL, Row, advance, make, measure, random_actions, seeds_of, table
from dimix.envs.packages import Package


@pytest.mark.parametrize("case", [*CASES, STILL], ids=lambda c: c.name)
def test_the_bare_environment_takes_the_adapters_actions(case):
    if case.package and not case.package.installed:
        pytest.skip(f"{case.package.module} is not installed: {case.package.install}")
    env, rng = make(case, "base"), np.random.default_rng(0)
    bare = case.bare([seeds_of(game) for game in range(case.games)])
    env.reset()
    for _ in range(3):
        action = random_actions(env, rng)
        bare(action)
        advance(env, action)
    env.close()


def test_both_sides_play_the_same_games(monkeypatch):
    from lbforaging.foraging import ForagingEnv

    case, seen = CASES[0], []
    step = ForagingEnv.step

    def spy(self, actions):
        shown = step(self, actions)
        seen.append([shown[0], shown[1], shown[2]])
        return shown

    monkeypatch.setattr(ForagingEnv, "step", spy)
    env, rng = make(case, "base"), np.random.default_rng(0)
    env.reset()
    actions = rng.integers(0, 6, (120, case.games, 2))  # two episodes and more
    for action in actions:
        advance(env, action)
    adapter, seen[:] = list(seen), []
    bare = case.bare([seeds_of(game) for game in range(case.games)])
    for action in actions:
        bare(action)
    assert len(seen) == len(adapter) == 120 * case.games and any(shown[2] for shown in seen)
    for one, two in zip(adapter, seen, strict=True):
        np.testing.assert_equal(one, two)


def test_one_case_is_measured():
    row = measure(CASES[0], rounds=3, round_s=0.02)
    assert row.name == "Foraging-8x8-2p-2f-v3"
    assert 0 < row.bare_us < 1e5 and 0 < row.adapter_us < 1e5 and row.processes_us > 0
    assert row.lost_quartiles[0] <= row.lost <= row.lost_quartiles[1] < 1


def test_table_by_hand():
    rows = [
        Row("game", 8, 90.0, 100.0, 0.1, (0.08, 0.12), 300.4, 2),
        Row("b", 32, 9.0, 9.5, 0.05, (0.0, 0.06), None, 1),
    ]
    assert table(rows).splitlines() == [
        "Microseconds per step of one game. Processes: 2 of them, wall time.",
        "",
        "| environment | games | bare | adapter | lost (quartiles) | processes |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| game | 8 | 90.0 | 100.0 | 10.0% (8.0% to 12.0%) | 300 |",
        "| b | 32 | 9.0 | 9.5 | 5.0% (0.0% to 6.0%) |  |",
    ]


def test_what_is_not_installed_is_left_out_and_said(monkeypatch, capsys):
    missing = Package("no_such_package", "pip install it")
    case = environments.Case(**{**vars(CASES[0]), "package": missing})
    monkeypatch.setattr(environments, "CASES", [case])
    monkeypatch.setattr(sys, "argv", ["environments.py", "--only", "Foraging"])
    environments.main()
    said = "Foraging-8x8-2p-2f-v3 is left out: no_such_package is not installed. pip install it\n"
    assert capsys.readouterr().out == said
