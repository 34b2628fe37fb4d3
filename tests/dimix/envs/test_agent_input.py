"""Observation, last action and agent id joined into one input."""

import numpy as np
import pytest

from dimix.envs.agent_input import AgentInput
from dimix.errors import EnvError


def test_values_by_hand():
    agent_input = AgentInput(obs_shape=2, action_shape=3, agent_num=2)
    obs = np.array([[[0.5, -1.0], [2.0, 0.0]]], np.float32)
    built = agent_input.build(obs, np.array([[2, -1]]))
    #          base       last action  id
    expected = [[0.5, -1.0, 0, 0, 1, 1, 0], [2.0, 0.0, 0, 0, 0, 0, 1]]
    assert agent_input.size == 7
    np.testing.assert_array_equal(built, np.array([expected], np.float32))


@pytest.mark.parametrize(("last_action", "agent_id", "size"), [(False, False, 2), (True, False, 5), (False, True, 4)])
def test_parts_can_be_left_out(last_action, agent_id, size):
    agent_input = AgentInput(2, 3, 2, last_action, agent_id)
    obs = np.array([[0.5, -1.0], [2.0, 3.0]], np.float32)
    built = agent_input.build(obs, np.array([0, 1]))
    expected = [obs]
    if last_action:
        expected.append(np.eye(3, dtype=np.float32)[[0, 1]])
    if agent_id:
        expected.append(np.eye(2, dtype=np.float32))
    assert agent_input.size == size
    np.testing.assert_array_equal(built, np.concatenate(expected, -1))


def test_any_leading_axes_and_every_element_of_out_is_written():
    rng = np.random.default_rng(0)
    agent_input = AgentInput(4, 5, 3)
    obs = rng.normal(size=(2, 6, 3, 4)).astype(np.float32)
    last_action = rng.integers(-1, 5, (2, 6, 3))
    out = np.full((2, 6, 3, agent_input.size), np.nan, np.float32)
    assert agent_input.build(obs, last_action, out) is out
    one_hot = np.concatenate([np.eye(5), np.zeros((1, 5))])[last_action]  # row -1 is the last one: zeros
    ids = np.broadcast_to(np.eye(3), (2, 6, 3, 3))
    np.testing.assert_array_equal(out, np.concatenate([obs, one_hot, ids], -1).astype(np.float32))


def test_wrong_shapes_are_named():
    agent_input = AgentInput(2, 3, 2)
    obs = np.zeros((4, 2, 2), np.float32)
    with pytest.raises(EnvError, match=r"obs has shape \(4, 3, 2\). Right is \(..., 2, 2\)"):
        agent_input.build(np.zeros((4, 3, 2), np.float32), np.zeros((4, 3), int))
    with pytest.raises(EnvError, match=r"last_action has shape \(2,\). Right is \(4, 2\)"):
        agent_input.build(obs, np.zeros(2, int))
    with pytest.raises(EnvError, match=r"out has shape \(4, 2, 8\). Right is \(4, 2, 7\)"):
        agent_input.build(obs, np.zeros((4, 2), int), np.zeros((4, 2, 8), np.float32))
