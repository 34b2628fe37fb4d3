"""One WQMIX update against a plain reference, and what must not change it; weights by hand: dimix/check/weights.py."""

import pytest
import torch

from dimix.check import references
from dimix.check.references import Goal
from dimix.check.updates import with_other_target
from dimix.errors import ConfigError
from dimix.model import QMix
from dimix.policy import WQMIXPolicy
from dimix.replay.batch import batch_fields, make_batch

LENGTHS, ENDS = [5, 3, 6, 1, 4], ["terminated", "truncated", "cut", "terminated", "truncated"]
ALPHA = 0.3


@pytest.fixture
def make(make_config):
    """A policy whose target networks differ from the online ones."""

    def build(dtype=torch.float32, **changes):
        learn = {"wqmix_ow": True, "alpha": ALPHA, "central_loss_weight": 1.0, **changes.pop("learn", {})}
        cfg = make_config(**changes)
        cfg.learn.update(learn)
        cfg.model.setdefault("central_embed_dim", 12)
        torch.manual_seed(0)
        return with_other_target(WQMIXPolicy(cfg, seed=3), dtype)

    return build


def reference(policy, batch, ow, **options):
    """The plain form."""
    return references.wqmix(policy.model, policy._target_model, batch, ow=ow, alpha=ALPHA, **options)


def said(policy, batch):
    """What the networks of an update say of a batch."""
    _, values, _ = next(policy._pieces(batch))
    return values


@pytest.mark.parametrize(
    ("learn", "options"),
    [
        ({}, {}),
        ({"mask_dead_agents": False}, {"mask_dead": False}),
        ({"target": "q_lambda"}, {"goal": Goal("q_lambda")}),
        ({"target": "n_step", "n_step": 3}, {"goal": Goal("n_step", 3)}),
    ],
    ids=["default", "dead count", "Q(lambda)", "3 steps"],
)
@pytest.mark.parametrize("ow", [True, False], ids=["OW", "CW"])
def test_loss_and_gradient_equal_the_reference(rng, make_random_batch, make, ow, learn, options):
    batch = make_random_batch(rng, LENGTHS, ENDS, steps=8, dtype=torch.float64)
    policy = make(torch.float64, learn={"wqmix_ow": ow, **learn})
    loss, grads, weights = reference(policy, batch, ow, **options)
    assert 0 < sum(w == 1 for w in weights) < len(weights)  # both weights occur
    metrics = policy.learn_mode.forward(batch)
    assert metrics["loss"] == pytest.approx(loss.item(), rel=1e-12)
    assert metrics["loss_weight"] == pytest.approx(sum(weights) / len(weights), rel=1e-12)
    for name, p in policy.model.named_parameters():
        torch.testing.assert_close(p.grad, grads[name], rtol=1e-9, atol=1e-12)


def test_fused_form_and_importance_weights_equal_the_reference(rng, make_random_batch, make):
    batch = make_random_batch(rng, LENGTHS, ENDS, steps=8)
    batch.weight = torch.tensor([1.0, 0.5, 0.25, 2.0, 1.0])
    policy = make(model__fused=True, priority=True, priority_IS_weight=True)
    loss, grads, _ = reference(policy, batch, True, weight=batch.weight)
    metrics = policy.learn_mode.forward(batch)
    assert metrics["loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert metrics["priority"].shape == (5,)
    for name, p in policy.model.named_parameters():
        torch.testing.assert_close(p.grad, grads[name], rtol=1e-4, atol=1e-6)


def test_a_dead_agent_does_not_switch_the_central_condition_off(rng, make_random_batch, make):
    """Its Q-values are not even computed, so any comparison with its greedy action would be of nothing."""
    batch = make_random_batch(rng, [1], ["terminated"])
    batch.obs.action_mask[:] = True
    batch.alive[:] = True
    batch.alive[:, :, 2] = False
    policy = make(learn={"wqmix_ow": False})
    values = said(policy, batch)
    batch.action = values["online"].q[:, :-1].argmax(-1)
    batch.action[..., 2] = 3  # not the first of equals
    low = torch.full((1, 1), -1e6)
    assert policy._optimism(batch, values, low, low).item() == 1.0
    batch.action[..., 1] = (batch.action[..., 1] + 1) % 5
    assert policy._optimism(batch, values, low, low).item() == pytest.approx(ALPHA)


def test_each_network_learns_from_its_own_loss(rng, make_random_batch, make):
    batch = make_random_batch(rng, LENGTHS, ENDS)
    grads = {}
    for factor in (1.0, 2.0):
        policy = make(learn={"central_loss_weight": factor})
        policy.learn_mode.forward(batch)
        grads[factor] = {n: p.grad.clone() for n, p in policy.model.named_parameters()}
    for name, grad in grads[1.0].items():
        scale = 2.0 if name.startswith("central.") else 1.0
        torch.testing.assert_close(grads[2.0][name], scale * grad)
        assert grad.abs().max() > 0, name


def test_central_agents_start_windows_from_zero(rng, make_random_batch, make):
    """The stored state is that of the agents who acted; another network's memory it is not."""
    batch = make_random_batch(rng, LENGTHS, ENDS)
    stored = make_batch({**batch_fields(batch), "hidden_state": torch.randn_like(batch.hidden_state)})
    policy = make()
    plain, started = said(policy, batch), said(policy, stored)
    assert not torch.allclose(plain["online"].q, started["online"].q)
    for name in ("target", "central"):
        assert torch.equal(plain[name].q, started[name].q)


def test_round_trip_holds_the_central_networks(rng, make_random_batch, make):
    batch = make_random_batch(rng, LENGTHS, ENDS)
    first, second = make(), make()
    first.learn_mode.forward(batch)
    second.learn_mode.load_state_dict(first.learn_mode.state_dict())
    assert second.learn_mode.forward(batch) == first.learn_mode.forward(batch)
    assert "central.mixer.out.weight" in first.learn_mode.state_dict()["target_model"]


def test_errors_say_what_is_right(make, make_config):
    with pytest.raises(ConfigError, match="policy.learn.double_q: False. WQMIX's target takes the actions"):
        make(learn={"double_q": False})
    sizes = dict(agent_num=3, obs_shape=7, global_obs_shape=6, action_shape=5)
    with pytest.raises(ConfigError, match="policy.model: QMix has no central network. Use the model 'wqmix'"):
        WQMIXPolicy(make_config(), QMix(**sizes))
