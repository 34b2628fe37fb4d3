"""Mixers by name: what each gets, from the config and from an update, is what it asks for."""

import copy

import numpy as np
import pytest
import torch
from easydict import EasyDict
from torch import nn

from dimix.check.batches import random_batch
from dimix.config.compile import compile_all, settings_of
from dimix.errors import ConfigError, RegistryError
from dimix.model import CentralMixer, Mixer, NoMixer, QMix, QPlexMixer, SumMixer, WQMix
from dimix.policy import IQLPolicy, QMIXPolicy, VDNPolicy
from dimix.registry import MIXER_REGISTRY

SIZES = dict(agent_num=3, obs_shape=7, global_obs_shape=6, action_shape=5, hidden_size_list=[8])


@pytest.fixture
def make_policy_config():
    def make(**model):
        cfg = EasyDict(copy.deepcopy(QMIXPolicy.config))
        sizes = dict(agent_num=3, obs_shape=7, global_obs_shape=6, action_shape=5, hidden_size_list=[8])
        cfg.model = EasyDict(**sizes, **model)
        return cfg

    return make


@pytest.fixture
def asking(monkeypatch):
    """A mixer that keeps what it was given; its value is the mean of the best values, times a key of its own."""
    monkeypatch.setattr(MIXER_REGISTRY, "_classes", dict(MIXER_REGISTRY._classes))
    given = []

    @MIXER_REGISTRY.register("asking")
    class Asking(nn.Module):
        config = dict(
            # (float) Factor, > 0.
            factor=1.0,
        )

        def __init__(self, action_shape, feature_dim, factor=1.0):
            super().__init__()
            given.append((action_shape, feature_dim, factor))
            self.scale = nn.Parameter(torch.tensor(factor))

        def forward(self, q, state, *, best, action, features):
            given.append((q, state, best, action, features))
            return self.scale * best.mean(-1)

    return given


@pytest.mark.parametrize(
    ("mixer", "kind"),
    [
        ("qmix", Mixer),
        (True, Mixer),
        ("sum", SumMixer),
        (False, SumMixer),
        ("none", NoMixer),
        ("central", CentralMixer),
        ("qplex", QPlexMixer),
    ],
)
def test_names(mixer, kind):
    assert type(QMix(**SIZES, mixer=mixer).mixer) is kind


def test_values_of_those_without_weights():
    q, state = torch.tensor([[1.0, 2.0, 4.0]]), torch.zeros(1, 6)
    assert QMix(**SIZES, mixer="sum").mix(q, state).tolist() == [7]
    assert QMix(**SIZES, mixer="none").mix(q, state).tolist() == [[1, 2, 4]]


def test_each_mixer_gets_the_sizes_and_keys_that_are_its():
    assert QMix(**SIZES, mixer_embed_dim=4, hypernet_embed_dim=9).mixer.split == [9, 9, 4, 4]
    assert QMix(**SIZES, mixer="central", mixer_embed_dim=4).mixer.out.in_features == 4
    assert WQMix(**SIZES, central_embed_dim=12, mixer_embed_dim=4).central.mixer.out.in_features == 12


def test_a_mixer_gets_what_it_asks_for_from_both_networks(asking, make_policy_config):
    batch = random_batch(np.random.default_rng(7), [4, 2], ["terminated", "cut"])
    torch.manual_seed(0)
    policy = QMIXPolicy(make_policy_config(mixer="asking", factor=2.0), seed=0)
    assert asking[0] == (5, 8, 2.0)
    del asking[:]
    expected = []
    with torch.no_grad():
        q, _ = policy.model.unroll(batch.obs.agent_state, batch.hidden_state, batch.alive)
    dead = ~batch.alive
    best = q.masked_fill(~batch.obs.action_mask, -torch.inf)
    for action, used in (
        (best.argmax(-1)[:, 1:], batch.filled & ~batch.terminated),  # of the target network, still equal, at row t+1
        (batch.action, batch.filled),
    ):
        rows = slice(1, None) if action is not batch.action else slice(-1)
        value = best.amax(-1).masked_fill(dead, 0)[:, rows][used]
        chosen = q[:, rows].gather(-1, action.unsqueeze(-1)).squeeze(-1).masked_fill(dead[:, rows], 0)[used]
        expected.append((chosen, batch.obs.global_state[:, rows][used], value, action[used]))
    metrics = policy.learn_mode.forward(batch)
    assert len(asking) == 2
    for given, right in zip(asking, expected, strict=True):
        for ours, theirs in zip(given, right, strict=False):
            torch.testing.assert_close(ours.detach(), theirs)
        assert given[4].shape == (*given[0].shape, 8)
    assert metrics["q_tot"] == pytest.approx(2 * expected[1][2].mean().item(), rel=1e-5)


def test_features_are_what_the_head_reads(asking):
    torch.manual_seed(0)
    model = QMix(**SIZES, mixer="asking")
    obs = torch.randn(2, 4, 3, 7)
    packing = model.packing(torch.ones(2, 4, 3, dtype=torch.bool))
    values, _ = model.unroll_packed(packing.pack(obs), packing)
    torch.testing.assert_close(model.agent.head(values.features), values.q)
    plain = QMix(**SIZES)
    assert plain.unroll_packed(packing.pack(obs), packing)[0].features.shape == (2, 4, 3, 0)


def test_unknown_names():
    with pytest.raises(RegistryError, match="no mixer 'qmx'. Did you mean 'qmix'.*create_config.policy.import_names"):
        QMix(**SIZES, mixer="qmx")
    with pytest.raises(
        ConfigError, match=r"policy.model.mixer \(in main_config\): no mixer 'qmx'. Did you mean 'qmix'"
    ):
        compiled("qmix", mixer="qmx")
    with pytest.raises(TypeError, match="unexpected keyword argument 'embd'"):
        QMix(**SIZES, embd=3)
    with pytest.raises(ConfigError, match="policy.model.mixer .*'none'. Weighted QMIX learns a value of the team"):
        compiled("wqmix", mixer="none")


def compiled(policy, **model):
    main = dict(env=dict(map_name="two_step"), policy=dict(model=model))
    return compile_all((main, dict(env=dict(type="matrix_game"), policy=dict(type=policy))))


@pytest.mark.parametrize(
    ("policy", "mixer", "name"),
    [
        ("qmix", {}, "qmix"), ("qmix", dict(mixer=True), "qmix"), ("qmix", dict(mixer=False), "sum"),
        ("vdn", {}, "sum"), ("vdn", dict(mixer=False), "sum"),
        ("iql", {}, "none"), ("iql", dict(mixer=False), "none"),
        ("qplex", {}, "qplex"), ("qplex", dict(mixer=False), "qplex"),
        ("wqmix", dict(mixer=False), "sum"), ("qtran", dict(mixer=False), "sum"),
    ],
)  # fmt: skip
def test_a_config_keeps_the_name_also_of_what_is_told_by_a_bool(policy, mixer, name):
    """DI-engine's files and runs of earlier versions have bools; runs of both compare equal."""
    new = compiled(policy, **mixer)
    assert new.cfg.policy.model.mixer == name
    older = {**new.settings()[0]["policy"], "model": {**new.settings()[0]["policy"]["model"], **mixer}}
    assert settings_of({"policy": older}, new.policy_class)["policy"] == new.settings()[0]["policy"]


def test_a_key_of_a_mixers_own_is_checked(asking):
    assert compiled("qmix", mixer="asking", factor=3).cfg.policy.model.factor == 3.0
    with pytest.raises(ConfigError, match=r"policy.model.factor \(in main_config\): -1 is out of range"):
        compiled("qmix", mixer="asking", factor=-1)
    with pytest.raises(ConfigError, match=r"policy.model.factor .*unknown key"):
        compiled("qmix", factor=3)


@pytest.mark.parametrize(("policy", "kind"), [(VDNPolicy, SumMixer), (IQLPolicy, NoMixer)])
@pytest.mark.parametrize("given", [{}, dict(mixer=False)])
def test_policies_without_qmixs_network_say_so_once(make_policy_config, policy, kind, given):
    cfg = make_policy_config(**given)
    cfg.learn.mask_dead_agents = policy is VDNPolicy
    assert type(policy(cfg, seed=0).model.mixer) is kind
