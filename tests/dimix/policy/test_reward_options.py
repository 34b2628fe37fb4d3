"""Rewards as the targets see them: normalised over a batch's real steps, scaled, clipped."""

import pytest
import torch

from dimix.policy import QMIXPolicy


@pytest.fixture
def rewards(rng, make_random_batch, make_config):
    """Rewards 1 to 5 on the real steps of two episodes, nonsense behind the first; what the policy makes of them."""

    def see(**learn):
        batch = make_random_batch(rng, [2, 3], ["terminated", "cut"])
        batch.reward = torch.tensor([[1.0, 2.0, 99.0], [3.0, 4.0, 5.0]])
        cfg = make_config()
        cfg.learn.update(learn)
        return QMIXPolicy(cfg, seed=0)._reward(batch)[batch.filled]

    return see


def test_as_they_are_by_default(rewards):
    assert rewards().tolist() == [1, 2, 3, 4, 5]


def test_normalised_over_real_steps_alone(rewards):
    expected = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0]) / 2**0.5
    torch.testing.assert_close(rewards(reward_normalize=True), expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(rewards(reward_normalize=True, reward_scale=3.0), 3 * expected, atol=1e-3, rtol=0)


def test_clipped_after_scaling(rewards):
    assert rewards(reward_scale=-2.0, reward_clip=7.0).tolist() == [-2, -4, -6, -7, -7]
    assert rewards(reward_scale=0.5, reward_clip=1.0).tolist() == [0.5, 1, 1, 1, 1]


def test_equal_rewards_normalise_to_zero(rng, make_random_batch, make_config):
    batch = make_random_batch(rng, [3], ["cut"])
    batch.reward = torch.full((1, 3), 4.0)
    cfg = make_config(learn__reward_normalize=True)
    assert QMIXPolicy(cfg, seed=0)._reward(batch).tolist() == [[0, 0, 0]]


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
    torch.testing.assert_close(policy._reward(batch)[batch.filled], expected.float(), rtol=1e-4, atol=1e-4)
    other = QMIXPolicy(make_config(learn__reward_standardise=True, learn__reward_scale=2.0), seed=0)
    other.learn_mode.load_state_dict(policy.learn_mode.state_dict())
    assert torch.equal(other._reward(batch), policy._reward(batch))
