"""A policy's config with small sizes."""

import copy

import pytest
from easydict import EasyDict

from dimix.policy import QMIXPolicy


@pytest.fixture
def make_policy_config():
    def make(**model):
        cfg = EasyDict(copy.deepcopy(QMIXPolicy.config))
        sizes = dict(agent_num=3, obs_shape=7, global_obs_shape=6, action_shape=5, hidden_size_list=[8])
        cfg.model = EasyDict(**sizes, **model)
        return cfg

    return make
