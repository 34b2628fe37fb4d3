"""The matrix games, played by hand."""

import numpy as np
import pytest
from easydict import EasyDict

from dimix.envs.vec_env import EnvInfo
from dimix.errors import EnvError
from dimix.registry import ENV_REGISTRY
from dizoo.matrix_game.envs.matrix_game_env import GAMES, MatrixGameEnv


def test_two_step_game_by_hand():
    env = MatrixGameEnv("two_step", 3)
    assert env.info == EnvInfo("two_step", 2, 3, 3, 2, 2)
    np.testing.assert_array_equal(env.global_state, [[1, 0, 0]] * 3)
    env.step(np.array([[0, 1], [1, 0], [1, 1]]))  # agent 0 picks the table, agent 1's action does not count
    np.testing.assert_array_equal(env.global_state, [[0, 1, 0], [0, 0, 1], [0, 0, 1]])
    np.testing.assert_array_equal(env.agent_state[:, 1], env.global_state)
    np.testing.assert_array_equal(env.reward, [0, 0, 0])
    assert not env.terminated.any()
    env.step(np.array([[0, 1], [1, 1], [0, 1]]))
    np.testing.assert_array_equal(env.reward, [7, 8, 1])
    np.testing.assert_array_equal(env.battle_won, [False, True, False])
    assert env.terminated.all() and not env.truncated.any()


def test_cue_by_hand():
    env = MatrixGameEnv("cue", 4, delay=2)
    assert env.info == EnvInfo("cue", 2, 3, 3, 2, 3)
    wait = np.zeros((4, 2), int)
    np.testing.assert_array_equal(env.agent_state[:, 0].argmax(-1), [1, 2, 1, 2])
    np.testing.assert_array_equal(env.global_state, env.agent_state[:, 1])
    for _ in range(2):
        assert not env.action_mask[..., 1].any() and env.action_mask[..., 0].all()
        env.step(wait)
        np.testing.assert_array_equal(env.global_state, [[1, 0, 0]] * 4)  # both cues look the same from now on
        assert not env.reward.any() and not env.terminated.any()
    assert env.action_mask.all()
    env.step(np.array([[0, 0], [0, 1], [1, 1], [1, 1]]))
    np.testing.assert_array_equal(env.reward, [1, 0.5, 0, 1])
    np.testing.assert_array_equal(env.battle_won, [True, False, False, True])
    assert env.terminated.all() and not env.truncated.any()
    env.reset([1, 3])  # each copy plays both cues in turns
    np.testing.assert_array_equal(env.agent_state[:, 0].argmax(-1), [0, 1, 0, 1])
    with pytest.raises(EnvError, match="action: 1 while the agents wait. Until the cue is asked for only action 0"):
        env.step(np.ones((4, 2), int))


@pytest.mark.parametrize("answer", [[0, 0], [0, 1], [1, 0], [1, 1]])
def test_whatever_a_team_without_memory_answers_earns_half(answer):
    env = MatrixGameEnv("cue", 2, delay=1)
    env.step(np.zeros((2, 2), int))
    env.step(np.array([answer] * 2))
    assert env.reward.mean() == 0.5


def test_finished_games_are_frozen_until_reset():
    env = MatrixGameEnv("two_step", 2)
    for _ in range(2):
        env.step(np.ones((2, 2), int))
    env.reset([1])
    env.step(np.array([[0, 0], [0, 0]]))
    np.testing.assert_array_equal(env.terminated, [True, False])
    np.testing.assert_array_equal(env.episode_length, [2, 1])
    np.testing.assert_array_equal(env.reward, [0, 0])
    np.testing.assert_array_equal(env.global_state, [[0, 0, 1], [0, 1, 0]])


def test_repeated_games_are_cut_by_the_limit():
    env = MatrixGameEnv("climbing", 1, repeat=3)
    for step in range(3):
        assert not env.truncated[0]
        env.step(np.array([[0, 0]]))
        assert env.reward[0] == 11
        assert env.episode_length[0] == step + 1
    assert env.truncated[0] and not env.terminated[0] and env.battle_won[0]


def test_state_round_trip():
    env, other = MatrixGameEnv("two_step", 2), MatrixGameEnv("two_step", 2)
    env.step(np.array([[1, 0], [0, 0]]))
    other.load_state_dict(env.state_dict())
    for each in (env, other):
        each.step(np.array([[1, 1], [1, 1]]))
    np.testing.assert_array_equal(other.reward, [8, 7])
    np.testing.assert_array_equal(other.agent_state, env.agent_state)
    with pytest.raises(EnvError, match=r"_stage: shape \(2,\). Right is \(3,\)"):
        MatrixGameEnv("two_step", 3).load_state_dict(env.state_dict())


def test_state_round_trip_keeps_whose_cue_is_next():
    env, other = MatrixGameEnv("cue", 3), MatrixGameEnv("cue", 3)
    env.reset([1])
    env.step(np.zeros((3, 2), int))
    other.load_state_dict(env.state_dict())
    for each in (env, other):
        for _ in range(2):
            each.step(np.zeros((3, 2), int))
        each.step(np.array([[0, 0], [1, 1], [1, 0]]))
    np.testing.assert_array_equal(env.reward, [1, 0, 0.5])
    np.testing.assert_array_equal(other.reward, env.reward)
    for each in (env, other):
        each.reset()
    np.testing.assert_array_equal(env.agent_state[:, 0].argmax(-1), [2, 2, 2])
    np.testing.assert_array_equal(other.agent_state, env.agent_state)


def test_built_from_a_config():
    cls = ENV_REGISTRY.get("matrix_game")
    cfg = EasyDict({**cls.config, "map_name": "penalty", "repeat": 2})
    assert cls.describe(cfg).episode_limit == 2
    assert cls.create(cfg, "collect", 5, seed=0).num_envs == 5
    assert GAMES["penalty"][0, 0, 0] == 10


def test_errors_say_what_is_right():
    with pytest.raises(EnvError, match="no matrix game 'two_steps'. Did you mean 'two_step'"):
        MatrixGameEnv("two_steps", 1)
    with pytest.raises(EnvError, match="repeat: 0. Right is 1 or more"):
        MatrixGameEnv("climbing", 1, repeat=0)
    with pytest.raises(EnvError, match="delay: 0. Right is 1 or more"):
        MatrixGameEnv("cue", 1, delay=0)
    with pytest.raises(EnvError, match="num_envs: 0. Right is 1 or more"):
        MatrixGameEnv("climbing", 0)
    env = MatrixGameEnv("climbing", 1)
    with pytest.raises(EnvError, match=r"float64 of shape \(1, 2\). Right is integer of shape \(1, 2\)"):
        env.step(np.zeros((1, 2)))
    with pytest.raises(EnvError, match="values 0 to 3. Right is 0 to 2"):
        env.step(np.array([[0, 3]]))
