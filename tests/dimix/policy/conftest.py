"""Random batches of episodes, and a policy from few words."""

import copy

import numpy as np
import pytest
from easydict import EasyDict

from dimix.check.batches import random_batch
from dimix.policy import QMIXPolicy


def policy_config(**changes):
    """The default config with small sizes; changes are dotted keys with ``__`` for dots."""
    cfg = EasyDict(copy.deepcopy(QMIXPolicy.config))
    cfg.learn.update(discount_factor=0.99, td_lambda=0.6)  # those of the references, whatever the recipe says
    cfg.model = EasyDict(
        agent_num=3, obs_shape=7, global_obs_shape=6, action_shape=5, hidden_size_list=[8], mixer_embed_dim=4,
        hypernet_embed_dim=6, fused=False,
    )  # fmt: skip
    for key, value in changes.items():
        *path, name = key.split("__")
        branch = cfg
        for part in path:
            branch = branch[part]
        branch[name] = value
    return cfg


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def make_random_batch():
    return random_batch


@pytest.fixture
def make_config():
    return policy_config
