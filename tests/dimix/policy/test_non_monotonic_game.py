"""The matrix game of the QTRAN and WQMIX papers: QMIX and VDN fail as published, the methods beyond them find the 8."""

import pytest
import torch
from easydict import EasyDict

from dimix.policy import QMIXPolicy, QTRANPolicy, VDNPolicy, WQMIXPolicy
from dimix.types import make_batch

PAYOFF = torch.tensor([[8.0, -12.0, -12.0], [-12.0, 0.0, 0.0], [-12.0, 0.0, 0.0]])
PLAIN = dict(learn=dict(td_lambda=0.0, learning_rate=0.01, target_update_theta=0.1))


def all_games():
    """The nine joint actions, each once: uniform data. Agents see a constant and their id."""
    obs = torch.zeros(9, 2, 2, 3)
    obs[..., 0] = obs[..., 0, 1] = obs[..., 1, 2] = 1.0
    action = torch.cartesian_prod(torch.arange(3), torch.arange(3)).view(9, 1, 2)
    over = torch.ones(9, 1, dtype=torch.bool)
    return make_batch(
        {
            "obs.agent_state": obs,
            "obs.global_state": torch.ones(9, 2, 1),
            "obs.action_mask": torch.ones(9, 2, 2, 3, dtype=torch.bool),
            "alive": torch.ones(9, 2, 2, dtype=torch.bool),
            "action": action,
            "reward": PAYOFF.view(9, 1),
            "terminated": over,
            "truncated": torch.zeros_like(over),
            "filled": over,
            "weight": torch.ones(9),
            "hidden_state": torch.zeros(9, 2, 0),
            "burnin": torch.zeros(9, dtype=torch.int64),
        }
    )


def train(make_config, cls, seed, updates, **learn):
    """Greedy joint action's payoff after training on all games at once, and the last metrics."""
    torch.manual_seed(seed)
    cfg = make_config()
    cfg.learn.update({**cls.config.get("learn", {}), **PLAIN["learn"], **learn})
    cfg.model = EasyDict(
        agent_num=2, obs_shape=3, global_obs_shape=1, action_shape=3, hidden_size_list=[32], lstm_type="mlp",
        mixer_embed_dim=8, hypernet_embed_dim=16,
    )  # fmt: skip
    cfg.model.type = {QMIXPolicy: "qmix", VDNPolicy: "qmix"}.get(cls, cls.config["type"])
    policy, batch = cls(cfg), all_games()
    for _ in range(updates):
        metrics = policy.learn_mode.forward(batch)
    q, _ = policy.model.unroll(batch.obs.agent_state)
    first, second = q[0, 0].argmax(-1).tolist()
    return PAYOFF[first, second].item(), metrics


@pytest.mark.parametrize("cls", [QMIXPolicy, VDNPolicy])
@pytest.mark.parametrize("seed", range(2))
def test_monotonic_mixers_settle_for_a_zero(make_config, cls, seed):
    payoff, metrics = train(make_config, cls, seed, 300)
    assert payoff == 0.0
    assert metrics["td_error_abs"] > 2  # they cannot even fit the table


@pytest.mark.parametrize("ow", [True, False], ids=["OW", "CW"])
@pytest.mark.parametrize("seed", range(2))
def test_wqmix_finds_the_best(make_config, ow, seed):
    payoff, metrics = train(make_config, WQMIXPolicy, seed, 400, wqmix_ow=ow, alpha=0.1)
    assert payoff == 8.0
    assert metrics["central_loss"] < 1e-2  # the free mixer holds the whole table


@pytest.mark.parametrize("ow", [True, False], ids=["OW", "CW"])
def test_without_weights_wqmix_fails_as_qmix_does(make_config, ow):
    assert train(make_config, WQMIXPolicy, 0, 400, wqmix_ow=ow, alpha=1.0)[0] == 0.0


@pytest.mark.parametrize("form", ["base", "alt"])
@pytest.mark.parametrize("seed", range(2))
def test_qtran_finds_the_best(make_config, form, seed):
    calm = dict(reward_scale=0.1, learning_rate=0.002)  # targets of -12 with larger steps kill its ReLUs
    payoff, metrics = train(make_config, QTRANPolicy, seed, 500, qtran=form, nopt_min_weight=1.0, **calm)
    assert payoff == 8.0
    assert metrics["td_loss"] < 1e-3  # the joint network holds the whole table
