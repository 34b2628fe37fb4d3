"""Battles that begin in the middle of won games: where they begin, how often, and that it can be resumed."""

from dataclasses import replace

import numpy as np
import pytest

from dizoo.smac.battle import BattleEngine
from dizoo.smac.battle.backplay import BAND_STEPS, LEAST_WEIGHT, RATE, Backplay
from dizoo.smac.battle.search import won_games

STREAM = ("stream_key", "stream_count")


@pytest.fixture(scope="module")
def games():
    return won_games("3m", 6, battles=100, seed=2, threads=1)


def make(games, num_envs=8, share=1.0, seed=0, jitter=0.0):
    engine = BattleEngine("3m", num_envs, seed=5, num_threads=1, start_jitter=jitter)
    return engine, Backplay(engine.scenario, games, num_envs, share, seed)


def states_of(plan):
    """The state before every step of a game, played in an engine of its own."""
    engine = BattleEngine("3m", 1, num_threads=1)
    engine.set_state(plan.start)
    states = []
    for actions in plan.actions:
        states.append(engine.get_state())
        engine.step(actions[None])
    assert engine.battle_won[0]
    return states


def test_battles_begin_at_moments_of_the_games_with_random_streams_of_their_own(games):
    engine, backplay = make(games, num_envs=40)
    assert backplay.moments == sum(len(plan.actions) - 1 for plan in games)  # all but the starts
    streams = {name: engine.get_state()[name] for name in STREAM}
    backplay.begin(engine, np.arange(40))
    now = engine.get_state()
    known = [state for plan in games for state in states_of(plan)[1:]]
    for e in range(40):
        same = [all(np.array_equal(s[n][0], now[n][e]) for n in s if n not in STREAM) for s in known]
        assert any(same), e
    for name in STREAM:
        np.testing.assert_array_equal(now[name], streams[name])
    assert (engine.episode_length > 0).all() and engine.action_mask.any(-1).all()


def test_the_rest_of_a_game_wins_it_from_the_middle_too(games):
    plan = games[0]
    states, t = states_of(plan), len(plan.actions) // 2
    engine = BattleEngine("3m", 2, num_threads=1)
    engine.step(np.ones((2, 3), int))
    engine.set_state(states[t], [1])
    for actions in plan.actions[t:]:
        waiting = np.where(engine.action_mask[0, :, 0], 0, 1)
        engine.step(np.stack([waiting, actions]))
    assert engine.battle_won.tolist() == [False, True]


def test_only_the_given_battles_and_about_the_given_share_of_them(games):
    engine, backplay = make(games, num_envs=400, share=0.25)
    ids = np.arange(0, 400, 2)
    backplay.begin(engine, ids)
    begun = engine.episode_length > 0
    assert not begun[1::2].any()
    assert 30 <= begun[ids].sum() <= 70  # 50 expected of 200, standard deviation 6.1
    engine, backplay = make(games, share=0.0)
    backplay.begin(engine, np.arange(8))
    assert not engine.episode_length.any()


def test_bands_are_chosen_by_what_is_won_from_there_and_from_the_next(games):
    engine, backplay = make([replace(plan, family=3 + i % 2) for i, plan in enumerate(games)], num_envs=4000)
    half = len({(len(p.actions) - t) // BAND_STEPS for p in games[::2] for t in range(1, len(p.actions))})
    bands = len(backplay.won)
    assert half >= 3 and bands - half >= 3
    backplay.won[:] = 0.0
    backplay.won[0] = 1.0
    backplay.won[1] = 0.5
    backplay.begin(engine, np.arange(4000))
    chosen = np.bincount(backplay._begun_in, minlength=bands) / 4000
    expected = np.full(bands, LEAST_WEIGHT)
    # first family: (1 - 1) (1 + 0.1) = 0, then (1 - 0.5) (0.5 + 0.1) = 0.3, then (1 - 0) (0 + 0.05) = 0.05, then 0;
    # the second one's last band: (1 - 0) (0 + 0.1) = 0.1
    expected[[1, 2, half]] += (0.3, 0.05, 0.1)
    np.testing.assert_allclose(chosen, expected / expected.sum(), atol=0.04)


def test_a_band_is_of_one_family_and_of_about_as_many_steps_to_go(games):
    engine, backplay = make([replace(plan, family=i % 2) for i, plan in enumerate(games)], num_envs=500)
    backplay.begin(engine, np.arange(500))
    lengths = {plan.start["stream_key"][0]: plan for plan in backplay.plans}
    assert len(lengths) <= len(games)
    seen: dict[int, set[int]] = {}
    for e, band in enumerate(backplay._begun_in):
        seen.setdefault(int(band), set()).add(int(engine.episode_length[e]))
    longest = max(len(plan.actions) for plan in games) - min(len(plan.actions) for plan in games)
    assert all(max(steps) - min(steps) < BAND_STEPS + longest for steps in seen.values())
    one = make([replace(plan, family=0) for plan in games])[1]
    two = make([replace(plan, family=i % 2) for i, plan in enumerate(games)])[1]
    assert len(one.won) < len(two.won) <= 2 * len(one.won)


def test_win_rates_follow_the_battles_that_began_there(games):
    engine, backplay = make(games, num_envs=3)
    backplay.begin(engine, np.arange(2))
    a, b = backplay._begun_in[:2]
    expected = backplay.won.copy()
    expected[a] += RATE * (1 - expected[a])
    expected[b] += RATE * (0 - expected[b])
    backplay.ended(np.arange(3), np.array([True, False, True]))  # the third began at the start: nothing to learn
    np.testing.assert_allclose(backplay.won, expected)
    assert (backplay._begun_in == -1).all()
    backplay.ended(np.arange(3), np.array([True, True, True]))  # told once
    np.testing.assert_allclose(backplay.won, expected)


def test_news_tell_what_is_won_from_each_quarter_of_the_games(games, monkeypatch):
    monkeypatch.setattr("dizoo.smac.battle.backplay.NEWS_EVERY", 400)
    engine, backplay = make(games, num_envs=200)
    played = np.zeros(200, np.int64)
    for done in (False, True):
        engine.reset()
        backplay.begin(engine, np.arange(200))
        length = np.array([len(plan.actions) for plan in games])
        played[:] = engine.episode_length
        assert (played < length.max()).all()
        parts = backplay._begun_part.copy()
        # a battle that began at a third of the shortest game or earlier is in no last quarter, and the other way round
        assert (parts[played < length.min() / 3] < 3).all() and (parts[played >= length.max() * 0.75] == 3).all()
        backplay.ended(np.arange(200), parts == 3)  # won from the last quarter, lost from all others
        assert (backplay.news() is not None) == done
    engine.reset()
    backplay.begin(engine, np.arange(200))
    backplay.ended(np.arange(200), backplay._begun_part == 3)
    assert backplay.news() is None  # counted anew
    engine.reset()
    backplay.begin(engine, np.arange(200))
    backplay.ended(np.arange(200), backplay._begun_part == 3)
    news = backplay.news()
    assert news is not None and news.endswith("first 0.00, second 0.00, third 0.00, last 1.00")


def test_what_is_restored_goes_on_alike(games):
    engine, backplay = make(games, jitter=0.3)
    backplay.begin(engine, np.arange(8))
    backplay.ended(np.arange(4), np.array([True] * 8))
    twin_engine = BattleEngine("3m", 8, seed=1, num_threads=1, start_jitter=0.3)
    twin_engine.set_state(engine.get_state())
    twin = Backplay.from_state_dict(engine.scenario, backplay.state_dict(), 1.0)
    assert all(np.array_equal(a.actions, b.actions) for a, b in zip(backplay.plans, twin.plans, strict=True))
    for one, state in ((backplay, engine), (twin, twin_engine)):
        one.ended(np.arange(8), np.array([False] * 8))
        state.reset()
        one.begin(state, np.arange(8))
    np.testing.assert_array_equal(backplay.won, twin.won)
    for name, value in engine.get_state().items():
        np.testing.assert_array_equal(value, twin_engine.get_state()[name], err_msg=name)
