"""Rewards as the targets see them: normalised over real steps, scaled, clipped; and the moments of a stream."""

import numpy as np
import pytest
import torch

from dimix.policy import QMIXPolicy
from dimix.policy.rewards import Rewards, RunningMoments


@pytest.fixture
def rewards(rng, make_random_batch):
    """Rewards 1 to 5 on the real steps of two episodes, nonsense after the first; what is made of them."""

    def see(**options):
        batch = make_random_batch(rng, [2, 3], ["terminated", "cut"])
        batch.reward = torch.tensor([[1.0, 2.0, 99.0], [3.0, 4.0, 5.0]])
        return Rewards(**options)(batch)[batch.filled]

    return see


def test_as_they_are_by_default(rewards):
    assert rewards().tolist() == [1, 2, 3, 4, 5]


def test_normalised_over_real_steps_alone(rewards):
    expected = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0]) / 2**0.5
    torch.testing.assert_close(rewards(normalize=True), expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(rewards(normalize=True, scale=3.0), 3 * expected, atol=1e-3, rtol=0)


def test_clipped_after_scaling(rewards):
    assert rewards(scale=-2.0, clip=7.0).tolist() == [-2, -4, -6, -7, -7]
    assert rewards(scale=0.5, clip=1.0).tolist() == [0.5, 1, 1, 1, 1]


def test_equal_rewards_normalise_to_zero(rng, make_random_batch):
    batch = make_random_batch(rng, [3], ["cut"])
    batch.reward = torch.full((1, 3), 4.0)
    assert Rewards(normalize=True)(batch).tolist() == [[0, 0, 0]]


def test_a_policy_hands_every_option_on(rng, make_random_batch, make_config):
    batch = make_random_batch(rng, [2], ["cut"])
    batch.reward = torch.tensor([[1.0, 3.0]])  # -1 and 1, then scaled and clipped
    cfg = make_config(learn__reward_normalize=True, learn__reward_scale=2.0, learn__reward_clip=1.5)
    assert QMIXPolicy(cfg, seed=0)._rewards(batch).tolist() == [[-1.5, 1.5]]


def test_standardised_over_everything_sampled_so_far(rng, make_random_batch, make_config):
    """Each real reward counts once, padding never; the update that sees a batch counts it already."""
    policy = QMIXPolicy(make_config(learn__reward_standardise=True, learn__reward_scale=2.0), seed=0)
    seen = []
    for _ in range(3):
        batch = make_random_batch(rng, [2, 5], ["terminated", "cut"])
        batch.reward = torch.where(batch.filled, 3 + 5 * batch.reward, 1e6)
        policy.learn_mode.forward(batch)
        seen.append(batch.reward[batch.filled])
    whole = torch.cat(seen).double()
    expected = 2 * (seen[-1] - whole.mean()) / whole.std(correction=0)
    torch.testing.assert_close(policy._rewards(batch)[batch.filled], expected.float(), rtol=1e-4, atol=1e-4)
    other = QMIXPolicy(make_config(learn__reward_standardise=True, learn__reward_scale=2.0), seed=0)
    other.learn_mode.load_state_dict(policy.learn_mode.state_dict())
    assert torch.equal(other._rewards(batch), policy._rewards(batch))


def test_pieces_equal_the_whole():
    rng = np.random.default_rng(0)
    pieces = [1e4 + rng.standard_normal(n) * n for n in (1, 5, 0, 64, 2)]  # far from 0: a naive sum of squares fails
    moments = RunningMoments()
    for piece in pieces:
        moments.add(torch.from_numpy(piece))
    whole = np.concatenate(pieces)
    assert (moments.count, moments.mean) == (72, pytest.approx(whole.mean(), rel=1e-14))
    assert moments.std == pytest.approx(whole.std(), rel=1e-9)


def test_before_the_first_number_nothing_is_changed():
    assert (RunningMoments().mean, RunningMoments().std) == (0.0, 1.0)


def test_state_round_trip():
    moments, other = RunningMoments(), RunningMoments()
    moments.add(torch.tensor([1.0, 2.0]))
    other.load_state_dict(moments.state_dict())
    for each in (moments, other):
        each.add(torch.tensor([7.0]))
    assert (moments.mean, moments.std) == (other.mean, other.std)
    assert other.mean == pytest.approx(10 / 3) and other.std == pytest.approx((62 / 9) ** 0.5)
