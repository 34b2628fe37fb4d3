"""Independent Q-learning is single-agent Q-learning, once per agent."""

import pytest
import torch

from dimix import value_learning as vl
from dimix.errors import ConfigError
from dimix.policy import IQLPolicy, VDNPolicy
from dimix.registry import POLICY_REGISTRY


def test_loss_is_the_mean_over_agents_of_their_own(rng, make_random_batch, make_config):
    batch = make_random_batch(rng, [5, 3, 6], ["terminated", "truncated", "cut"], steps=7)
    torch.manual_seed(0)
    policy = IQLPolicy(make_config(learn__mask_dead_agents=False))
    with torch.no_grad():
        q, _ = policy.model.unroll(batch.obs.agent_state)
    losses = []
    for a in range(3):
        taken = q[:, :-1, a].gather(-1, batch.action[:, :, a, None])[..., 0]
        best = q[:, 1:, a].masked_fill(~batch.obs.action_mask[:, 1:, a], -1e9).amax(-1)
        target = vl.td_lambda_targets(batch.reward, batch.terminated, batch.filled, best, 0.99, 0.6)
        losses.append(0.5 * (taken - target)[batch.filled].square().mean().item())
    assert policy.learn_mode.forward(batch)["loss"] == pytest.approx(sum(losses) / 3, rel=1e-5)


def test_priority_has_one_number_per_sample(rng, make_random_batch, make_config):
    batch = make_random_batch(rng, [5, 3], ["terminated", "truncated"])
    policy = IQLPolicy(make_config(priority=True, priority_IS_weight=True, learn__mask_dead_agents=False))
    assert policy.learn_mode.forward(batch)["priority"].shape == (2,)


def test_masked_dead_agents_are_refused(make_config):
    with pytest.raises(
        ConfigError, match="policy.learn.mask_dead_agents: True. An independent learner's return goes on"
    ):
        IQLPolicy(make_config())


def test_names():
    assert POLICY_REGISTRY.get("iql") is IQLPolicy and POLICY_REGISTRY.get("vdn") is VDNPolicy
