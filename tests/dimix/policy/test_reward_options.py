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
