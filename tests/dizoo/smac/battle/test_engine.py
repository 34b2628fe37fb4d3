"""The batch interface: stepping, freezing, resetting, exact states, threads and batch sizes, bad input."""

import multiprocessing
import os
import subprocess
import sys

import numpy as np
import pytest

from dizoo.smac.battle import ActionError, BattleEngine, BattleError, MapError, load_scenario, map_names, needs_compile

OUTPUTS = (
    "agent_state",
    "global_state",
    "action_mask",
    "reward",
    "terminated",
    "truncated",
    "battle_won",
    "alive",
    "episode_length",
)


def snapshot(engine):
    return {name: getattr(engine, name).copy() for name in OUTPUTS} | engine.get_state()


def assert_same(a, b):
    for name, value in a.items():
        assert np.array_equal(value, b[name]), name


def random_actions(engine, rng):
    """Uniform over the available actions of each agent."""
    return (rng.random(engine.action_mask.shape) * engine.action_mask).argmax(-1)


def advance_and_fire(engine):
    """Everybody acts on the first target in range, else walks east."""
    mask = engine.action_mask
    walk = np.where(mask[:, :, 4], 4, 1)
    return np.where(mask[:, :, 0], 0, np.where(mask[:, :, 6:].any(-1), mask[:, :, 6:].argmax(-1) + 6, walk))


def play(engine, steps, seed=0, reset=True):
    """Random play; the actions depend on the seed alone. Returns the actions and rewards."""
    rng = np.random.default_rng(seed)
    history = []
    for _ in range(steps):
        actions = random_actions(engine, rng)
        engine.step(actions)
        history.append((actions, engine.reward.copy()))
        over = engine.terminated | engine.truncated
        if reset and over.any():
            engine.reset(over)
    return history


@pytest.mark.parametrize("name", map_names())
def test_outputs_have_the_documented_shapes_and_names(name):
    engine = BattleEngine(name, 2, num_threads=1)
    s = load_scenario(name)
    assert engine.agent_state.shape == (2, s.n_agents, s.obs_size) and engine.agent_state.dtype == np.float32
    assert engine.global_state.shape == (2, s.state_size) and engine.global_state.dtype == np.float32
    assert engine.action_mask.shape == (2, s.n_agents, s.n_actions) and engine.action_mask.dtype == np.bool_
    assert engine.alive.all() and engine.episode_length.tolist() == [0, 0]
    assert (engine.agent_num, engine.obs_shape) == (s.n_agents, s.obs_size)
    assert (engine.global_obs_shape, engine.action_shape, engine.episode_limit) == (
        s.state_size,
        s.n_actions,
        s.episode_limit,
    )
    assert len(engine.obs_names) == len(set(engine.obs_names)) == s.obs_size
    assert len(engine.state_names) == len(set(engine.state_names)) == s.state_size


def test_names_tell_what_the_values_are():
    engine = BattleEngine("MMM", 1, num_threads=1)
    engine.step(np.array([[2, 3, 4, 5, 1, 1, 1, 1, 1, 1]]))
    state = dict(zip(engine.state_names, engine.global_state[0].tolist(), strict=True))
    obs = dict(zip(engine.obs_names, engine.agent_state[0, 1].tolist(), strict=True))
    medivac, marine = engine.units[0][engine.agent_unit[[0, 1]]]
    assert state["ally0.cooldown_or_energy"] == pytest.approx((50 + 8 * 0.03515625) / 200)
    assert state["ally0.y"] == pytest.approx((medivac["y"] - 16) / 32)
    assert (state["ally0.is_medivac"], state["ally1.is_marine"], state["enemy0.is_medivac"]) == (1, 1, 1)
    assert state["last_action.agent0.action2"] == 1 and state["last_action.agent1.action3"] == 1
    assert sum(v for k, v in state.items() if k.startswith("last_action")) == 10
    assert obs["can_move.north"] == 1 and obs["own.hp"] == 1 and obs["own.is_marine"] == 1
    assert obs["other_ally0.dx"] == pytest.approx((medivac["x"] - marine["x"]) / 9)
    assert obs["other_ally0.is_medivac"] == 1 and obs["enemy0.distance"] == 0


def test_the_move_of_an_agent_is_that_of_the_rules():
    # A Marine (3.15 cells a second) that walks alone to the north for half a second moves 1.575 cells.
    engine = BattleEngine("2m_vs_1z", 1, num_threads=1)
    before = engine.units[0].copy()
    engine.step(np.array([[2, 1]]))
    first, second = engine.agent_unit
    assert engine.units[0]["y"][first] - before["y"][first] == pytest.approx(1.575, abs=1e-5)
    assert engine.units[0]["x"][first] == before["x"][first]
    assert engine.units[0]["y"][second] == before["y"][second]


def test_finished_battles_are_frozen_until_reset():
    engine = BattleEngine("3m", 3, seed=5, num_threads=1)
    rng = np.random.default_rng(0)
    while not (engine.terminated | engine.truncated)[0]:
        engine.step(random_actions(engine, rng))
        if engine.terminated[1:].any():
            engine.reset(np.flatnonzero(engine.terminated[1:]) + 1)
    at_end = {name: getattr(engine, name)[0].copy() for name in OUTPUTS}
    actions = random_actions(engine, rng)
    actions[0] = 99  # ignored
    engine.step(actions)
    assert engine.reward[0] == 0.0
    for name in OUTPUTS:
        if name != "reward":
            assert np.array_equal(getattr(engine, name)[0], at_end[name]), name
    engine.reset([0])
    assert not engine.terminated[0] and engine.episode_length[0] == 0 and engine.alive[0].all()


def test_a_battle_is_truncated_at_the_episode_limit():
    # On 2s_vs_1sc nobody meets unless somebody walks, so the battle lasts until its limit of 300.
    engine = BattleEngine("2s_vs_1sc", 1, num_threads=1)
    for step in range(300):
        assert not engine.truncated[0], step
        engine.step(np.ones((1, 2), int))
    assert engine.truncated[0] and not engine.terminated[0] and not engine.battle_won[0]
    assert engine.episode_length[0] == 300
    engine.step(np.ones((1, 2), int))
    assert engine.episode_length[0] == 300


def test_rewards_of_a_won_battle_sum_up_to_20():
    # 3m: no regeneration, so damage, kills and the win add up to the scale exactly.
    engine = BattleEngine("3m", 8, seed=1)
    total = np.zeros(8)
    while not (engine.terminated | engine.truncated).all():
        engine.step(advance_and_fire(engine))
        total += engine.reward
    assert engine.battle_won.any()
    assert total[engine.battle_won] == pytest.approx(20.0)


@pytest.mark.parametrize("name", ["3s5z", "MMM", "bane_vs_bane", "terran_5_vs_5"])
def test_same_seed_same_battle_whatever_the_threads_and_the_batch(name):
    small, large = BattleEngine(name, 3, seed=11, num_threads=1), BattleEngine(name, 16, seed=11, num_threads=2)
    rng = np.random.default_rng(3)
    for _ in range(25):
        actions = random_actions(large, rng)
        large.step(actions)
        small.step(actions[:3])
        for array in OUTPUTS:
            assert np.array_equal(getattr(small, array), getattr(large, array)[:3]), array
        over = large.terminated | large.truncated
        if over.any():
            large.reset(over)
            small.reset(over[:3])


def test_battles_of_a_batch_differ_and_seeds_differ():
    # One script for all, without any draw of its own: the order of execution inside the ticks is the only difference.
    engine, other = BattleEngine("MMM", 8, seed=0), BattleEngine("MMM", 8, seed=1)
    for _ in range(40):
        for e in (engine, other):
            e.step(advance_and_fire(e))
    assert len(np.unique(engine.units["hp"], axis=0)) > 1
    assert not np.array_equal(engine.units["hp"], other.units["hp"])


def test_state_round_trip_continues_identically():
    engine, other = BattleEngine("MMM", 6, seed=2), BattleEngine("MMM", 6, seed=77, num_threads=1)
    play(engine, 30, seed=1)
    saved = engine.get_state()
    other.set_state(saved)
    assert_same(snapshot(engine), snapshot(other))
    play(engine, 30, seed=2)
    later = snapshot(engine)
    play(other, 30, seed=2)
    assert_same(later, snapshot(other))
    engine.set_state(saved)
    play(engine, 30, seed=2)
    assert_same(later, snapshot(engine))


def test_the_state_of_some_battles_can_be_put_into_others():
    engine, other = BattleEngine("MMM", 6, seed=2, num_threads=1), BattleEngine("MMM", 4, seed=77, num_threads=1)
    play(engine, 30, seed=1)
    play(other, 12, seed=3)
    before = snapshot(other)
    some = engine.get_state([5, 0])
    other.set_state(some, [3, 1])
    now, source = snapshot(other), snapshot(engine)
    for name, value in now.items():
        np.testing.assert_array_equal(value[[3, 1]], source[name][[5, 0]], err_msg=name)
        np.testing.assert_array_equal(value[[0, 2]], before[name][[0, 2]], err_msg=name)
    with pytest.raises(BattleError, match=r"found shape \(2, 20\)\. This engine's is \(1, 20\)"):
        other.set_state(some, [3])
    with pytest.raises(BattleError, match="Battles are numbered 0 to 3"):
        other.set_state(some, [3, 4])
    assert_same(now, snapshot(other))


def test_clones_are_the_battle_they_were_copied_from_and_go_the_same_way():
    engine = BattleEngine("MMM2", 6, seed=2, num_threads=1)
    play(engine, 20, seed=1)
    before = snapshot(engine)
    source = np.array([3, 3, 0, 3, 5, 3])
    engine.clone(source)
    assert_same(snapshot(engine), {name: value[source] for name, value in before.items()})
    rng = np.random.default_rng(4)
    for _ in range(20):
        actions = random_actions(engine, rng)[source * 0 + [3, 3, 2, 3, 4, 3]]  # copies act alike
        engine.step(actions)
    after = snapshot(engine)
    for copy in (0, 1, 5):
        assert_same({name: value[3] for name, value in after.items()}, {n: v[copy] for n, v in after.items()})
    assert not np.array_equal(after["hp"][3], after["hp"][4])
    other = BattleEngine("MMM2", 6, seed=5, num_threads=1)
    other.set_state({name: value[source] for name, value in before.items() if name in engine.get_state()})
    assert_same({name: value[source] for name, value in before.items()}, snapshot(other))


@pytest.mark.parametrize("source", [[0, 1], [[0, 1, 2]], [0.0, 1.0, 2.0], [0, 1, 3], [-1, 0, 1], [True, False, True]])
def test_clones_of_what_is_no_battle_are_refused(source):
    engine = BattleEngine("3m", 3, num_threads=1)
    before = snapshot(engine)
    with pytest.raises(BattleError):
        engine.clone(source)
    assert_same(before, snapshot(engine))


def test_reset_with_a_seed_is_a_new_engine_and_without_one_goes_on():
    engine = BattleEngine("3m", 4, seed=9, num_threads=1)
    fresh = snapshot(engine)
    first = play(engine, 40, seed=0)
    engine.reset(seed=9)
    assert_same(fresh, snapshot(engine))
    again = play(engine, 40, seed=0)
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(first, again, strict=True))
    engine.reset()
    assert not np.array_equal(engine.battles["stream_count"], fresh["stream_count"])
    engine.reset([2], seed=9)
    assert engine.battles["stream_count"].tolist()[2] == 0


def test_the_last_actions_survive_a_reset_under_smaclite_rules_only():
    for rules, kept in (("smaclite", 2), ("smac", 0)):
        engine = BattleEngine("2m_vs_1z", 1, rules=rules, num_threads=1)
        assert engine.global_state[0, -14:].sum() == 0
        engine.step(np.ones((1, 2), int))
        assert engine.global_state[0, -14:].sum() == 2
        engine.reset()
        assert engine.global_state[0, -14:].sum() == kept


def test_ticks_one_by_one_are_a_step():
    whole, parts = BattleEngine("2s3z", 4, seed=4, num_threads=1), BattleEngine("2s3z", 4, seed=4, num_threads=1)
    rng = np.random.default_rng(0)
    for _ in range(30):
        actions = random_actions(whole, rng)
        whole.step(actions)
        parts.begin_step(actions)
        for _ in range(8):
            parts.run_tick()
        parts.finish_step()
        assert_same(snapshot(whole), snapshot(parts))


def bad_actions(value, index=(1, 2)):
    actions = np.ones((2, 10), int)
    actions[index] = value
    return actions


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (
            bad_actions(6),
            r"actions\[1, 2\]: found 6, which agent 2 \(alive\) of battle 1 may not take now. Available: \[1,",
        ),
        (bad_actions(0), r"actions\[1, 2\]: found 0"),
        (bad_actions(16), r"actions\[1, 2\]: found 16"),
        (bad_actions(-1), r"actions\[1, 2\]: found -1"),
        (np.ones((2, 9), int), r"actions: found shape \(2, 9\). It is \(2, 10\): \(battles, agents\)"),
        (np.ones(10, int), r"found shape \(10,\)"),
        (np.ones((2, 10)), r"actions: found dtype float64. Action ids are integers from 0 to 15"),
        (np.full((2, 10), np.nan), r"found dtype float64"),
        (np.ones((2, 10), bool), r"found dtype bool"),
        ([["stop"] * 10] * 2, r"found dtype <U4"),
    ],
)
def test_refused_actions_leave_everything_as_it_was(actions, message):
    engine = BattleEngine("MMM", 2, num_threads=1)
    before = snapshot(engine)
    with pytest.raises(ActionError, match=message):
        engine.step(actions)
    assert_same(before, snapshot(engine))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64])
def test_any_integers_are_actions(dtype):
    engine = BattleEngine("3m", 1, num_threads=1)
    engine.step(np.full((1, 3), 2, dtype))
    assert engine.episode_length[0] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("hp"), r"state\['hp'\]: missing. A state has: x, y,"),
        (lambda s: s.update(hpp=s["hp"]), r"state\['hpp'\]: unknown. Nearest: 'hp'"),
        (lambda s: s.update(hp=s["hp"][:1]), r"state\['hp'\]: found shape \(1, 6\). This engine's is \(2, 6\)"),
        (lambda s: s.update(target=s["target"] * 1.5), r"state\['target'\]: found dtype float64. It is int32"),
        (lambda s: s.update(x=s["x"] * np.inf), r"state\['x'\]: found a value that is not finite"),
        (lambda s: s.update(target=s["target"] + 7), r"state\['target'\]: found 6. Values go from -1 to 5"),
        (lambda s: s.update(command=s["command"] * 0 + 2), r"state\['command_unit'\]: found -1"),
        (lambda s: s.update(last_action=s["last_action"] - 1), r"state\['last_action'\]: found -2"),
    ],
)
def test_damaged_states_are_refused_and_change_nothing(change, message):
    engine = BattleEngine("3m", 2, num_threads=1)
    before = snapshot(engine)
    state = engine.get_state()
    change(state)
    with pytest.raises(BattleError, match=message):
        engine.set_state(state)
    assert_same(before, snapshot(engine))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_envs": 0}, r"num_envs: found 0. It is a whole number of at least 1"),
        ({"num_envs": 2.0}, r"num_envs: found 2.0"),
        ({"seed": "x"}, r"seed: found 'x'. It is a whole number"),
        ({"num_threads": 0}, r"num_threads: found 0"),
        ({"start_jitter": -1}, r"start_jitter: found -1. It is a finite number of at least 0"),
        ({"start_jitter": np.nan}, r"start_jitter: found nan"),
        ({"rules": "sc2"}, r"rules: found 'sc2'. Known profiles: 'smaclite', 'smac'"),
        ({"reward_wim": 3}, r"reward_wim: unknown option of BattleEngine. Nearest: 'reward_win'"),
        ({"reward_win": np.inf}, r"reward_win: found inf"),
        ({"reward_only_positive": 1}, r"reward_only_positive: found 1. It is True or False"),
        ({"reward_scale_rate": 0}, r"reward_scale_rate: found 0. It is above 0"),
    ],
)
def test_bad_options_are_named(arguments, message):
    with pytest.raises(BattleError, match=message):
        BattleEngine(**{"map": "3m", "num_envs": 1, **arguments})


def test_unknown_maps_and_battles_are_named():
    with pytest.raises(MapError, match=r"no map '3s5v'. Nearest: '3s5z'"):
        BattleEngine("3s5v", 1)
    engine = BattleEngine("3m", 2, num_threads=1)
    with pytest.raises(BattleError, match=r"reset ids: found 2. Battles are numbered 0 to 1"):
        engine.reset([0, 2])
    with pytest.raises(BattleError, match=r"reset ids: found float64 of shape \(1,\)"):
        engine.reset([0.5])
    with pytest.raises(BattleError, match=r"order: found int64 of shape \(2, 1, 3\)"):
        engine.run_tick(np.zeros((2, 3), int))
    engine.reset([])  # nothing to do is not an error


def _steps_in_a_child(queue):
    engine = BattleEngine("3m", 16, seed=1, num_threads=2)
    play(engine, 5)
    queue.put(engine.units["hp"].sum())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_can_use_threads_after_its_parent_did():
    engine = BattleEngine("3m", 16, seed=1, num_threads=2)
    play(engine, 5)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_steps_in_a_child, args=(queue,))
    child.start()
    assert queue.get(timeout=60) == engine.units["hp"].sum()
    child.join()


def test_the_engine_needs_numpy_and_numba_only_and_import_compiles_nothing():
    code = (
        "import sys, dizoo.smac.battle as b\n"
        "from dizoo.smac.battle.kernels.driver import step_battles\n"
        "assert not step_battles.signatures\n"
        "print([m for m in ('torch', 'dimix', 'gymnasium', 'pettingzoo') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]" and out.stderr == ""


def test_needs_compile_is_answered_without_compiling(tmp_path):
    code = "import dizoo.smac.battle as b; print(b.needs_compile())"
    env = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert out.stdout.strip() == "True"
    BattleEngine("3m", 1, num_threads=1)
    assert not needs_compile()


def test_units_far_outside_the_map_do_no_harm():
    engine = BattleEngine("corridor", 1, num_threads=1)
    state = engine.get_state()
    state["x"][0, ::3], state["y"][0, 1::3] = -1e20, 1e20
    engine.set_state(state)
    for _ in range(3):
        engine.step((engine.action_mask * np.arange(1, engine.action_shape + 1)).argmax(-1))
    assert engine.episode_length[0] == 3 and np.isfinite(engine.agent_state).all()
