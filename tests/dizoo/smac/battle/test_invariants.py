"""What holds in every battle, whatever the teams do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dizoo.smac.battle import BattleEngine

MAPS = ("MMM", "2s3z", "bane_vs_bane", "2c_vs_64zg", "corridor", "6h_vs_8z", "so_many_baneling")
E = 4

battle_games = st.tuples(
    st.sampled_from(MAPS),
    st.sampled_from(["smaclite", "smac"]),
    st.integers(0, 10_000),
    st.sampled_from([0.0, 0.6]),
    st.booleans(),
)


def play(name, rules, seed, jitter, varied, steps=25):
    """Yield the engine, the units before each step, the actions, and who was over; attacks are preferred."""
    options = {"start_jitter": jitter, "random_weapon_delay": varied, "random_side": varied}
    engine = BattleEngine(name, E, seed=seed, rules=rules, num_threads=1, **options)
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        weight = engine.action_mask * np.where(np.arange(engine.action_shape) >= 6, 5.0, 1.0)
        actions = (rng.random(weight.shape) * weight).argmax(-1)
        before = engine.units.copy()
        over = engine.terminated | engine.truncated
        engine.step(actions)
        yield engine, before, actions, over


@settings(max_examples=25, deadline=None)
@given(battle_games)
def test_units_stay_within_their_bounds(game):
    for engine, before, _, _ in play(*game):
        units, kinds = engine.units, engine._world.kinds
        for value, limit in (("hp", "hp_max"), ("shield", "shield_max"), ("energy", "energy_max")):
            assert (units[value] >= 0).all() and (units[value] <= kinds[limit]).all()
        assert (units["cooldown"] >= 0).all() and (units["cooldown"] <= kinds["period"] + 0.125).all()
        assert (units["shield_cooldown"] >= 0).all() and (units["shield_cooldown"] <= 10).all()
        assert np.isfinite(units["x"]).all() and np.isfinite(units["vx"]).all()
        # half a second at top speed, and the rounding of eight float32 sums
        way = np.hypot(units["x"] - before["x"], units["y"] - before["y"])
        assert (way <= 0.5 * kinds["speed"] + 1e-4).all()


@settings(max_examples=25, deadline=None)
@given(battle_games)
def test_the_dead_neither_move_nor_act_nor_return(game):
    for engine, before, _, _ in play(*game):
        dead = ~before["in_play"]
        assert not (engine.units["in_play"] & dead).any()
        for field in ("x", "y", "cooldown", "energy"):
            assert np.array_equal(engine.units[field][dead], before[field][dead]), field
        assert (engine.units["hp"][engine.units["in_play"]] > 0).all()
        agents = engine.agent_unit
        assert np.array_equal(engine.alive, engine.units["in_play"][:, agents])
        assert not engine.agent_state[~engine.alive].any()


@settings(max_examples=25, deadline=None)
@given(battle_games)
def test_masks_observations_and_states_are_well_formed(game):
    for engine, _, actions, over in play(*game):
        mask = engine.action_mask
        assert np.array_equal(mask[:, :, 0], ~engine.alive) and np.array_equal(mask[:, :, 1], engine.alive)
        assert not mask[~engine.alive][:, 1:].any()
        assert np.abs(engine.agent_state).max() <= 1.0 and np.isfinite(engine.global_state).all()
        timers = np.array([n.endswith("cooldown_or_energy") for n in engine.state_names])
        assert np.abs(engine.global_state[:, ~timers]).max() <= 1.0
        # SMAC's table is below some periods, and random delays lengthen them: a cooldown may start above 1
        longest = (engine._world.kinds["period"] + 0.125) * engine._world.kinds["cooldown_scale"]
        assert engine.global_state[:, timers].min() >= 0.0
        assert engine.global_state[:, timers].max() <= max(1.0, longest[engine.agent_unit].max()) + 1e-6
        last = engine.global_state[:, -actions.size // E * engine.action_shape :].reshape(E, -1, engine.action_shape)
        assert (last.sum(-1) == 1).all() and np.array_equal(last.argmax(-1)[~over], actions[~over])
        obs = dict(zip(engine.obs_names, np.moveaxis(engine.agent_state, 2, 0), strict=True))
        for i, direction in enumerate(("north", "south", "east", "west")):
            assert np.array_equal(obs[f"can_move.{direction}"] == 1, mask[:, :, 2 + i])


@settings(max_examples=25, deadline=None)
@given(battle_games)
def test_every_available_action_is_accepted_and_no_other(game):
    engine = list(play(*game, steps=6))[-1][0]
    rng = np.random.default_rng(game[2])
    saved = engine.get_state()
    over = engine.terminated | engine.truncated
    lawful = engine.action_mask.argmax(-1)
    for _ in range(10):
        e, agent, action = rng.integers(E), rng.integers(engine.agent_num), rng.integers(engine.action_shape)
        actions = lawful.copy()
        actions[e, agent] = action
        if engine.action_mask[e, agent, action] or over[e]:
            engine.step(actions)
            engine.set_state(saved)
        else:
            with pytest.raises(ValueError, match=rf"actions\[{e}, {agent}\]: found {action}"):
                engine.step(actions)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(["3m", "25m", "6h_vs_8z", "1c3s5z"]), st.integers(0, 10_000))
def test_smaclite_rewards_are_damage_and_kills(name, seed):
    """Without heals and hit point regeneration on the enemy side, hp and shields lost and kills explain the reward."""
    engine = BattleEngine(name, E, seed=seed, num_threads=1)
    scale = engine.scenario.max_reward / 20
    for engine, before, _, over in play(name, "smaclite", seed, 0.0, False, steps=30):
        if over.any():
            break
        enemies = engine.enemy_unit
        lost = (before["hp"] - engine.units["hp"])[:, enemies].sum(1)
        lost += np.maximum(before["shield"] - engine.units["shield"], 0)[:, enemies].sum(1)
        kills = (before["in_play"] & ~engine.units["in_play"])[:, enemies].sum(1)
        won = ~engine.units["in_play"][:, enemies].any(1)
        expected = (lost + 10 * kills + 200 * won) / scale
        # a shield that recovers within the step (0.125 a tick) is damage that the difference does not show
        slack = 8 * 0.125 * len(enemies) / scale if engine.scenario.enemy_has_shields else 1e-9
        assert (engine.reward >= expected - 1e-9).all() and (engine.reward <= expected + slack).all()
