"""Every method that a policy promises to let one override, overridden: what it changes, and nothing else."""

import re
from pathlib import Path

import pytest
import torch

from dimix.errors import ConfigError
from dimix.policy import Policy, QMIXPolicy
from dimix.registry import POLICY_REGISTRY

LENGTHS, ENDS = [5, 3, 6], ["terminated", "truncated", "cut"]
PAGE = Path(__file__).resolve().parents[3] / "docs/extending.md"


@pytest.fixture
def update(rng, make_random_batch, make_config):
    """Metrics and gradients of an update, of QMIX with or without overridden methods."""
    batch = make_random_batch(rng, LENGTHS, ENDS)
    batch.hidden_state = torch.randn_like(batch.hidden_state)

    def run(change=None, **methods):
        if change:
            change(batch)
        torch.manual_seed(0)
        policy = type("Variant", (QMIXPolicy,), methods)(make_config(learn__clip_type="none"), seed=0)
        return policy.learn_mode.forward(batch), [p.grad for p in policy.model.parameters()]

    return run


def no_start(self, name, batch):
    return torch.zeros_like(QMIXPolicy._start_state(self, name, batch))


def double_value(self, *args):
    return 2 * QMIXPolicy._team_value(self, *args)


def no_target(self, batch, values):
    return torch.zeros_like(batch.reward)


def loss_of_three(self, *args):
    loss, parts = QMIXPolicy._loss(self, *args)
    return 3 * loss, {**parts, "third": loss}


def half_weight(self, batch, td_error):
    assert td_error.shape == batch.reward.shape and not td_error.requires_grad
    return torch.full_like(td_error, 0.5)


def test_start_state(update):
    changed, _ = update(_start_state=no_start)
    assert changed["loss"] != update()[0]["loss"]

    def forget(batch):
        batch.hidden_state = torch.zeros_like(batch.hidden_state)

    assert changed["loss"] == update(forget)[0]["loss"]


def test_networks(update):
    """A second network under its own name is unrolled with the others; here it is the target."""
    seen = {}

    def networks(self):
        return {**QMIXPolicy._networks(self), "mine": self._target_model}

    def loss(self, batch, values, *args):
        seen.update(values)
        return QMIXPolicy._loss(self, batch, values, *args)

    changed, _ = update(_networks=networks, _loss=loss)
    assert changed == update()[0] and list(seen) == ["online", "target", "mine"]
    assert torch.equal(seen["mine"].q, seen["target"].q) and seen["online"].q.requires_grad


def test_team_value(update):
    plain, changed = update()[0], update(_team_value=double_value)[0]
    assert changed["q_tot"] == pytest.approx(2 * plain["q_tot"], rel=1e-5)
    assert changed["target_q_tot"] != plain["target_q_tot"]


def test_reward(update):
    def more(self, batch):
        return 5 + QMIXPolicy._reward(self, batch)

    def add(batch):
        batch.reward = 5 + batch.reward

    changed, plain = update(_reward=more)[0], update()[0]
    assert changed["target_q_tot"] > plain["target_q_tot"] + 5 and changed == update(add)[0]


def test_target(update):
    changed, _ = update(_target=no_target)
    assert changed["target_q_tot"] == 0 and changed["q_tot"] == update()[0]["q_tot"]


def test_loss(update):
    (plain, grads), (changed, tripled) = update(), update(_loss=loss_of_three)
    assert changed["third"] == plain["loss"] and changed["loss"] == pytest.approx(3 * plain["loss"])
    for a, b in zip(grads, tripled, strict=True):
        torch.testing.assert_close(3 * a, b)


def test_loss_weight(update):
    (plain, grads), (changed, halved) = update(), update(_loss_weight=half_weight)
    assert changed["loss"] == pytest.approx(0.5 * plain["loss"])
    for a, b in zip(grads, halved, strict=True):
        torch.testing.assert_close(0.5 * a, b)


def test_these_are_the_methods_that_are_promised():
    promised = set(re.findall(r"^    `(_\w+)`", QMIXPolicy.__doc__, re.MULTILINE))
    page = PAGE.read_text("utf-8").partition("### What a policy may override")[2]
    assert promised == set(re.findall(r"^\| `(_\w+)\(", page, re.MULTILINE))
    assert promised and promised <= {name.removeprefix("test") for name in globals()}


def test_a_policy_that_lacks_methods_says_which():
    class Half(Policy):
        def default_model(self):
            return "qmix", ["dimix.model"]

    with pytest.raises(TypeError, match="abstract class Half .*_forward_learn"):
        Half({})


@pytest.mark.parametrize("form", [lambda f: f, staticmethod, classmethod])
def test_default_model_may_be_any_kind_of_method(form, monkeypatch):
    monkeypatch.setattr(POLICY_REGISTRY, "_classes", dict(POLICY_REGISTRY._classes))
    named = form((lambda: ("wqmix", [])) if form is staticmethod else (lambda owner: ("wqmix", [])))
    theirs = POLICY_REGISTRY.register("theirs")(type("Theirs", (QMIXPolicy,), {"default_model": named}))
    assert theirs.default_config().model.type == "wqmix"


def test_overrides_of_former_hooks_are_refused():
    with pytest.raises(ConfigError, match="Mine: nothing calls its method '_mix' any more. Override _team_value."):
        type("Mine", (QMIXPolicy,), {"_mix": lambda self, model, q, global_state, used: q.sum(-1)})
