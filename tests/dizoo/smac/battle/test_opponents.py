"""Several opponents: each battle draws one, keeps it in its state, and is then played as if it were the only one."""

import numpy as np
import pytest

from dizoo.smac.battle import BattleEngine, BattleError
from dizoo.smac.battle.maps.rules import OPPONENTS
from dizoo.smac.battle.recording.recorder import BattleRecorder
from dizoo.smac.battle.recording.replay import parse_replay
from dizoo.smac.battle.teams.scripted import random_actions
from dizoo.smac.search.search import play_again, search

MIX = ("chase", "near")


def make(source="terran_5_vs_5", num_envs=8, seed=0, opponent=MIX, **options):
    return BattleEngine(source, num_envs, seed, opponent=opponent, **{"num_threads": 1, **options})


def outputs(engine):
    return [np.array(a) for a in (engine.units, engine.agent_state, engine.reward, engine.battle_won, engine.battles)]


def assert_alike(one, other):
    for a, b in zip(outputs(one), outputs(other), strict=True):
        np.testing.assert_array_equal(a, b)


def step(engines, rng):
    """One step of random actions, the same for all; finished battles begin anew."""
    actions = random_actions(engines[0].action_mask, rng)
    for engine in engines:
        engine.step(actions)
        engine.reset(engine.terminated | engine.truncated)


def test_one_named_twice_comes_twice_as_often():
    """In 4,000 battles the share of "near" is 1/3; five standard deviations either way."""
    engine = make("2m_vs_1z", 4000, opponent=["chase", "near", "chase"])
    drawn = engine.battles["opponent"]
    assert set(drawn) == {OPPONENTS.index("chase"), OPPONENTS.index("near")}
    assert abs((drawn == OPPONENTS.index("near")).mean() - 1 / 3) < 5 * np.sqrt(2 / 9 / 4000)
    before = drawn.copy()
    engine.reset()
    assert 0 < (engine.battles["opponent"] != before).mean() < 1  # drawn anew


@pytest.mark.parametrize("source", ["terran_5_vs_5", "MMM"])
def test_a_battle_is_played_as_against_its_opponent_alone(source):
    """On drawn and fixed maps, step by step to the end of all battles."""
    mixed = make(source, 16, opponent=OPPONENTS, rules="smacv2")
    state = mixed.get_state()
    against = state.pop("opponent")
    assert set(against) == {0, 1, 2}
    alone = [make(source, 16, opponent=name, rules="smacv2") for name in OPPONENTS]
    rng = np.random.default_rng(0)
    for engine in alone:
        engine.set_state(state)
    while not (mixed.terminated | mixed.truncated).all():
        actions = random_actions(mixed.action_mask, rng)
        mixed.step(actions)
        for number, engine in enumerate(alone):
            mine = against == number
            engine.step(np.where(mine[:, None], actions, random_actions(engine.action_mask, rng)))
            for a, b in zip(outputs(mixed), outputs(engine), strict=True):
                np.testing.assert_array_equal(a[mine], b[mine])


def test_a_list_of_one_is_that_one():
    one, listed = make(opponent="near"), make(opponent=["near"])
    rng = np.random.default_rng(0)
    for _ in range(30):
        step([one, listed], rng)
        assert_alike(one, listed)


def test_draws_depend_on_neither_threads_nor_neighbours():
    engine, threads, fewer = make(num_envs=12), make(num_envs=12, num_threads=2), make(num_envs=5)
    rng = np.random.default_rng(0)
    for _ in range(120):
        actions = random_actions(engine.action_mask, rng)
        for each in (engine, threads, fewer):
            each.step(actions[: each.num_envs])
            each.reset(each.terminated | each.truncated)
        assert_alike(engine, threads)
        for a, b in zip(outputs(engine), outputs(fewer), strict=True):
            np.testing.assert_array_equal(a[:5], b)
    assert len(set(engine.battles["opponent"])) == 2


def test_state_and_clones_carry_the_opponent():
    engine, other = make(seed=1), make(seed=2)
    assert (engine.battles["opponent"] != other.battles["opponent"]).any()
    other.set_state(engine.get_state())
    rng = np.random.default_rng(0)
    for each in (engine, other):
        each.clone(np.array([0, 0, 1, 1, 6, 7, 6, 7]))
    for _ in range(80):  # over the next battles, whose opponents are drawn
        step([engine, other], rng)
        assert_alike(engine, other)


def test_states_without_or_with_an_impossible_opponent_are_refused():
    engine = make()
    state = engine.get_state()
    with pytest.raises(BattleError, match=r"state\['opponent'\]: found 3. Values go from 0 to 2"):
        engine.set_state({**state, "opponent": np.full(8, 3)})
    with pytest.raises(BattleError, match=r"state\['opponent'\]: unknown"):
        make(opponent="near").set_state(state)
    del state["opponent"]
    with pytest.raises(BattleError, match=r"state\['opponent'\]: missing"):
        engine.set_state(state)
    with pytest.raises(BattleError, match=r"opponent: found \['near', 'flee'\]. It is one of .*, or a list of them"):
        make(opponent=["near", "flee"])
    with pytest.raises(BattleError, match=r"opponent: found \[\]"):
        make(opponent=[])


def test_recordings_name_the_opponent():
    engine, found = make(seed=4), []

    def note(game):  # before the battle's next opponent is drawn
        found.append((game, OPPONENTS[engine.battles["opponent"][game.number % 8]]))

    recorder, rng = BattleRecorder(engine, 10, note), np.random.default_rng(0)
    recorder.reset()
    while len(found) < 10:
        recorder.step(random_actions(engine.action_mask, rng))
        recorder.reset(engine.terminated | engine.truncated)
    for game, opponent in found:
        assert parse_replay(game.content({}, {})).header["opponent"] == opponent
    assert len({opponent for _, opponent in found}) == 2


def test_a_search_plays_one_of_the_opponents():
    """All its battles begin against the same one, and the game found repeats, also on a map that fixes its units."""
    scenario = make("3m").scenario
    outcome = search(scenario, battles=64, rounds=2, threads=1)
    assert outcome.won and outcome.plan.start["opponent"] in (1, 2)
    assert outcome.again > 0
    assert play_again(outcome, scenario).replay.won
