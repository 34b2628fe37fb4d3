"""Windows of the latest steps: every step once per pass, with the recurrent state that the agents had."""

import copy

import numpy as np
import pytest
import torch

from dimix.config.compile import compile_all
from dimix.entry.rooms import Rooms
from dimix.errors import BatchError
from dimix.replay.batch import validate

GAMES, STEPS = 4, 7


@pytest.fixture
def make_rooms():
    """Rooms of a PQN training on short battles of 3m, a few of which end inside every window or two."""

    def make(burnin=0):
        env = dict(map_name="3m", collector_env_num=GAMES, evaluator_env_num=2, n_evaluator_episode=2)
        policy = dict(
            model=dict(hidden_size_list=[8]),
            learn=dict(update_per_collect=2, batch_size=2),
            collect=dict(unroll_len=STEPS, burnin_len=burnin),
        )
        return Rooms(compile_all((dict(env=env, policy=policy), dict(env=dict(type="smac"), policy=dict(type="pqn")))))

    return make


def collect(rooms):
    return rooms.collector.collect(n_step=GAMES * STEPS, epsilon=0.5)


@pytest.mark.parametrize("burnin", [0, 3])
def test_a_pass_has_every_step_once_and_samples_are_valid(make_rooms, burnin):
    rooms = make_rooms(burnin)
    for _ in range(20):
        collect(rooms)
        for _ in range(2):  # passes
            steps = 0
            for _ in range(2):  # batches of two games each
                batch = rooms.buffer.sample(2)
                validate(batch)
                steps += int((batch.filled.sum(1) - batch.burnin).sum())
            assert steps == GAMES * STEPS
    rooms.close()


def test_windows_go_on_where_the_last_ended(make_rooms):
    """The windows of all rounds hold all that was played: every step, every end, every reward of finished episodes."""
    rooms = make_rooms()
    played, ended, steps, rewards, ends = 0, [], 0, [], 0
    for _ in range(30):
        stats = collect(rooms)
        batch = rooms.buffer.sample(GAMES)
        played, ended = played + stats.env_steps, ended + stats.ep_reward
        steps += int(batch.filled.sum())
        ends += int((batch.terminated | batch.truncated).sum())
        rewards.append(float(batch.reward.sum()))
    assert steps == played == 30 * GAMES * STEPS and ends == len(ended) > GAMES
    running = rooms.collector._games.ep_return.sum()
    assert sum(rewards) == pytest.approx(sum(ended) + running, rel=1e-5)
    rooms.close()


@pytest.mark.parametrize("burnin", [0, 3])
def test_a_window_unrolls_to_the_values_that_the_agents_acted_on(make_rooms, burnin):
    """Recomputed from the stored state, the last recurrent state of each running game is the collector's own."""
    rooms = make_rooms(burnin)
    for _ in range(6):
        collect(rooms)
        batch = rooms.buffer.sample(GAMES)
    going = ~(batch.terminated | batch.truncated).any(1)
    steps = batch.filled.sum(1)
    valid = batch.filled.unsqueeze(-1).expand(*batch.filled.shape, 3)
    with torch.no_grad():
        _, state = rooms.policy.model.unroll(batch.obs.agent_state[:, :-1], batch.hidden_state, valid)
    theirs = {tuple(row.flatten()[:4].round(decimals=4).tolist()) for row in rooms.collector._games.hidden}
    found = {tuple(row.flatten()[:4].round(decimals=4).tolist()) for row in state[going]}
    assert found <= theirs and len(found) >= 2 and (steps > burnin).all()
    assert batch.hidden_state[batch.hidden_state.flatten(1).any(1)].shape[0] > 0
    rooms.close()


def test_there_is_nothing_to_sample_before_a_collection_and_after_a_resume(make_rooms):
    rooms, other = make_rooms(2), make_rooms(2)
    assert not rooms.buffer.can_sample(1)
    with pytest.raises(BatchError, match="batch_size: 1. There are 0 windows now. Collect first."):
        rooms.buffer.sample(1)
    for _ in range(3):
        collect(rooms)
        rooms.learner.train(2)
    other.load_state_dict(copy.deepcopy(rooms.state_dict()))
    assert not other.buffer.can_sample(1)
    for each in (rooms, other):
        collect(each)
    one, two = rooms.learner.train(2), other.learner.train(2)
    assert one == two and one
    np.testing.assert_array_equal(rooms.collector._games.last_action, other.collector._games.last_action)
    for each in (rooms, other):
        each.close()
