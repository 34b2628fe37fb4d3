"""Independent Q-learning is single-agent Q-learning, once per agent."""

import pytest
import torch

from dimix.check import references
from dimix.check.references import Goal
from dimix.errors import ConfigError
from dimix.policy import IQLPolicy, VDNPolicy
from dimix.registry import POLICY_REGISTRY


@pytest.mark.parametrize("goal", [Goal(), Goal("q_lambda", 0.8), Goal("n_step", 3)], ids=lambda goal: goal.kind)
def test_loss_and_gradient_equal_the_reference(rng, make_random_batch, make_config, goal):
    batch = make_random_batch(rng, [5, 3, 6], ["terminated", "truncated", "cut"], steps=7, dtype=torch.float64)
    torch.manual_seed(0)
    number = {"learn__n_step": 3} if goal.kind == "n_step" else {"learn__td_lambda": goal.parameter}
    policy = IQLPolicy(make_config(learn__mask_dead_agents=False, learn__target=goal.kind, **number))
    for network in (policy.model, policy._target_model, policy._averaged_model):
        network.double()
    right = references.qmix(policy.model, policy._target_model, batch, references.unmixed, mask_dead=False, goal=goal)
    assert policy.learn_mode.forward(batch)["loss"] == pytest.approx(right.loss.item(), rel=1e-12)
    for name, p in policy.model.named_parameters():
        torch.testing.assert_close(p.grad, right.grads[name], rtol=1e-9, atol=1e-12)


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
