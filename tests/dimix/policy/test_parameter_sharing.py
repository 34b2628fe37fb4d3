"""Every policy learns with weights per group: what groups of equal weights do is what shared weights do."""

import numpy as np
import pytest
import torch

from dimix.config.schema import class_schema, defaults
from dimix.registry import POLICY_REGISTRY

LENGTHS, ENDS = [5, 3, 6, 1, 4], ["terminated", "truncated", "cut", "terminated", "truncated"]
SHARING = [
    dict(parameter_sharing="none"),
    dict(parameter_sharing="groups", agent_groups={"front": [2, 0], "back": [1]}),
]


def make(make_config, name, options, **sharing):
    """A policy whose weights are those of all other calls, whatever the sharing."""
    policy_class = POLICY_REGISTRY.get(name)
    cfg = make_config()
    extra = defaults(class_schema(policy_class))["learn"]
    cfg.learn.update({k: v for k, v in extra.items() if k not in cfg.learn})
    cfg.learn.update(options, mask_dead_agents=name != "iql")
    cfg.model.update(sharing, fused=True)
    if name in ("qtran", "iql"):
        cfg.model.mixer = False
    torch.manual_seed(0)
    shared = make(make_config, name, options) if sharing else None
    policy = policy_class(cfg, seed=3)
    if shared is not None:
        for ours, theirs in zip(networks(policy), networks(shared), strict=True):
            spread(ours, theirs)
    return policy


def networks(policy):
    return [policy._model, policy._target_model]


def spread(grouped, shared):
    """Give every group the weights that all agents share in another network."""
    with torch.no_grad():
        for ours, theirs in zip(grouped.parameters(), shared.parameters(), strict=True):
            ours.copy_(theirs if ours.shape == theirs.shape else theirs.expand_as(ours))


@pytest.mark.parametrize("sharing", SHARING, ids=["none", "groups"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("qmix", {}),
        ("vdn", {}),
        ("iql", {}),
        ("wqmix", {"wqmix_ow": True}),
        ("wqmix", {"wqmix_ow": False}),
        ("qtran", {"qtran": "base"}),
        ("qtran", {"qtran": "alt"}),
    ],
    ids=["QMIX", "VDN", "IQL", "OW", "CW", "QTRAN", "QTRAN alt"],
)
def test_update_equals_that_of_shared_weights(rng, make_random_batch, make_config, name, options, sharing):
    batch = make_random_batch(rng, LENGTHS, ENDS)
    batch.hidden_state = torch.from_numpy(rng.standard_normal((5, 3, 8), np.float32))
    batch.burnin = torch.tensor([2, 0, 5, 0, 1])
    shared, grouped = make(make_config, name, options), make(make_config, name, options, **sharing)
    ours, theirs = grouped.learn_mode.forward(batch), shared.learn_mode.forward(batch)
    assert ours.keys() == theirs.keys()
    for key in theirs.keys() - {"grads"}:
        assert ours[key] == pytest.approx(theirs[key], rel=1e-5, abs=1e-7), key
    different = 0
    for (key, p), q in zip(grouped.model.named_parameters(), shared.model.parameters(), strict=True):
        grad = p.grad
        if p.shape != q.shape:  # the gradient of what all share is the sum over the groups
            different += 1
            grad = grad.sum(0)
        torch.testing.assert_close(grad, q.grad, rtol=1e-4, atol=1e-6, msg=key)
    assert different == (16 if name == "wqmix" else 8)


@pytest.mark.parametrize("name", ["qmix", "wqmix", "qtran"])
def test_acting_and_state_of_the_policy(rng, make_random_batch, make_config, name):
    """Actions follow each agent's own weights; a loaded policy goes on as the saved one."""
    sharing = dict(parameter_sharing="none")
    policy = make(make_config, name, {}, **sharing)
    with torch.no_grad():
        for network in (policy.model, policy.eval_model):
            network.agent.head.weight.zero_()
            network.agent.head.bias.zero_()
            for agent in range(3):
                network.agent.head.bias[agent, agent + 1] = 1.0
    obs = {"agent_state": rng.standard_normal((4, 3, 7), np.float32), "action_mask": np.ones((4, 3, 5), bool)}
    for mode in (policy.collect_mode, policy.eval_mode):
        action, hidden = mode.forward(obs, policy.init_hidden(4), 0.0)
        assert (action == [1, 2, 3]).all() and hidden.shape == (4, 3, 8)
    batch = make_random_batch(rng, LENGTHS, ENDS)
    policy.learn_mode.forward(batch)
    other = make(make_config, name, {}, **sharing)
    other.learn_mode.load_state_dict(policy.learn_mode.state_dict())
    assert other.learn_mode.forward(batch) == policy.learn_mode.forward(batch)
