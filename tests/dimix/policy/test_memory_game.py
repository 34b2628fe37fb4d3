"""A cue that is seen once and needed three steps later: agents with a memory learn it, those without cannot."""

import itertools

import pytest
import torch
from easydict import EasyDict

from dimix.policy import QMIXPolicy
from dimix.types import make_batch

STEPS, HIDDEN = 4, {"gru": 16, "lstm": 32, "mlp": 0}


def all_games(state_size):
    """Two cues, and for each the four joint actions of the last step; before it there is one action only.

    The team earns 1 when both agents answer with the cue. Agents see [cue 0, cue 1, a constant, own id]; the global
    state knows the step and not the cue.
    """
    games = list(itertools.product(range(2), range(2), range(2)))
    n = len(games)
    obs, state = torch.zeros(n, STEPS + 1, 2, 5), torch.eye(STEPS + 1).expand(n, -1, -1).contiguous()
    obs[..., 2] = obs[..., 0, 3] = obs[..., 1, 4] = 1.0
    mask = torch.ones(n, STEPS + 1, 2, 2, dtype=torch.bool)
    mask[:, : STEPS - 1, :, 1] = False
    action, reward = torch.zeros(n, STEPS, 2, dtype=torch.int64), torch.zeros(n, STEPS)
    for g, (cue, first, second) in enumerate(games):
        obs[g, 0, :, cue] = 1.0
        action[g, -1] = torch.tensor([first, second])
        reward[g, -1] = float(first == second == cue)
    last = (torch.arange(STEPS) == STEPS - 1).expand(n, -1)
    return make_batch(
        {
            "obs.agent_state": obs,
            "obs.global_state": state,
            "obs.action_mask": mask,
            "alive": torch.ones(n, STEPS + 1, 2, dtype=torch.bool),
            "action": action,
            "reward": reward,
            "terminated": last,
            "truncated": torch.zeros_like(last),
            "filled": torch.ones_like(last),
            "weight": torch.ones(n),
            "hidden_state": torch.zeros(n, 2, state_size),
            "burnin": torch.zeros(n, dtype=torch.int64),
        }
    )


def greedy_returns(policy, batch):
    """What the greedy team earns for each cue."""
    q, _ = policy.model.unroll(batch.obs.agent_state)
    answers = q[:, STEPS - 1].argmax(-1)  # (games, agents); the first and the fifth game have cues 0 and 1
    return [float((answers[g] == cue).all()) for cue, g in enumerate((0, 4))]


@pytest.mark.parametrize("lstm_type", ["gru", "lstm", "mlp"])
def test_only_agents_with_a_memory_answer_both_cues(make_config, lstm_type):
    torch.manual_seed(0)
    cfg = make_config(learn__td_lambda=0.0, learn__learning_rate=0.01, learn__target_update_theta=0.1)
    cfg.model = EasyDict(
        agent_num=2, obs_shape=5, global_obs_shape=STEPS + 1, action_shape=2, hidden_size_list=[16],
        lstm_type=lstm_type, mixer_embed_dim=8, hypernet_embed_dim=16,
    )  # fmt: skip
    policy, batch = QMIXPolicy(cfg), all_games(HIDDEN[lstm_type])
    for _ in range(250):
        metrics = policy.learn_mode.forward(batch)
    if lstm_type == "mlp":
        assert sum(greedy_returns(policy, batch)) <= 1.0
        assert metrics["td_error_abs"] > 0.05
    else:
        assert greedy_returns(policy, batch) == [1.0, 1.0]
        assert metrics["td_error_abs"] < 0.05
