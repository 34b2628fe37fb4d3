"""The kit finds what is broken: each check passes here, and fails where what it checks is spoilt."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from dimix import value_learning
from dimix.check import CHECKS, kit, run_checks, table
from dimix.check.games import config, every_game
from dimix.check.kit import Check
from dimix.check.oracles import ORACLES
from dimix.cli import command
from dimix.entry.rooms import make_policy
from dimix.model import Mixer
from dimix.policy import exploration
from dimix.worker.priorities import Priorities

BY_NAME = {check.name: check for check in CHECKS}


@pytest.mark.parametrize("name", [entry[0] for entry in ORACLES])
def test_oracles_pass(name):
    passed, measured = BY_NAME[name].run()
    assert passed, measured


@pytest.mark.parametrize("name", ["VDN, two steps", "QMIX, rows", "OW-QMIX, rows"])
def test_games_have_their_known_answers(name):
    passed, measured = BY_NAME[name].run()
    assert passed, measured


def spoilt_td(reward, terminated, filled, next_q, gamma, lam):
    return value_learning.one_step_targets(reward, terminated, next_q, gamma)


def spoilt_leak(reward, terminated, filled, next_q, gamma, n):
    return value_learning.one_step_targets(reward, torch.zeros_like(terminated), next_q, gamma)


@pytest.mark.parametrize(
    ("name", "owner", "attribute", "broken"),
    [
        ("TD(lambda)", value_learning, "td_lambda_targets", spoilt_td),
        ("n-step", value_learning, "n_step_targets", spoilt_leak),
        ("priorities", Priorities, "beta", 0.5),
        ("mixer", Mixer, "forward", lambda self, q, state: -q.sum(-1)),
        ("masks", exploration, "_choose", lambda q, mask, chance, coins: np.asarray(q).argmax(-1)),
    ],
)
def test_a_broken_part_fails_its_check(monkeypatch, name, owner, attribute, broken):
    monkeypatch.setattr(owner, attribute, broken)
    assert not BY_NAME[name].run()[0]


def test_every_game_is_played_once():
    compiled = config("two_step", "qmix", {})
    batch = every_game(compiled, make_policy(compiled))
    actions = {tuple(game.flatten().tolist()) for game in batch.action}
    assert batch.action.shape == (16, 2, 2) and len(actions) == 16
    best = batch.reward[:, 1] == 8
    assert batch.action[best][:, 0, 0].tolist() == [1, 1]  # agent 1's first action does not matter
    assert (batch.action[best][:, 1] == 1).all()
    assert batch.terminated[:, 1].all() and not batch.terminated[:, 0].any()


def fake(passes):
    return [
        Check("good", "something", "1", lambda: (True, "1")),
        Check("other", "more", "2", lambda: (True, "2") if passes else 1 / 0),
    ]


def test_an_error_is_a_failure_and_the_others_still_run():
    outcomes = list(run_checks(fake(False)[::-1]))
    assert [o.passed for o in outcomes] == [False, True]
    assert outcomes[0].measured == "ZeroDivisionError: division by zero"
    assert [line.split()[0] for line in table(outcomes).splitlines()] == ["check", "other", "good"]


@pytest.mark.parametrize("passes", [True, False])
def test_the_exit_status_tells(monkeypatch, passes):
    monkeypatch.setattr(kit.run_checks, "__defaults__", (fake(passes),))
    shown = CliRunner().invoke(command, ["-m", "check"])
    assert shown.exit_code == (0 if passes else 1)
    assert ("FAIL  other: ZeroDivisionError" in shown.output) is not passes
