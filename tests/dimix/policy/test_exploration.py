"""Who explores, how often, and what is never chosen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dimix.envs.agent_input import AgentInput
from dimix.policy import QMIXPolicy
from dimix.policy.exploration import Explorer, epsilon_greedy, greedy
from dimix.replay.buffer import ReplayBuffer
from dimix.worker.collector import Collector
from dizoo.matrix_game.envs.matrix_game_env import MatrixGameEnv


def random_mask(rng, shape):
    mask = rng.random(shape) < 0.4
    mask[..., 0] |= ~mask.any(-1)
    return mask


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), epsilon=st.floats(0, 1), actions=st.integers(1, 12))
def test_only_available_actions(seed, epsilon, actions):
    rng = np.random.default_rng(seed)
    mask = random_mask(rng, (6, 5, actions))
    q = rng.standard_normal((6, 5, actions), np.float32)
    chosen = epsilon_greedy(q, mask, epsilon, rng)
    assert np.take_along_axis(mask, chosen[..., None], -1).all()


def test_greedy_is_the_masked_argmax():
    rng = np.random.default_rng(0)
    mask, q = random_mask(rng, (50, 5, 7)), rng.standard_normal((50, 5, 7), np.float32)
    want = np.where(mask, q, -np.inf).argmax(-1)
    assert (greedy(q, mask) == want).all()
    assert (epsilon_greedy(q, mask, 0.0, rng) == want).all()


def test_each_agent_flips_its_own_coin():
    """Epsilon * 3/4 of the choices are not greedy (one in four random ones is), each agent for itself."""
    rng = np.random.default_rng(1)
    q = np.zeros((4000, 2, 4), np.float32)
    q[..., 2] = 1.0
    other = epsilon_greedy(q, np.ones(q.shape, bool), 0.4, rng) != 2
    rate = 0.4 * 0.75
    assert other.mean() == pytest.approx(rate, abs=4 * np.sqrt(rate * (1 - rate) / 8000))
    both = (other[:, 0] & other[:, 1]).mean()
    assert both == pytest.approx(rate**2, abs=4 * np.sqrt(rate**2 / 4000))


def test_random_actions_are_uniform_over_the_available_ones():
    rng = np.random.default_rng(2)
    mask = np.tile(np.array([True, False, True, False, True]), (3000, 1, 1))
    chosen = epsilon_greedy(np.zeros((3000, 1, 5), np.float32), mask, 1.0, rng)
    share = np.bincount(chosen.ravel(), minlength=5) / 3000
    np.testing.assert_allclose(share, [1 / 3, 0, 1 / 3, 0, 1 / 3], atol=0.035)


def test_epsilon_per_environment():
    q = np.zeros((2, 500, 3), np.float32)
    q[..., 1] = 1.0
    chosen = epsilon_greedy(q, np.ones(q.shape, bool), np.array([0.0, 1.0]), np.random.default_rng(3))
    assert (chosen[0] == 1).all() and (chosen[1] != 1).any()


def test_the_stream_does_not_depend_on_epsilon():
    q, mask = np.zeros((2, 3, 4), np.float32), np.ones((2, 3, 4), bool)
    streams = [np.random.default_rng(5) for _ in range(2)]
    for epsilon, stream in zip((0.0, 0.9), streams, strict=True):
        epsilon_greedy(q, mask, epsilon, stream)
    assert streams[0].random() == streams[1].random()


def test_an_agent_without_actions_is_named():
    mask = np.ones((2, 3, 4), bool)
    mask[1, 2] = False
    with pytest.raises(ValueError, match="agent 2 of environment 1 has no available action"):
        greedy(np.zeros(mask.shape, np.float32), mask)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"q has shape \(2, 3, 4\), action_mask \(2, 3, 5\)"):
        greedy(np.zeros((2, 3, 4), np.float32), np.ones((2, 3, 5), bool))


@pytest.mark.parametrize("fused", [True, False])
def test_policy_acts_as_its_network_says(rng, make_config, fused):
    policy = QMIXPolicy(make_config(model__fused=fused), seed=0)
    mask = random_mask(rng, (4, 3, 5))
    hidden = policy.init_hidden(4)
    agent_state = rng.standard_normal((4, 6, 3, 7), np.float32)
    import torch

    q, _ = policy.model.unroll(torch.from_numpy(agent_state))
    for t in range(6):
        obs = {"agent_state": np.ascontiguousarray(agent_state[:, t]), "action_mask": mask}
        action, hidden = policy.eval_mode.forward(obs, hidden)
        assert action.dtype == np.int64 and action.shape == (4, 3)
        assert (action == np.where(mask, q[:, t].detach().numpy(), -np.inf).argmax(-1)).all()
    hidden[1] = 0.0  # what a collector does where an episode starts


def test_collect_and_eval_have_streams_of_their_own(rng, make_config):
    obs = {"agent_state": rng.standard_normal((8, 3, 7), np.float32), "action_mask": np.ones((8, 3, 5), bool)}
    one, two = (QMIXPolicy(make_config(), seed=4) for _ in range(2))
    two.model.load_state_dict(one.model.state_dict())
    two.eval_mode.forward(obs, two.init_hidden(8), 0.5)
    actions = [p.collect_mode.forward(obs, p.init_hidden(8), 1.0)[0] for p in (one, two)]
    assert (actions[0] == actions[1]).all()


def explored(hold, epsilon, steps=3000, agents=40):
    """(steps, agents) actions where the last of six is the greedy one."""
    explorer = Explorer(hold, np.random.default_rng(4))
    q = np.zeros((1, agents, 6), np.float32)
    q[..., 5] = 1.0
    return np.stack([explorer.choose(q, np.ones(q.shape, bool), epsilon)[0] for _ in range(steps)])


@pytest.mark.parametrize("hold", [1.0, 2.0, 8.0])
@pytest.mark.parametrize("epsilon", [0.05, 0.5, 1.0])
def test_epsilon_is_the_share_of_random_steps_however_long_they_are_held(hold, epsilon):
    random = (explored(hold, epsilon) != 5).mean() * 6 / 5  # one random action in six is the greedy one
    assert random == pytest.approx(epsilon, rel=0.06)


def test_random_actions_last_hold_steps_on_average():
    action = explored(8.0, 0.1)[1:-1]
    begins = (action[1:] != action[:-1]) & (action[1:] != 5)
    assert (action[1:] != 5).sum() / begins.sum() == pytest.approx(8.0, rel=0.1)


def test_a_held_action_ends_where_it_is_not_available():
    explorer = Explorer(1e9, np.random.default_rng(5))
    q, every = np.zeros((4, 3, 5), np.float32), np.ones((4, 3, 5), bool)
    first = explorer.choose(q, every, 1.0)
    assert (explorer.choose(q, every, 1.0) == first).all()
    without = every.copy()
    np.put_along_axis(without, first[..., None], False, -1)
    assert np.take_along_axis(without, explorer.choose(q, without, 1.0)[..., None], -1).all()


def test_a_held_action_ends_with_its_episode_and_no_other():
    explorer = Explorer(1e9, np.random.default_rng(5))
    q, every = np.zeros((4, 60, 5), np.float32), np.ones((4, 60, 5), bool)
    first = explorer.choose(q, every, 1.0)
    explorer.begin(np.array([1, 3]))
    same = explorer.choose(q, every, 1.0) == first
    assert same[[0, 2]].all()
    assert same[[1, 3]].mean() == pytest.approx(0.2, abs=4 * np.sqrt(0.16 / 120))  # one action of five, by chance


@pytest.mark.parametrize("hold", [2.0, 8.0])
@pytest.mark.parametrize("epsilon", [0.1, 0.5])
def test_epsilon_is_the_share_of_random_actions_in_every_step_of_an_episode(hold, epsilon):
    explorer, envs = Explorer(hold, np.random.default_rng(4)), 20_000
    q = np.zeros((envs, 1, 6), np.float32)
    q[..., 5] = 1.0  # the greedy one, which is one random action in six
    for _ in range(2):
        explorer.begin(np.arange(envs))
        for _ in range(3):
            random = (explorer.choose(q, np.ones(q.shape, bool), epsilon) != 5).mean() * 6 / 5
            assert random == pytest.approx(epsilon, abs=5 * np.sqrt(epsilon / envs))


def test_training_games_do_not_begin_in_what_the_last_one_held(make_config):
    """Games of one step in which every action is random: held over their ends, all of a place were the same."""
    env = MatrixGameEnv("non_monotonic", 2)
    info = env.info
    cfg = make_config(other__eps__hold=1e9)
    agent_input = AgentInput(info.obs_shape, info.action_shape, info.agent_num)
    sizes = dict(agent_num=info.agent_num, obs_shape=agent_input.size, action_shape=info.action_shape)
    cfg.model.update(sizes, global_obs_shape=info.global_obs_shape)
    buffer = ReplayBuffer(80, info, agent_input, (info.agent_num, 8))
    Collector(env, QMIXPolicy(cfg, seed=0).collect_mode, buffer, agent_input).collect(80, epsilon=1.0)
    played = buffer.gather(np.arange(80)).action.numpy().reshape(80, -1)
    assert len(np.unique(played[::2], axis=0)) == 9  # joint actions of two agents with three actions, in one place


def test_no_epsilon_ends_what_is_held():
    explorer = Explorer(1e9, np.random.default_rng(6))
    q, every = np.zeros((4, 3, 5), np.float32), np.ones((4, 3, 5), bool)
    explorer.choose(q, every, 1.0)
    assert (explorer.choose(q, every, 0.0) == 0).all()


def test_saved_exploration_goes_on_alike():
    rng = np.random.default_rng(7)
    q, mask = rng.standard_normal((20, 6, 3, 5), np.float32), random_mask(rng, (20, 6, 3, 5))
    one, other = Explorer(4.0, np.random.default_rng(8)), Explorer(4.0, np.random.default_rng(9))
    for t in range(10):
        one.choose(q[t], mask[t], 0.5)
    other.load_state_dict(one.state_dict())
    for t in range(10, 20):
        assert (one.choose(q[t], mask[t], 0.5) == other.choose(q[t], mask[t], 0.5)).all()
