"""SMAX behind the batch contract: its own numbers, games that end one by one, exact saving, and a training."""

import numpy as np
import pytest

from dimix.config.compile import compile_all
from dimix.entry import serial_pipeline
from dimix.errors import ConfigError, EnvError

jax = pytest.importorskip("jax", reason="jax is not installed: pip install 'dimix[smax]'")
pytest.importorskip("jaxmarl", reason="jaxmarl is not installed: pip install 'dimix[smax]'")

STOP = 4
FIRST_SHOT = 5


def config(**env):
    main = dict(env=env)
    create = dict(env=dict(type="smax", import_names=["dizoo.smax.envs.smax_env"]), policy=dict(type="qmix"))
    return compile_all((main, create))


def make(num_envs=3, seed=0, **env):
    compiled = config(**env)
    return compiled.env_class.create(compiled.branch("env"), "collect", num_envs, seed)


def random_action(env, generator):
    return (generator.random(env.action_mask.shape) * env.action_mask).argmax(-1)


def shown(env):
    names = ("agent_state", "global_state", "action_mask", "alive", "reward", "terminated", "truncated", "battle_won")
    return {name: getattr(env, name).copy() for name in (*names, "episode_length")}


def assert_same(first, second, games=slice(None)):
    for name, value in first.items():
        np.testing.assert_array_equal(value[games], second[name][games], err_msg=name)


def test_a_game_is_what_jaxmarls_own_loop_gives():
    """The same keys and actions through reset and step_env, one game by itself."""
    from jaxmarl.environments.smax import HeuristicEnemySMAX, map_name_to_scenario

    env = make(seed=5)
    bare = HeuristicEnemySMAX(scenario=map_name_to_scenario("3m"), max_steps=100)
    key = np.random.SeedSequence([5, 1]).generate_state(2, np.uint32)  # game 1
    key, now = jax.random.split(jax.numpy.asarray(key))
    obs, state = bare.reset(now)
    generator = np.random.default_rng(0)
    rewards = np.zeros(3)
    for _ in range(12):
        mask = bare.get_avail_actions(state)
        for k, agent in enumerate(bare.agents):
            np.testing.assert_allclose(env.agent_state[1, k], obs[agent], atol=1e-5)
            np.testing.assert_array_equal(env.action_mask[1, k], np.asarray(mask[agent]) > 0)
        np.testing.assert_allclose(env.global_state[1], obs["world_state"], atol=1e-4)
        action = random_action(env, generator)
        action = np.where(env.action_mask[..., FIRST_SHOT], FIRST_SHOT, action)
        key, now = jax.random.split(key)
        obs, state, reward, done, _ = bare.step_env(now, state, dict(zip(bare.agents, action[1], strict=True)))
        env.step(action)
        assert env.reward[1] == pytest.approx(float(reward["ally_0"]), abs=1e-5)
        rewards += env.reward
        if done["__all__"]:
            break
    assert rewards[1] > 0  # there was a fight


def test_games_end_one_by_one_and_wait_for_their_reset():
    env = make(num_envs=6)
    generator = np.random.default_rng(1)
    while not env.terminated.any():
        env.step(random_action(env, generator))
    over = env.terminated.copy()
    before = shown(env)
    env.step(random_action(env, generator))
    after = shown(env)
    assert (after["reward"][over] == 0).all()
    assert_same({k: v for k, v in before.items() if k != "reward"}, after, over)
    assert (after["episode_length"][~over] == before["episode_length"][~over] + 1).all()
    env.reset(np.flatnonzero(over))
    assert (env.episode_length[over] == 0).all() and not env.terminated[over].any() and env.alive[over].all()
    assert_same(after, shown(env), ~over)


def test_the_time_limit_is_no_defeat_and_a_win_is_a_win():
    """Against enemies that do not shoot: who stands still is cut, who shoots whenever it can wins 2 points in all."""
    env = make(num_envs=2, episode_limit=60, enemy_shoots=False)
    total = np.zeros(2)
    for step in range(60):
        # Game 0 waits for the enemies, who come by themselves, and shoots at the first that it can; game 1 never does.
        can = env.action_mask[0, :, FIRST_SHOT:]
        shoot = np.where(can.any(-1), FIRST_SHOT + can.argmax(-1), STOP)
        assert not env.truncated.any(), step
        env.step(np.stack([shoot, np.full(3, STOP)]))
        total += env.reward
    assert (env.terminated[0], env.truncated[0], env.battle_won[0]) == (True, False, True)
    assert (env.terminated[1], env.truncated[1], env.battle_won[1]) == (False, True, False)
    assert env.episode_length[0] < 60 and env.episode_length[1] == 60
    assert total == pytest.approx([2.0, 0.0], abs=1e-4)


def test_a_restored_batch_goes_on_as_the_first_one():
    env, twin = make(seed=1), make(seed=2)
    generator = np.random.default_rng(2)
    for _ in range(5):
        env.step(random_action(env, generator))
    twin.load_state_dict(env.state_dict())
    for step in range(25):
        assert_same(shown(env), shown(twin))
        action = random_action(env, generator)
        env.step(action)
        twin.step(action)
        if step % 8 == 7:
            env.reset([0])
            twin.reset([0])
    with pytest.raises(EnvError, match=r"battles cannot be restored: arrays of shapes \[\(4,"):
        env.load_state_dict(make(num_envs=4).state_dict())


def test_every_game_and_seed_has_its_own_start():
    env = make(num_envs=3)
    assert len({row.tobytes() for row in env.global_state}) == 3
    first = env.global_state.copy()
    np.testing.assert_array_equal(make(num_envs=3).global_state, first)
    assert not np.array_equal(make(num_envs=3, seed=1).global_state, first)
    env.reset()
    assert not np.array_equal(env.global_state, first)


def test_the_global_state_in_shares_of_its_limits():
    """Positions by the map's 32 by 32, cooldowns by the longest of any unit (1.87) and from 0 on; the rest as it is."""
    raw, normal = make(seed=3), make(seed=3, state_normalize=True)
    generator = np.random.default_rng(4)
    for _ in range(12):
        action = random_action(raw, generator)
        raw.step(action)
        normal.step(action)
    before, after = raw.global_state[:, :60].reshape(3, 6, 10), normal.global_state[:, :60].reshape(3, 6, 10)
    assert before[..., 3].min() < -1 and before[..., 1:3].max() > 5
    np.testing.assert_allclose(after[..., 1:3], before[..., 1:3] / 32, atol=1e-6)
    np.testing.assert_allclose(after[..., 3], (before[..., 3] / 1.87).clip(0, 1), atol=1e-6)
    np.testing.assert_array_equal(np.delete(after, [1, 2, 3], -1), np.delete(before, [1, 2, 3], -1))
    np.testing.assert_array_equal(normal.global_state[:, 60:], raw.global_state[:, 60:])
    np.testing.assert_array_equal(normal.agent_state, raw.agent_state)


def test_sizes():
    info = config(episode_limit=30).info
    # Five others of 7 numbers and 6 type bits, oneself of 4 and 6; six units of 10, team and type; 5 moves, 3 targets.
    assert (info.agent_num, info.obs_shape, info.global_obs_shape) == (3, 5 * 13 + 10, 6 * 12)
    assert (info.action_shape, info.episode_limit, info.has_win, info.has_jitter) == (8, 30, True, False)


def test_wrong_actions_maps_and_roles():
    env = make()
    with pytest.raises(EnvError, match=r"action of agent 1 in game 2: 7. Right is one of \[0, 1, 2, 3, 4\]"):
        env.step(np.array([[STOP] * 3, [STOP] * 3, [STOP, 7, STOP]]))
    with pytest.raises(
        ConfigError, match=r"env.map_name \(in .*\): SMAX has no map '2s3x'. Did you mean '2s3z'\? Known: 3m,"
    ):
        config(map_name="2s3x")
    with pytest.raises(EnvError, match="environment role 'play'. Right is one of collect, evaluate"):
        compiled = config()
        compiled.env_class.create(compiled.branch("env"), "play", 1, 0)


def test_it_trains(tmp_path, shrink, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = [o for o in shrink if "jitter_eval" not in o]
    result = serial_pipeline("dizoo/smax/config/smax_3m_qmix_config.py", 0, env_step=600, overrides=small)
    assert result.env_step >= 600
