"""Battles that begin in the middle of won games: where they begin, how often, and that it can be resumed."""

from dataclasses import replace

import numpy as np
import pytest

from dizoo.smac.battle import BattleEngine
from dizoo.smac.search.backplay import BAND_STEPS, FOLLOW_STEPS, LEAST_WEIGHT, RATE, Backplay
from dizoo.smac.search.search import won_games

STREAM = ("stream_key", "stream_count")


@pytest.fixture(scope="module")
def games():
    return won_games("3m", 6, battles=100, rounds=6, seed=2, threads=1)


def make(games, num_envs=8, share=1.0, follow=0.0, explore=None, jitter=0.0):
    engine = BattleEngine("3m", num_envs, seed=5, num_threads=1, start_jitter=jitter)
    return engine, Backplay(engine.scenario, games, num_envs, share, follow, explore, 0)


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
    assert len(backplay.band) == sum(len(plan.actions) for plan in games)
    streams = {name: engine.get_state()[name] for name in STREAM}
    backplay.begin(engine, np.arange(40))
    now = engine.get_state()
    known = [state for plan in games for state in states_of(plan)]
    for e in range(40):
        same = [all(np.array_equal(s[n][0], now[n][e]) for n in s if n not in STREAM) for s in known]
        assert any(same), e
    for name in STREAM:
        np.testing.assert_array_equal(now[name], streams[name])
    assert len(set(engine.episode_length.tolist())) > 5 and engine.action_mask.any(-1).all()


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
    begun = backplay.moment >= 0
    assert not begun[1::2].any() and (begun | (engine.episode_length == 0)).all()
    assert 30 <= begun[ids].sum() <= 70  # 50 expected of 200, standard deviation 6.1
    engine, backplay = make(games, share=0.0)
    backplay.begin(engine, np.arange(8))
    assert not engine.episode_length.any()


def test_bands_are_chosen_by_what_is_won_from_there_and_from_the_next(games):
    engine, backplay = make([replace(plan, family=3 + i % 2) for i, plan in enumerate(games)], num_envs=4000)
    half = len({(len(p.actions) - t) // BAND_STEPS for p in games[::2] for t in range(len(p.actions))})
    bands = len(backplay.won)
    assert half >= 3 and bands - half >= 3
    backplay.won[:] = 0.0
    backplay.won[0] = 1.0
    backplay.won[1] = 0.5
    backplay.begin(engine, np.arange(4000))
    chosen = np.bincount(backplay.band[backplay.moment], minlength=bands) / 4000
    expected = np.full(bands, LEAST_WEIGHT)
    # first family: (1 - 1) (1 + 0.2) = 0, then (1 - 0.5) (0.5 + 0.2) = 0.35, then (1 - 0) (0 + 0.1) = 0.1, then 0;
    # the second one's last band: (1 - 0) (0 + 0.2) = 0.2
    expected[[1, 2, half]] += (0.35, 0.1, 0.2)
    np.testing.assert_allclose(chosen, expected / expected.sum(), atol=0.04)


def test_a_band_is_of_one_family_and_of_about_as_many_steps_to_go(games):
    engine, backplay = make([replace(plan, family=i % 2) for i, plan in enumerate(games)], num_envs=500)
    backplay.begin(engine, np.arange(500))
    lengths = {plan.start["stream_key"][0]: plan for plan in backplay.plans}
    assert len(lengths) <= len(games)
    seen: dict[int, set[int]] = {}
    for e, band in enumerate(backplay.band[backplay.moment]):
        seen.setdefault(int(band), set()).add(int(engine.episode_length[e]))
    longest = max(len(plan.actions) for plan in games) - min(len(plan.actions) for plan in games)
    assert all(max(steps) - min(steps) < BAND_STEPS + longest for steps in seen.values())
    one = make([replace(plan, family=0) for plan in games])[1]
    two = make([replace(plan, family=i % 2) for i, plan in enumerate(games)])[1]
    assert len(one.won) < len(two.won) <= 2 * len(one.won)


def test_win_rates_follow_the_battles_that_began_there(games):
    engine, backplay = make(games, num_envs=3)
    backplay.begin(engine, np.arange(2))
    a, b = backplay.band[backplay.moment[:2]]
    expected = backplay.won.copy()
    expected[a] += RATE * (1 - expected[a])
    expected[b] += RATE * (0 - expected[b])
    backplay.ended(np.arange(3), np.array([True, False, True]))  # the third began at the start: nothing to learn
    np.testing.assert_allclose(backplay.won, expected)
    assert (backplay.moment == -1).all()
    backplay.ended(np.arange(3), np.array([True, True, True]))  # told once
    np.testing.assert_allclose(backplay.won, expected)


def begun_at(games, backplay):
    """Game and step in which each battle began."""
    longest = max(len(plan.actions) for plan in games)
    moments = [(g, t) for t in range(longest) for g, plan in enumerate(games) if t < len(plan.actions)]
    return [moments[m] for m in backplay.moment]


def test_battles_that_follow_a_game_are_shown_its_actions_and_do_not_count(games):
    engine, backplay = make(games, num_envs=300, follow=0.5)
    backplay.begin(engine, np.arange(300))
    begun, won = begun_at(games, backplay), backplay.won.copy()
    assert [t for _, t in begun] == engine.episode_length.tolist()
    followed = np.zeros(300, int)
    for _ in range(FOLLOW_STEPS + 2):
        shown, mask = backplay.demonstration(engine), engine.action_mask
        for e in np.flatnonzero((shown >= 0).any(1)):
            if not (engine.terminated | engine.truncated)[e]:
                followed[e] += 1
                game, t = begun[e][0], engine.episode_length[e]
                right = games[game].actions[t]
                assert np.isin(shown[e], [-1, *right]).all() and (shown[e] == np.where(shown[e] < 0, -1, right)).all()
        waiting = np.where(mask[..., 0], 0, 1)
        action = np.where(shown >= 0, shown, waiting)
        assert np.take_along_axis(mask, action[..., None], axis=2).all()
        engine.step(action)
    assert 100 <= (followed > 0).sum() <= 200 and followed.max() == FOLLOW_STEPS  # 150 expected, deviation 8.7
    backplay.ended(np.flatnonzero(followed), np.zeros(300, bool))
    np.testing.assert_array_equal(backplay.won, won)
    engine.reset()
    assert (backplay.demonstration(engine)[followed > 0] == -1).all()


def test_random_actions_end_where_the_team_has_played_for_some_steps(games):
    engine, backplay = make(games, num_envs=200, share=0.5, follow=0.5, explore=3)
    backplay.begin(engine, np.arange(200))
    from_start = backplay.moment < 0
    plays_from = np.maximum(engine.episode_length, backplay.until)
    assert 50 < from_start.sum() < 150 and (plays_from > engine.episode_length).any()
    for _ in range(FOLLOW_STEPS + 4):
        running = ~(engine.terminated | engine.truncated)
        explores = backplay.explores(engine)
        expected = from_start | (engine.episode_length - plays_from < 3)
        np.testing.assert_array_equal(explores[running], expected[running])
        shown = backplay.demonstration(engine)
        waiting = np.where(engine.action_mask[..., 0], 0, 1)
        engine.step(np.where(shown >= 0, shown, waiting))
    assert running.any() and not explores[running & ~from_start].any()
    assert make(games)[1].explores(engine) is None


def test_news_tell_what_is_won_from_each_quarter_of_the_games(games, monkeypatch):
    monkeypatch.setattr("dizoo.smac.search.backplay.NEWS_EVERY", 400)
    engine, backplay = make(games, num_envs=200)
    for done in (False, True, False, True):
        engine.reset()
        backplay.begin(engine, np.arange(200))
        part = np.array([4 * t // len(games[g].actions) for g, t in begun_at(games, backplay)])
        backplay.ended(np.arange(200), part == 3)  # won from the last quarter, lost from all others
        news = backplay.news()  # what it tells is counted anew
        assert (news is not None) == done
    assert news is not None and news.endswith("first 0.00, second 0.00, third 0.00, last 1.00")


def test_what_is_restored_goes_on_alike(games):
    engine, backplay = make(games, jitter=0.3, follow=0.5)
    backplay.begin(engine, np.arange(8))
    backplay.ended(np.arange(4), np.array([True] * 8))
    twin_engine = BattleEngine("3m", 8, seed=1, num_threads=1, start_jitter=0.3)
    twin_engine.set_state(engine.get_state())
    twin = Backplay.from_state_dict(engine.scenario, backplay.state_dict(), 1.0, 0.5, None)
    np.testing.assert_array_equal(backplay.demonstration(engine), twin.demonstration(twin_engine))
    assert all(np.array_equal(a.actions, b.actions) for a, b in zip(backplay.plans, twin.plans, strict=True))
    for one, state in ((backplay, engine), (twin, twin_engine)):
        one.ended(np.arange(8), np.array([False] * 8))
        state.reset()
        one.begin(state, np.arange(8))
    np.testing.assert_array_equal(backplay.won, twin.won)
    for name, value in engine.get_state().items():
        np.testing.assert_array_equal(value, twin_engine.get_state()[name], err_msg=name)
