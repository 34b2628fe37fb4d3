"""Each finding on recorded numbers that show it, and on the nearest that do not."""

from pathlib import Path

import numpy as np
import pytest

from dimix.envs.recordable import GameEnd
from dimix.plot.runs import Run
from dimix.report import findings
from dimix.report.findings import FINDINGS, Evidence, find_all


def run(config=None, every=1000, **metrics):
    """A run with a row per value: ``eval_won`` is ``eval/battle_won``; shorter metrics fill the last rows."""
    rows = max(map(len, metrics.values()))
    columns = {"env_step": every * np.arange(rows, dtype=float)}
    for name, values in metrics.items():
        column = np.full(rows, np.nan)
        column[rows - len(values) :] = values
        columns[NAMES[name]] = column
    return Run(Path("runs/seed0"), columns, config or {})


NAMES = {
    "won": "eval/battle_won",
    "jitter": "eval/battle_won_jitter",
    "jitter_games": "eval/games_played_jitter",
    "distinct": "eval/distinct_games",
    "length": "eval/ep_length",
    "greedy": "eval/ep_reward",
    "spread": "eval/std_ep_reward",
    "epsilon": "rollout/epsilon",
    "rollout": "rollout/ep_reward",
    "episodes": "rollout/num_episodes",
    "q": "train/q_tot",
    "loss": "train/loss",
    "ratio": "train/replay_ratio",
    "updates": "train/num_updates",
    "wall": "speed/seconds",
    "cpu": "speed/cpu_seconds",
}


def cut(**survivors):
    return GameEnd(False, True, {"marine": 2, "medivac": 1}, survivors)


def test_games_that_end_with_the_time():
    lost = run(won=[0.0] * 10, length=[118.0] * 10)
    found = findings.games_end_with_the_time(Evidence(lost, 120, [cut(medivac=1), cut(medivac=1, marine=0)]))
    assert found.title == "Games end with the time"
    assert found.text.startswith("Evaluation games last 118 of at most 120 steps; 0% are won.")
    assert "In all 2 recorded games that were cut, only one unit type survives: medivac." in found.text
    both = findings.games_end_with_the_time(Evidence(lost, 120, [cut(medivac=1, marine=2)]))
    assert "only one unit type" not in both.text and "does not attack" in both.text


@pytest.mark.parametrize(
    ("won", "length", "limit"),
    [([1.0] * 10, [118.0] * 10, 120), ([0.0] * 10, [60.0] * 10, 120), ([0.0], [118.0], None)],
)
def test_games_that_are_decided(won, length, limit):
    assert findings.games_end_with_the_time(Evidence(run(won=won, length=length), limit)) is None


FALL = [1.0, 0.7, 0.4, 0.05, 0.05, 0.05, 0.05, 0.05]


def test_epsilon_that_fell_too_early():
    """At step 3000 epsilon is at its end; the return went from 1.4 to 1.6, a tenth of its final rise to 3.4."""
    late = run({"policy.other.eps.decay": 3000}, epsilon=FALL, greedy=[1.4, 1.5, 1.6, 1.6, 2.0, 2.5, 3.4, 3.3])
    found = findings.explored_too_briefly(Evidence(late))
    assert (
        "Epsilon was down to 0.05 at env step 3.0k. Until then the return had gone from 1.40 to at most 1.60"
        in found.text
    )
    assert "the best since is 3.40" in found.text and "policy.other.eps.decay=12000 instead of 3000" in found.text


def test_epsilon_that_fell_in_time():
    early = run(epsilon=FALL, greedy=[1.4, 2.5, 4.0, 6.0, 7.0, 7.0, 7.5, 7.2])
    assert findings.explored_too_briefly(Evidence(early)) is None
    won = run(epsilon=FALL, greedy=[1.4, 1.4, 1.4, 1.4, 20, 20, 20, 20], won=[1.0] * 8)
    assert findings.explored_too_briefly(Evidence(won)) is None
    constant = run(epsilon=[0.05] * 8, greedy=[1.0] * 8)
    assert findings.explored_too_briefly(Evidence(constant)) is None


def test_values_beyond_every_return():
    """Quarters of q 1, 10, 100, 1000 against returns of at most 20."""
    grows = run(q=np.repeat([1.0, 10.0, 100.0, 1000.0], 3), rollout=[20.0] * 12)
    found = findings.values_grow_without_bound(Evidence(grows))
    assert "train/q_tot rose from 10 to 1e+03, but no return was beyond 20" in found.text
    assert (
        "train/loss rose"
        in findings.values_grow_without_bound(Evidence(run(loss=np.repeat([0.1, 0.1, 1.0, 10.0], 3)))).text
    )


@pytest.mark.parametrize(
    "metrics",
    [
        dict(q=np.repeat([1.0, 5.0, 12.0, 18.0], 3), rollout=[20.0] * 12),  # towards the return
        dict(q=np.repeat([1.0, 100.0, 60.0, 50.0], 3), rollout=[20.0] * 12),  # too high, but coming down
        dict(loss=np.repeat([0.1, 0.5, 0.9, 1.1], 3)),
        dict(q=[1000.0] * 4, rollout=[20.0] * 4),  # too few to tell
    ],
)
def test_values_that_stay_bounded(metrics):
    assert findings.values_grow_without_bound(Evidence(run(**metrics))) is None


def test_rewards_on_another_scale_have_no_bound_to_compare_with():
    metrics = dict(q=np.repeat([1.0, 10.0, 30.0, 50.0], 3), rollout=[20.0] * 12)
    assert findings.values_grow_without_bound(Evidence(run({"policy.learn.reward_scale": 2.0}, **metrics))) is None
    assert (
        findings.values_grow_without_bound(Evidence(run({"policy.learn.reward_standardise": True}, **metrics))) is None
    )


def test_greedy_below_random():
    """Means 5 and 8; standard errors 0 and 0.1."""
    rollout = [8.0 + 0.3 * (-1) ** i for i in range(12)]
    found = findings.greedy_is_worse_than_random(Evidence(run(greedy=[5.0] * 12, rollout=rollout, epsilon=[0.05] * 12)))
    assert "the greedy return is 5.00, in training games, with random actions, 8.00" in found.text


@pytest.mark.parametrize(
    ("config", "greedy"),
    [
        ({}, [9.0] * 12),
        ({}, [7.9] * 12),
        ({"env.start_jitter": 0.5}, [5.0] * 12),
        ({"env.backplay.share": 0.5}, [5.0] * 12),
    ],
)
def test_greedy_not_below_random_or_not_comparable(config, greedy):
    rollout = [8.0 + 0.3 * (-1) ** i for i in range(12)]
    assert findings.greedy_is_worse_than_random(Evidence(run(config, greedy=greedy, rollout=rollout))) is None


def test_a_win_by_heart():
    metrics = dict(won=[1.0] * 10, jitter_games=[32.0] * 10, distinct=[1.0] * 10)
    found = findings.won_by_heart(Evidence(run(jitter=[0.25] * 10, **metrics)))
    assert "100% of the games from the map's own start are won, 25% of those from moved starts" in found.text
    assert "An evaluation's games were 1 different." in found.text
    assert findings.won_by_heart(Evidence(run(jitter=[0.9] * 10, **metrics))) is None
    assert findings.won_by_heart(Evidence(run(won=[1.0] * 10))) is None  # no moved starts
    few = dict(metrics, jitter_games=[2.0])
    assert findings.won_by_heart(Evidence(run(jitter=[0.5], **few))) is None  # two games prove nothing


TARGET = {
    "policy.learn.target_update_freq": 0,
    "policy.learn.target_update_interval": 0,
    "policy.learn.target_update_theta": 0.05,
}


@pytest.mark.parametrize(
    ("config", "metrics", "text"),
    [
        (TARGET, dict(ratio=[0.25], updates=[1e4], episodes=[1e3]), "Each step played was learned from 0.25 times"),
        (TARGET, dict(updates=[100.0], episodes=[1e3]), "followed the online one 5 times in 100 updates"),
        (TARGET | {"policy.learn.target_update_freq": 200}, dict(updates=[3e3], episodes=[1e3]), "freq=200"),
        (TARGET | {"policy.learn.target_update_interval": 200}, dict(updates=[3e3], episodes=[1e3]), "interval=200"),
    ],
)
def test_too_few_updates(config, metrics, text):
    found = findings.too_few_updates(Evidence(run(config, **metrics)))
    assert text in found.text
    assert findings.too_few_updates(Evidence(run(config, won=[1.0], **metrics))) is None


def test_updates_enough():
    enough = dict(ratio=[8.0], updates=[1e4], episodes=[8e3])
    for changed in ({}, {"policy.learn.target_update_freq": 200}, {"policy.learn.target_update_interval": 200}):
        assert findings.too_few_updates(Evidence(run(TARGET | changed, **enough))) is None


def test_floors():
    won = run(won=[0.9] * 10)
    found = findings.floor_wins_the_map(Evidence(won, floors={"random": 0.02, "attack_nearest": 1.0}))
    assert "own start, attack_nearest 100%; this run 90%." in found.text
    assert findings.floor_wins_the_map(Evidence(won, floors={"random": 0.02, "attack_nearest": 0.6})) is None
    assert findings.floor_wins_the_map(Evidence(run(won=[0.0]), floors={"random": 0.01})) is None


def test_waiting_for_the_processor():
    found = findings.waited_for_the_processor(Evidence(run(wall=[100.0, 200.0], cpu=[60.0, 90.0])))
    assert "It computed for 45% of its 3m20s" in found.text
    assert findings.waited_for_the_processor(Evidence(run(wall=[200.0], cpu=[190.0]))) is None


def test_every_finding_is_listed_and_says_what_it_looks_for():
    functions = {
        f
        for name, f in vars(findings).items()
        if callable(f) and getattr(f, "__annotations__", {}).get("return") == "Finding | None"
    }
    assert functions == set(FINDINGS)
    assert all((f.__doc__ or "").strip().endswith(".") for f in FINDINGS)


def test_any_metrics_can_be_looked_at():
    """Random ones, of which some are missing: no error, no number that is none."""
    rng, titles = np.random.default_rng(0), set()
    for _ in range(500):
        names = [name for name in NAMES if rng.random() < 0.7] or ["won"]
        scale = 10.0 ** rng.integers(-2, 4)
        metrics = {name: scale * rng.random(rng.integers(1, 15)) ** 3 for name in names}
        metrics |= {name: np.minimum(metrics[name], 1) for name in ("won", "jitter") if name in metrics}
        for found in find_all(Evidence(run(TARGET, **metrics), 60, [cut(medivac=1)], {"random": 0.6})):
            assert "nan" not in found.text and "inf" not in found.text, found
            titles.add(found.title)
    assert len(titles) > 5
