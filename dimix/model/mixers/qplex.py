"""QPLEX's mixing network: any team value whose best joint action is each agent's own best."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dimix.model.mixers.heads import Heads
from dimix.registry import MIXER_REGISTRY

LEAST = 1e-10  # of the positive weights, as in the authors' code


@MIXER_REGISTRY.register("qplex")
class QPlexMixer(nn.Module):
    """Mixes agents' values and advantages: ``q_tot = sum_a w_a q_a + b_a + (lambda_a - 1) stop(w_a (q_a - best_a))``.

    ``w_a(s) > 0`` and ``b_a(s)`` come from the global state; ``lambda_a(s, u) > 0`` is attention over state and joint
    action (Wang et al. 2021, "QPLEX: Duplex Dueling Multi-Agent Q-Learning", section 3.2 and appendix B):

    ``lambda_a = sum_k |key_k(s)| sigmoid(agents_k(s)_a) sigmoid(actions_k(s, u)_a)``.

    The last term is 0 where every agent takes its best action and never positive, so that q_tot has its maximum there
    (IGM); it can be as low as needed elsewhere. ``stop`` holds the advantage fixed: it teaches lambda only, and the
    minus one takes back that it counts in ``w_a q_a`` already.

    Args:
        agent_num: agents (A).
        state_dim: size of the global state (S).
        action_shape: number of actions (N).
        hypernet_embed_dim: units of each hidden layer.
        attention_heads: see `config` below.
        advantage_layers: see `config` below.
    """

    config = dict(
        # (int) Heads of the attention, >= 1.
        attention_heads=4,
        # (int) Layers of each network of QPLEX's attention, in [1, 3].
        advantage_layers=2,
    )

    def __init__(
        self,
        agent_num: int,
        state_dim: int,
        action_shape: int,
        hypernet_embed_dim: int = 64,
        attention_heads: int = 4,
        advantage_layers: int = 2,
    ) -> None:
        super().__init__()
        self.action_shape = action_shape
        hidden = [hypernet_embed_dim] * (advantage_layers - 1)
        joint = state_dim + agent_num * action_shape
        self.weight, self.bias = (Heads(1, [state_dim, hypernet_embed_dim, agent_num]) for _ in range(2))
        self.key = Heads(attention_heads, [state_dim, *hidden, 1])
        self.agents = Heads(attention_heads, [state_dim, *hidden, agent_num])
        self.actions = Heads(attention_heads, [joint, *hidden, agent_num])

    def forward(self, q: Tensor, global_state: Tensor, *, action: Tensor, best: Tensor) -> Tensor:
        """Mix: q, action and best (R, A), global_state (R, S) -> q_tot (R,)."""
        weight, bias = self.weight(global_state)[:, 0].abs() + LEAST, self.bias(global_state)[:, 0]
        advantage = (weight * (q - best)).detach()
        return (weight * q + bias + advantage * (self.importance(global_state, action) - 1)).sum(-1)

    def importance(self, global_state: Tensor, action: Tensor) -> Tensor:
        """Lambda of each agent: global_state (R, S), action (R, A) -> (R, A)."""
        onehot = F.one_hot(action, self.action_shape).flatten(1).to(global_state.dtype)
        key, agents = self.key(global_state).abs() + LEAST, self.agents(global_state)
        actions = self.actions(torch.cat([global_state, onehot], 1))
        return (key * torch.sigmoid(agents) * torch.sigmoid(actions)).sum(1)
