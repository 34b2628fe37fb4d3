"""The kit finds what is broken: each check passes here, and fails where what it checks is spoilt."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from dimix.check import CHECKS, kit, run_checks, table
from dimix.check.battle import recorded_battle
from dimix.check.games import GAMES, config, every_game
from dimix.check.kit import Check
from dimix.check.updates import from_reordered
from dimix.cli import command
from dimix.entry.rooms import make_policy
from dimix.model import Mixer, QMix
from dimix.policy import QMIXPolicy, exploration, value_learning
from dimix.replay.priorities import Priorities
from dizoo.smac.battle.recording.verify import SHIPPED

BY_NAME = {check.name: check for check in CHECKS}
LEARNED = {entry[0] for entry in GAMES}


@pytest.mark.parametrize("name", [check.name for check in CHECKS if check.name not in LEARNED])
def test_oracles_pass(name):
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
        ("IQL update", QMIXPolicy, "_counts", lambda self, batch: batch.alive),
        ("CW-QMIX update", value_learning, "masked_argmax", lambda q, mask: q.argmax(-1)),
        ("QPLEX update", value_learning, "masked_max", lambda q, mask: q.amax(-1)),
        ("Qatten update", torch, "softmax", lambda x, dim: torch.sigmoid(x)),
        ("QTRAN-base update", value_learning, "masked_argmax", lambda q, mask: q.argmax(-1)),
        ("padding", QMIXPolicy, "_step_mask", lambda self, batch: torch.ones_like(batch.filled)),
        ("agent order", QMix, "mix", lambda self, q, state, **more: q @ torch.arange(3.0, dtype=q.dtype)),
        ("WQMIX weights", value_learning, "masked_argmax", lambda q, mask: q.argmax(-1)),
    ],
)
def test_a_broken_part_fails_its_check(monkeypatch, name, owner, attribute, broken):
    monkeypatch.setattr(owner, attribute, broken)
    assert not BY_NAME[name].run()[0]


def test_a_battle_that_went_otherwise_fails(tmp_path):
    (recorded,) = SHIPPED.glob("*.npz")
    with np.load(recorded) as trace:
        arrays = dict(trace)
    arrays["reward"] = arrays["reward"] + 1
    np.savez(tmp_path / "other.npz", **arrays)
    passed, measured = recorded_battle(tmp_path)
    assert not passed and measured.startswith("FAIL other.npz: ticks")


@pytest.mark.parametrize("algorithm", ["QMIX", "OW-QMIX"])
def test_a_monotonic_mixer_knows_its_agents_by_their_place(algorithm):
    values, update = from_reordered(algorithm)
    assert values < 1e-12 and update > 0.01


def test_every_cue_is_asked_for_once_with_every_answer():
    compiled = config("cue", "qmix", {}, lstm_type="gru")
    batch = every_game(compiled, make_policy(compiled))
    cue = batch.obs.agent_state[:, 0, 0, 2].int().tolist()
    games = {(c, *answer.tolist()): r for c, answer, r in zip(cue, batch.action[:, 3], batch.reward[:, 3], strict=True)}
    assert len(games) == len(batch.action) == 8 and not batch.action[:, :3].any()
    assert games[0, 0, 0] == games[1, 1, 1] == 1 and games[0, 1, 1] == games[1, 0, 0] == 0


def test_the_table_fits_a_terminal():
    outcomes = [kit.Outcome(check, True, "off by 1e-16, float32 1e-07", 10.0) for check in CHECKS]
    assert max(map(len, table(outcomes).splitlines())) <= 120


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
