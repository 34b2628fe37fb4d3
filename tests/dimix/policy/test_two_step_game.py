"""The two-step game of the QMIX paper (section 6.1): QMIX finds the 8, VDN and IQL settle for the safe 7."""

import itertools

import pytest
import torch
from easydict import EasyDict

from dimix.policy import IQLPolicy, QMIXPolicy, VDNPolicy
from dimix.types import make_batch

PAYOFF = {1: [[7.0, 7.0], [7.0, 7.0]], 2: [[0.0, 1.0], [1.0, 8.0]]}  # second step, by the state that agent 0 chose


def all_games():
    """The 16 games that two agents with two actions can play, as one batch; agents see the state and their id."""
    games = list(itertools.product(range(2), repeat=4))
    obs = torch.zeros(16, 3, 2, 5)
    action = torch.tensor(games).view(16, 2, 2)
    reward = torch.zeros(16, 2)
    obs[..., 0, 3] = obs[..., 1, 4] = 1.0
    for g, (first, _, *second) in enumerate(games):
        obs[g, 0, :, 0] = obs[g, 1, :, 1 + first] = 1.0
        reward[g, 1] = PAYOFF[1 + first][second[0]][second[1]]
    last = torch.tensor([[False, True]]).expand(16, 2)
    return make_batch(
        {
            "obs.agent_state": obs,
            "obs.global_state": obs[:, :, 0, :3].contiguous(),
            "obs.action_mask": torch.ones(16, 3, 2, 2, dtype=torch.bool),
            "alive": torch.ones(16, 3, 2, dtype=torch.bool),
            "action": action,
            "reward": reward,
            "terminated": last,
            "truncated": torch.zeros_like(last),
            "filled": torch.ones_like(last),
            "weight": torch.ones(16),
            "hidden_state": torch.zeros(16, 2, 0),
            "burnin": torch.zeros(16, dtype=torch.int64),
        }
    )


def greedy_return(policy, batch):
    """What the greedy team gets."""
    q, _ = policy.model.unroll(batch.obs.agent_state)
    first = q[0, 0].argmax(-1)
    q, _ = policy.model.unroll(batch.obs.agent_state[8 * first[0] : 8 * first[0] + 1])
    second = q[0, 1].argmax(-1)
    return PAYOFF[1 + int(first[0])][second[0]][second[1]]


@pytest.mark.parametrize(("cls", "value"), [(QMIXPolicy, 8.0), (VDNPolicy, 7.0), (IQLPolicy, 7.0)])
@pytest.mark.parametrize("seed", range(2))
def test_two_step_game(make_config, cls, value, seed):
    torch.manual_seed(seed)
    cfg = make_config(learn__td_lambda=0.0, learn__learning_rate=0.01, learn__target_update_theta=0.1)
    cfg.learn.mask_dead_agents = cls is not IQLPolicy
    cfg.model = EasyDict(
        agent_num=2, obs_shape=5, global_obs_shape=3, action_shape=2, hidden_size_list=[32], lstm_type="mlp",
        mixer_embed_dim=8, hypernet_embed_dim=16,
    )  # fmt: skip
    policy, batch = cls(cfg), all_games()
    for _ in range(600):
        policy.learn_mode.forward(batch)
    assert greedy_return(policy, batch) == value
