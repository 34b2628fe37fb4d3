"""What code written for DI-engine calls by name."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from dimix.config.compile import compile_all
from dimix.model import QMix
from dimix.policy import IQLPolicy, Policy, QMIXPolicy, QTRANPolicy, VDNPolicy, WQMIXPolicy
from dimix.registry import MODEL_REGISTRY, POLICY_REGISTRY, Registry
from dimix.utils import set_pkg_seed

SHIPPED = {"iql": IQLPolicy, "qmix": QMIXPolicy, "qtran": QTRANPolicy, "vdn": VDNPolicy, "wqmix": WQMIXPolicy}


def compiled(policy_type: str, **main: object) -> dict:
    create = dict(env=dict(type="matrix_game"), policy=dict(type=policy_type))
    return compile_all((dict(env=dict(map_name="two_step"), **main), create)).cfg.policy


@pytest.mark.parametrize("name", SHIPPED)
def test_default_config_is_what_a_config_that_says_nothing_gets(name):
    assert compiled(name, policy=SHIPPED[name].default_config()) == compiled(name)


def test_default_config_is_a_copy_that_may_be_changed():
    mine = QMIXPolicy.default_config()
    mine.learn.batch_size = 7
    mine.model.hidden_size_list.append(128)
    assert QMIXPolicy.default_config().learn.batch_size == 32
    assert QMIXPolicy.default_config().model.hidden_size_list == [64]
    assert compiled("qmix", policy=mine).learn.batch_size == 7


def test_a_policy_is_built_from_default_config_and_sizes():
    config = QMIXPolicy.default_config()
    config.model.update(agent_num=2, obs_shape=5, global_obs_shape=4, action_shape=3)
    policy = QMIXPolicy(config)
    assert isinstance(policy, Policy) and policy.init_hidden(6).shape == (6, 2, 64)


def test_default_config_of_a_class_of_the_users_names_that_class_and_its_model(monkeypatch):
    for registry in (POLICY_REGISTRY, MODEL_REGISTRY):
        monkeypatch.setattr(registry, "_classes", dict(registry._classes))

    @MODEL_REGISTRY.register("their_model")
    class TheirModel(QMix):
        pass

    @POLICY_REGISTRY.register("theirs")
    class Theirs(QMIXPolicy):
        config = dict(learn=dict(batch_size=16))

        def default_model(self):
            return "their_model", []

    config = Theirs.default_config()
    assert (config.type, config.model.type, config.learn.batch_size) == ("theirs", "their_model", 16)
    assert compiled("theirs", policy=config) == compiled("theirs")


def test_a_registry_knows_the_names_of_its_classes():
    registry = Registry("thing")
    assert registry.name_of(registry.register("one")(type("One", (), {}))) == "one"
    assert registry.name_of(int) is None


@pytest.mark.parametrize("use_cuda", [True, False])
def test_set_pkg_seed_seeds_all_three(use_cuda):
    def draw(seed):
        set_pkg_seed(seed, use_cuda)
        return random.random(), float(np.random.random()), float(torch.rand(()))

    first, again, other = draw(2**40 + 1), draw(2**40 + 1), draw(2**40 + 2)
    assert first == again
    assert all(a != b for a, b in zip(first, other, strict=True))
