"""One QTRAN update against a plain reference, both forms, and the pieces of the joint network."""

import pytest
import torch

from dimix.check import references
from dimix.check.references import Goal
from dimix.check.updates import with_other_target
from dimix.errors import ConfigError
from dimix.model import QMix, QTran
from dimix.policy import QTRANPolicy

LENGTHS, ENDS = [5, 3, 6, 1, 4], ["terminated", "truncated", "cut", "terminated", "truncated"]
FACTORS = {"td_weight": 1.5, "opt_weight": 0.7, "nopt_min_weight": 0.3}


@pytest.fixture
def make(make_config):
    """A policy whose target network differs from the online one."""

    def build(dtype=torch.float32, **changes):
        learn = {"qtran": "base", **FACTORS, **changes.pop("learn", {})}
        cfg = make_config(model__type="qtran", **changes)
        cfg.learn.update(learn)
        cfg.model.update(embedding_size=12)
        torch.manual_seed(0)
        return with_other_target(QTRANPolicy(cfg, seed=3), dtype)

    return build


@pytest.mark.parametrize(
    ("learn", "options"),
    [
        ({}, {}),
        ({"double_q": False}, {"double_q": False}),
        ({"mask_dead_agents": False}, {"mask_dead": False}),
        ({"target": "q_lambda"}, {"goal": Goal("q_lambda")}),
        ({"target": "n_step", "n_step": 3}, {"goal": Goal("n_step", 3)}),
    ],
    ids=["default", "single q", "dead count", "Q(lambda)", "3 steps"],
)
@pytest.mark.parametrize("form", ["base", "alt"])
def test_loss_and_gradient_equal_the_reference(rng, make_random_batch, make, form, learn, options):
    batch = make_random_batch(rng, LENGTHS, ENDS, steps=8, dtype=torch.float64)
    policy = make(torch.float64, learn={"qtran": form, **learn})
    factors = tuple(FACTORS.values())
    loss, grads, _ = references.qtran(policy.model, policy._target_model, batch, form=form, factors=factors, **options)
    metrics = policy.learn_mode.forward(batch)
    assert metrics["loss"] == pytest.approx(loss.item(), rel=1e-12)
    parts = [f * metrics[n] for f, n in zip(FACTORS.values(), ("td_loss", "opt_loss", "nopt_loss"), strict=True)]
    assert all(parts) and metrics["loss"] == pytest.approx(sum(parts))
    for name, p in policy.model.named_parameters():
        torch.testing.assert_close(p.grad, grads[name], rtol=1e-9, atol=1e-12)


def test_importance_weights_scale_every_part(rng, make_random_batch, make):
    batch = make_random_batch(rng, LENGTHS, ENDS, steps=8)
    batch.weight = torch.full((5,), 0.25)
    policy, weighted = make(), make(priority=True, priority_IS_weight=True)
    plain, scaled = policy.learn_mode.forward(batch), weighted.learn_mode.forward(batch)
    for name in ("loss", "td_loss", "opt_loss", "nopt_loss"):
        assert scaled[name] == pytest.approx(0.25 * plain[name], rel=1e-6)
    assert scaled["priority"].shape == (5,)


def test_counterfactual_values_are_joint_values():
    torch.manual_seed(0)
    model = QTran(3, 7, 6, 5, hidden_size_list=[8], embedding_size=12)
    features, state = torch.randn(4, 3, 8), torch.randn(4, 6)
    action, counts = torch.randint(5, (4, 3)), torch.tensor([[True, True, False]]).expand(4, 3)
    every = model.counterfactual_q(features, action, counts, state)
    assert every.shape == (4, 3, 5)
    for agent in range(3):
        for n in range(5):
            other = action.clone()
            other[:, agent] = n
            torch.testing.assert_close(every[:, agent, n], model.joint_q(features, other, counts, state))
    assert not torch.allclose(every[:, 0, 0], every[:, 0, 1])
    torch.testing.assert_close(every[:, 2, 0], every[:, 2, 1])  # who does not count changes nothing


def test_errors_say_what_is_right(make_config):
    sizes = dict(agent_num=3, obs_shape=7, global_obs_shape=6, action_shape=5)
    with pytest.raises(ValueError, match="mixer is True. QTRAN has a joint network in the mixer's place; use False."):
        QTran(**sizes, mixer=True)
    with pytest.raises(ConfigError, match="policy.model: QMix has no joint network. Use the model 'qtran'"):
        QTRANPolicy(make_config(), QMix(**sizes))
