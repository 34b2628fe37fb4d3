"""SMACv2's extended partial observability: who may see an enemy, and orders that name one out of range."""

import numpy as np
import pytest

from dizoo.smac.battle import BattleEngine, BattleError
from dizoo.smac.battle.kernels.state import GRANTED, HIDDEN, MOVE_COMMAND, OWNER, TARGET_COMMAND, UNDECIDED
from dizoo.smac.battle.teams.scripted import random_actions

STOP, NORTH, FIRST_TARGET = 1, 2, 6


def marines(allies, enemies, prob, **options):
    """One battle of Marines (sight 9, target range 5) at given places."""
    generator = dict(
        n_agents=len(allies), n_enemies=len(enemies), types={"MARINE": 1.0}, starts={"formation": 1.0},
        formation={"allies": allies, "enemies": enemies},
    )  # fmt: skip
    return BattleEngine({"generator": generator}, 1, num_threads=1, prob_obs_enemy=prob, **options)


def seen(engine):
    """(E, A, K) whether each agent's observation shows each enemy."""
    return engine.scenario.obs_layout.enemies.read(engine.agent_state, "hp") > 0


def sightings(engine):
    return engine.get_state()["sightings"]


def test_only_the_first_that_sees_an_enemy_sees_it():
    """The second and third agent see enemy 0, only the first enemy 1, nobody enemy 2."""
    engine = marines([[3, 16], [16, 16], [18, 16]], [[21, 16], [3, 24], [30, 2]], 0.0)
    assert seen(engine)[0].tolist() == [[False, True, False], [True, False, False], [False, False, False]]
    assert sightings(engine)[0].T.tolist() == [
        [HIDDEN, OWNER, HIDDEN], [OWNER, HIDDEN, HIDDEN], [UNDECIDED, UNDECIDED, UNDECIDED]
    ]  # fmt: skip
    assert engine.action_mask[0, 1:, FIRST_TARGET].all()  # the mask tells of what is hidden, as in SMACv2


def test_the_owners_death_hands_an_enemy_on_and_its_own_forgets_it():
    engine = marines([[3, 3], [5, 3]], [[4, 11]], 0.0)
    assert seen(engine)[0, :, 0].tolist() == [True, False]
    for dead, shown, state_then in ((0, [False, True], [HIDDEN, OWNER]), (2, [False, False], [UNDECIDED] * 2)):
        state = engine.get_state()
        state["hp"][0, dead], state["in_play"][0, dead] = 0.0, False
        engine.set_state(state)
        engine.step(np.where(engine.action_mask[..., 0], 0, STOP))
        assert seen(engine)[0, :, 0].tolist() == shown and sightings(engine)[0, :, 0].tolist() == state_then


def test_every_other_agent_draws_once():
    """In 512 battles, at the start, each other agent's chance is 0.3; five standard deviations either way."""
    engine = BattleEngine("terran_20_vs_20", 512, prob_obs_enemy=0.3, num_threads=1)
    drawn = sightings(engine)
    decided = drawn[(drawn == GRANTED) | (drawn == HIDDEN)]
    assert len(decided) > 10_000
    assert abs((decided == GRANTED).mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / len(decided))


@pytest.mark.parametrize("options", [{}, {"action_mask": False}])
def test_plain_twin(options):
    """Ownership, what is shown and the mask, by plain loops over a game of random actions."""
    engine = BattleEngine("zerg_10_vs_11", 16, 3, prob_obs_enemy=0.5, num_threads=1, **options)
    whole = BattleEngine("zerg_10_vs_11", 16, 3, num_threads=1)
    rng, before = np.random.default_rng(0), np.zeros_like(sightings(engine))
    for _ in range(25):
        now, units, kinds = sightings(engine), engine.units, engine.kinds
        for e in np.flatnonzero(~engine.terminated):
            us, them = units[e][engine.agent_unit], units[e][engine.enemy_unit]
            reach = kinds[e]["sight_squared"][engine.agent_unit]
            d2 = (us["x"][:, None].astype(float) - them["x"]) ** 2 + (us["y"][:, None].astype(float) - them["y"]) ** 2
            in_sight = us["in_play"][:, None] & them["in_play"] & (d2 <= reach[:, None])
            for j in range(len(them)):
                owner = np.flatnonzero(before[e, :, j] == OWNER)
                if them["in_play"][j] and owner.size and us["in_play"][owner[0]]:
                    assert (now[e, :, j] == before[e, :, j]).all()  # drawn once
                elif in_sight[:, j].any():
                    assert now[e, :, j].argmax() == in_sight[:, j].argmax()  # the first to see it
                    assert (now[e, :, j] == OWNER).sum() == 1 and UNDECIDED not in now[e, :, j]
                else:
                    assert (now[e, :, j] == UNDECIDED).all()
            assert (seen(engine)[e] == (in_sight & (now[e] >= GRANTED))).all()
            if options:
                named = engine.action_mask[e, us["in_play"], FIRST_TARGET:]
                assert (named == them["in_play"]).all()
        before = np.where(engine.terminated[:, None, None], 0, now)
        whole.set_state({name: value for name, value in engine.get_state().items() if name != "sightings"})
        hidden = np.repeat(seen(whole) & ~seen(engine), engine.scenario.obs_layout.enemies.size, axis=2)
        shown = np.ones(engine.agent_state.shape, bool)  # all else is as without
        first = engine.scenario.obs_layout.enemies.first
        shown[..., first : first + hidden.shape[2]] = ~hidden
        np.testing.assert_array_equal(engine.agent_state, np.where(shown, whole.agent_state, 0))
        engine.step(random_actions(engine.action_mask, rng))
    assert (sightings(engine) == HIDDEN).any() and (sightings(engine) == GRANTED).any()


def test_an_order_out_of_range_is_not_sent():
    """The old order goes on; one in range is carried out."""
    engine = marines([[3, 3]], [[3, 29]], 1.0, action_mask=False)
    engine.step([[NORTH]])
    before = engine.units[0, 0].copy()
    engine.step([[FIRST_TARGET]])  # 24 cells away
    after = engine.units[0, 0]
    assert (after["command"], after["command_y"]) == (MOVE_COMMAND, before["command_y"])
    assert engine.scenario.obs_layout.enemies.read(engine.agent_state, "can_target")[0, 0, 0] == 0
    near = marines([[3, 3]], [[3, 7]], 1.0, action_mask=False)
    near.step([[FIRST_TARGET]])
    assert (near.units[0, 0]["command"], near.units[0, 0]["command_unit"]) == (TARGET_COMMAND, 1)


def test_states_hold_the_sightings():
    """A copy goes on alike; a state without, or with an impossible one, is refused."""
    engine, other = (BattleEngine("protoss_5_vs_5", 8, seed, prob_obs_enemy=0.5, num_threads=1) for seed in (0, 1))
    rng = np.random.default_rng(0)
    for _ in range(3):
        engine.step(random_actions(engine.action_mask, rng))
    other.set_state(engine.get_state())
    for _ in range(20):
        actions = random_actions(engine.action_mask, rng)
        engine.step(actions)
        other.step(actions)
        np.testing.assert_array_equal(engine.agent_state, other.agent_state)
    state = engine.get_state()
    with pytest.raises(BattleError, match=r"state\['sightings'\]: found 4. Values go from 0 to 3"):
        engine.set_state({**state, "sightings": np.full_like(state["sightings"], 4)})
    del state["sightings"]
    with pytest.raises(BattleError, match=r"state\['sightings'\]: missing"):
        engine.set_state(state)
    full_sight = BattleEngine("protoss_5_vs_5", 8, num_threads=1)
    assert "sightings" not in full_sight.get_state()


def test_a_chance_is_a_chance():
    with pytest.raises(BattleError, match=r"prob_obs_enemy: found 1.5. It is from 0 to 1"):
        BattleEngine("terran_5_vs_5", 1, prob_obs_enemy=1.5)
    with pytest.raises(BattleError, match="action_mask: found 1. It is True or False"):
        BattleEngine("terran_5_vs_5", 1, action_mask=1)
