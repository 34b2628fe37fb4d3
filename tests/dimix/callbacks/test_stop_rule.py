"""When a run stops by its own rule."""

from types import SimpleNamespace

import pytest

from dimix.callbacks import StopRule


def ask(rule, scores, env_step, train_iter, has_win=True):
    """What the rule says after evaluations with these scores."""
    run = SimpleNamespace(info=SimpleNamespace(has_win=has_win), env_step=env_step, train_iter=train_iter)
    for score in scores:
        rule.on_eval_end(run, {"eval/battle_won": score, "eval/ep_reward": 10 * score})
    return rule.stop_reason(run)


@pytest.mark.parametrize(
    ("scores", "env_step", "train_iter", "reason"),
    [
        ([], 0, 0, None),
        ([1.0, 1.0], 0, 0, None),  # two evaluations are no window of three
        ([0.0, 1.0, 1.0, 1.0], 0, 0, "stop_value"),
        ([1.0, 1.0, 0.84], 0, 0, None),  # mean 0.947
        ([1.0, 1.0, 0.85], 0, 0, "stop_value"),  # mean 0.95
        ([1.0, 1.0, 1.0, 0.0], 0, 0, None),  # one lucky stretch that is over
        ([], 999, 0, None),
        ([], 1000, 0, "env_step"),
        ([], 0, 50, "train_iter"),
        ([1.0] * 3, 1000, 50, "stop_value"),
    ],
)
def test_reason(scores, env_step, train_iter, reason):
    assert ask(StopRule(0.95, 3, 1000, 50), scores, env_step, train_iter) == reason


@pytest.mark.parametrize(
    ("scores", "env_step", "goes_on", "reason_then"),
    [
        ([1.0] * 3, 500, True, None),
        ([1.0] * 3, 1000, False, "stop_value"),  # no room left
        ([0.5] * 3, 500, False, None),  # good scores are still to come, and may end it
    ],
)
def test_more_can_be_asked_of_a_run_that_is_good_enough(scores, env_step, goes_on, reason_then):
    rule = StopRule(0.95, 3, 1000)
    run = SimpleNamespace(info=SimpleNamespace(has_win=True), env_step=env_step, train_iter=0)
    ask(rule, scores, env_step, 0)
    assert rule.go_on(run) is goes_on
    resumed = StopRule(0.95, 3, 1000)
    resumed.load_state_dict(rule.state_dict())
    assert resumed.stop_reason(run) == reason_then
    assert ask(resumed, [1.0] * 3, 999, 0) == (None if goes_on else "stop_value")
    assert ask(resumed, [], 1000, 0) == ("env_step" if goes_on else "stop_value")


def test_no_limits_never_stop():
    assert ask(StopRule(2.0, 1), [1.0], 10**12, 10**12) is None


def test_the_return_counts_where_nothing_is_won():
    assert ask(StopRule(9.0, 1), [0.9], 0, 0, has_win=False) == "stop_value"
    assert ask(StopRule(9.0, 1), [0.9], 0, 0, has_win=True) is None


@pytest.mark.parametrize(
    ("jitter", "reason"), [([1.0, 0.9, 0.8], "stop_value"), ([1.0, 0.9, 0.7], None), ([1.0, 1.0], None), ([], None)]
)
def test_games_from_moved_starts_have_to_be_won_as_well(jitter, reason):
    rule = StopRule(0.95, 3, jitter_value=0.9)
    run = SimpleNamespace(info=SimpleNamespace(has_win=True), env_step=0, train_iter=0)
    for share in [*[None] * (3 - len(jitter)), *jitter]:
        moved = {} if share is None else {"eval/battle_won_jitter": share}
        rule.on_eval_end(run, {"eval/battle_won": 1.0, "eval/ep_reward": 20.0, **moved})
    resumed = StopRule(0.95, 3, jitter_value=0.9)
    resumed.load_state_dict(rule.state_dict())
    assert rule.stop_reason(run) == resumed.stop_reason(run) == reason
    assert StopRule(0.95, 3).stop_reason(run) is None


def test_state_round_trip():
    rule, other = StopRule(0.95, 3), StopRule(0.95, 3)
    ask(rule, [1.0, 1.0], 0, 0)
    other.load_state_dict(rule.state_dict())
    assert ask(other, [1.0], 0, 0) == "stop_value"
    assert rule.scores == [1.0, 1.0]
    other.load_state_dict({"scores": [1.0] * 3})  # as it was saved before more could be asked for
    assert ask(other, [], 0, 0) == "stop_value"
