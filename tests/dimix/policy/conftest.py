"""Random batches of episodes, and a policy from few words."""

import copy

import numpy as np
import pytest
import torch
from easydict import EasyDict

from dimix.policy import QMIXPolicy
from dimix.types import make_batch, validate


def random_batch(rng, lengths, ends, *, steps=None, agents=3, actions=5, obs=7, state=6, hidden=8, dtype=torch.float32):
    """Episodes of the given lengths that end as told ('terminated', 'truncated', 'cut'); agents die at random times."""
    batch = len(lengths)
    steps = max(lengths) if steps is None else steps
    filled = np.arange(steps)[None] < np.array(lengths)[:, None]
    rows = np.arange(steps + 1)[None] <= np.array(lengths)[:, None]
    death = rng.integers(1, steps + 4, (batch, 1, agents))
    alive = (np.arange(steps + 1)[None, :, None] < death) & rows[..., None]
    mask = rng.random((batch, steps + 1, agents, actions)) < 0.6
    mask[..., 0] = ~alive | ~mask[..., 1:].any(-1)
    mask[~alive] = np.arange(actions) == 0
    action = (mask[:, :-1] * rng.random((batch, steps, agents, actions))).argmax(-1)
    last = np.arange(steps)[None] == np.array(lengths)[:, None] - 1
    ended = {k: last & (np.array(ends) == k)[:, None] for k in ("terminated", "truncated")}
    values = {
        "obs.agent_state": rng.standard_normal((batch, steps + 1, agents, obs)) * rows[..., None, None],
        "obs.global_state": rng.standard_normal((batch, steps + 1, state)) * rows[..., None],
        "reward": rng.standard_normal((batch, steps)) * filled,
        "weight": np.ones(batch),
        "hidden_state": np.zeros((batch, agents, hidden)),
    }
    fields = {k: torch.from_numpy(v).to(dtype) for k, v in values.items()}
    masks = {"obs.action_mask": mask, "alive": alive, "action": action, "filled": filled, **ended}
    fields.update({k: torch.from_numpy(v) for k, v in masks.items()}, burnin=torch.zeros(batch, dtype=torch.int64))
    made = make_batch(fields)
    if dtype == torch.float32:
        validate(made)
    return made


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
