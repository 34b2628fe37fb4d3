"""The options outside the exact rules: jittered starts, random weapon delays, mirrored battles."""

import numpy as np
import pytest

from dizoo.smac.battle import BattleEngine, BattleError, map_names
from dizoo.smac.battle.engine import WEAPON_DELAY_S


def starts(name, jitter, n=64, seed=0):
    engine = BattleEngine(name, n, seed=seed, start_jitter=jitter)
    kinds = engine._world.kinds
    return engine, engine.units["x"] - kinds["start_x"], engine.units["y"] - kinds["start_y"]


@pytest.mark.parametrize("name", map_names())
def test_jittered_starts_are_near_apart_and_on_open_ground(name):
    engine, dx, dy = starts(name, 0.5)
    assert np.abs(dx).max() <= 0.5 + 1e-5 and np.abs(dy).max() <= 0.5 + 1e-5
    units, kinds = engine.units, engine._world.kinds
    assert engine.scenario.open_cells[units["y"].astype(int), units["x"].astype(int)].all()
    gap = np.hypot(units["x"][:, :, None] - units["x"][:, None], units["y"][:, :, None] - units["y"][:, None])
    nominal = np.hypot(kinds["start_x"][:, None] - kinds["start_x"], kinds["start_y"][:, None] - kinds["start_y"])
    least = np.minimum(kinds["body"][:, None] + kinds["body"], nominal)
    least[kinds["plane"][:, None] != kinds["plane"]] = 0
    least[np.eye(len(kinds), dtype=bool)] = 0
    assert (gap >= least - 1e-4).all()


def test_jitter_reaches_the_whole_range_and_has_no_direction():
    for name in ("2m_vs_1z", "MMM", "27m_vs_30m"):
        _, dx, dy = starts(name, 0.5, n=512)
        for d in (dx, dy):
            assert np.abs(d.mean()) < 0.06, name
            assert d.min() < -0.45 and d.max() > 0.45 and d.std() > 0.15, name


def test_without_the_option_all_battles_start_alike():
    _, dx, dy = starts("MMM", 0.0)
    assert not dx.any() and not dy.any()


def test_jitter_is_drawn_anew_at_each_reset_from_the_battles_own_stream():
    engine, dx, _ = starts("MMM", 0.3, n=4)
    assert len(np.unique(dx, axis=0)) == 4
    first = engine.units["x"].copy()
    engine.reset()
    assert not np.array_equal(engine.units["x"], first)
    engine.reset(seed=0)
    assert np.array_equal(engine.units["x"], first)
    assert np.array_equal(BattleEngine("MMM", 2, start_jitter=0.3).units["x"], first[:2])


def first_shots(varied, n=256):
    """Cooldowns of the agents of 3m right after their first shots."""
    engine = BattleEngine("3m", n, random_weapon_delay=varied)
    found = []
    for _ in range(16):
        mask = engine.action_mask
        walk = np.where(mask[:, :, 4], 4, 1)
        engine.begin_step(
            np.where(mask[:, :, 6:].any(-1), mask[:, :, 6:].argmax(-1) + 6, np.where(engine.alive, walk, 0))
        )
        for _ in range(8):
            before = engine.units["cooldown"].copy()
            engine.run_tick()
            cooldown = engine.units["cooldown"]
            found.append(cooldown[(before == 0) & (cooldown > 0)])
        engine.finish_step()
        if (engine.terminated | engine.truncated).any():
            break
    return np.concatenate(found)


def test_weapon_delays_follow_the_published_range():
    low, high = WEAPON_DELAY_S
    assert (low, high) == (-0.0625, 0.125)
    exact, varied = first_shots(False), first_shots(True)
    assert len(exact) > 500 and np.allclose(exact, 0.61)
    assert varied.min() >= 0.61 + low and varied.max() <= 0.61 + high
    assert varied.min() < 0.61 + low + 0.01 and varied.max() > 0.61 + high - 0.01
    assert varied.mean() == pytest.approx(0.61 + (low + high) / 2, abs=0.005)


def mirrored_pair():
    """Two engines whose battle 0 is the same but for the mirror."""
    for seed in range(50):
        engine = BattleEngine("MMM", 1, seed=seed, random_side=True, num_threads=1)
        if engine.battles["mirrored"][0]:
            break
    straight = BattleEngine("MMM", 1, seed=seed, random_side=True, num_threads=1)
    straight.set_state(straight.get_state() | {"mirrored": np.zeros(1, bool)})
    return engine, straight


def test_a_mirrored_battle_is_the_same_battle_seen_in_a_mirror():
    mirrored, straight = mirrored_pair()
    flip_action = np.arange(16)
    flip_action[[4, 5]] = [5, 4]
    across = [i for i, name in enumerate(mirrored.obs_names) if name.endswith(".dx")]
    sides = [i for i, name in enumerate(mirrored.state_names) if name.endswith(".x")]
    rng = np.random.default_rng(0)
    for _ in range(40):
        assert np.array_equal(mirrored.action_mask, straight.action_mask[:, :, flip_action])
        assert np.array_equal(mirrored.agent_state[:, :, across], -straight.agent_state[:, :, across])
        assert np.array_equal(mirrored.global_state[:, sides], -straight.global_state[:, sides])
        actions = (rng.random(straight.action_mask.shape) * straight.action_mask).argmax(-1)
        straight.step(actions)
        mirrored.step(flip_action[actions])
        assert np.array_equal(mirrored.units, straight.units)
        assert np.array_equal(mirrored.reward, straight.reward)


def test_a_share_of_the_battles_begins_at_the_maps_own_start():
    nominal = BattleEngine("3m", 1, num_threads=1).units["x"]
    engine = BattleEngine("3m", 1000, start_jitter=0.5, jitter_share=0.75)
    moved = (engine.units["x"] != nominal).any(1)
    assert 690 < moved.sum() < 810  # standard deviation 14
    assert np.abs(engine.units["x"] - nominal).max() <= 0.5
    assert not (BattleEngine("3m", 50, start_jitter=0.5, jitter_share=0).units["x"] != nominal).any()


@pytest.mark.parametrize("share", [-0.1, 1.5, np.nan, "half"])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(BattleError, match="jitter_share: found .*at least 0 and at most 1"):
        BattleEngine("3m", 1, start_jitter=0.5, jitter_share=share)


def test_half_of_the_battles_are_mirrored():
    engine = BattleEngine("3m", 1000, random_side=True)
    # standard deviation 16
    assert 420 < engine.battles["mirrored"].sum() < 580
    assert not BattleEngine("3m", 100).battles["mirrored"].any()
