"""QPLEX's mixer: where its maximum lies, and what learns from which term."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dimix.model import QPlexMixer
from dimix.policy.value_learning import chosen_q, masked_argmax, masked_max

AGENTS, ACTIONS, STATE = 3, 4, 5


def make(seed, heads=2, layers=2):
    torch.manual_seed(seed)
    return QPlexMixer(AGENTS, STATE, ACTIONS, 6, heads, layers).double()


def every_joint_action(mask):
    """(R, A): all that the mask (A, N) allows."""
    return torch.tensor(list(itertools.product(*(row.nonzero().flatten().tolist() for row in mask))))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), heads=st.integers(1, 4), layers=st.integers(1, 3), scale=st.floats(0.1, 30))
def test_the_best_joint_action_is_each_agents_best(seed, heads, layers, scale):
    """IGM: no other available joint action has more, and with a worse action of anyone it has less."""
    mixer = make(seed, heads, layers)
    q, state = scale * torch.randn(AGENTS, ACTIONS).double(), scale * torch.randn(STATE).double()
    mask = torch.rand(AGENTS, ACTIONS) < 0.6
    mask[:, seed % ACTIONS] = True
    joint = every_joint_action(mask)
    values = chosen_q(q.expand(len(joint), -1, -1), joint)
    best = masked_max(q, mask).expand(len(joint), -1)
    q_tot = mixer(values, state.expand(len(joint), -1), action=joint, best=best)
    greedy = (joint == masked_argmax(q, mask)).all(1)
    assert greedy.sum() == 1 and q_tot.argmax() == greedy.nonzero().item()
    weight, bias = mixer.weight(state[None])[0, 0].abs(), mixer.bias(state[None])[0, 0]
    torch.testing.assert_close(q_tot[greedy][0], (weight * best[0] + bias).sum())


def test_it_can_order_joint_actions_as_a_monotonic_mixer_cannot():
    """Which of two actions is better for agent 0 can depend on what agent 1 does."""

    def conflict(seed):
        mixer, pairs = make(seed), torch.tensor([[0, 1], [1, 1], [0, 2], [1, 2]])
        pairs = torch.cat([pairs, torch.zeros(4, 1, dtype=torch.int64)], 1)
        q = torch.tensor([-1.0, -1.0, -1.0, 0.0]).double().expand(4, AGENTS, ACTIONS)  # action 3 is the best
        values = mixer(
            chosen_q(q, pairs), torch.zeros(4, STATE).double(), action=pairs, best=torch.zeros(4, AGENTS).double()
        )
        return (values[0] - values[1]) * (values[2] - values[3]) < 0

    assert any(conflict(seed) for seed in range(100))


def test_agents_learn_from_the_plain_sum_and_lambda_from_the_advantages():
    mixer, action = make(0), torch.tensor([[0, 1, 2]])
    state = torch.randn(1, STATE).double()
    q = torch.tensor([[1.0, -2.0, 0.5]]).double().requires_grad_()
    best = torch.tensor([[1.0, 2.0, 3.0]]).double().requires_grad_()
    mixer(q, state, action=action, best=best).sum().backward()
    torch.testing.assert_close(q.grad[0], mixer.weight(state)[0, 0].abs() + 1e-10)  # not times lambda
    assert best.grad is None or not best.grad.any()
    assert mixer.actions.first.weight.grad.any()
    mixer.zero_grad()
    mixer(q, state, action=action, best=q).sum().backward()  # all play their best: nothing tells lambda anything
    assert not mixer.actions.first.weight.grad.any() and mixer.weight.first.weight.grad.any()


@pytest.mark.parametrize("rows", [0, 1])
def test_any_number_of_rows(rows):
    q, action = torch.zeros(rows, AGENTS).double(), torch.zeros(rows, AGENTS, dtype=torch.int64)
    assert make(0)(q, torch.zeros(rows, STATE).double(), action=action, best=q).shape == (rows,)
