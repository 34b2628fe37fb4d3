"""Qatten's mixing network: attention of the state on each agent's own part of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dimix.model.mixers.heads import Heads
from dimix.registry import MIXER_REGISTRY


@MIXER_REGISTRY.register("qatten")
class QattenMixer(nn.Module):
    """Sums agents' values with weights from attention: ``q_tot = sum_h |w_h(s)| sum_a alpha_ha q_a + c(s)``.

    ``alpha_ha`` is the softmax over the agents of ``query_h(s) . key_h(s_a) / sqrt(embed_dim)``, and ``s_a`` agent a's
    own columns of the global state (Yang et al. 2020, "Qatten"; sizes as in PyMARL2's ``qatten.py``). Dead agents keep
    their share of the attention.

    Args:
        agent_num: agents (A).
        state_dim: size of the global state (S).
        state_entities: where each unit is in the global state, the agents first; see `EnvInfo.state_entities`.
        embed_dim: size of queries and keys, units of the hidden layer of c.
        hypernet_embed_dim: units of the hidden layers of the queries and of w.
        attention_heads: see `config` below.

    Raises:
        ValueError: there are no state_entities.
    """

    config = dict(
        # (int) Heads of the attention, >= 1.
        attention_heads=4,
    )

    def __init__(
        self,
        agent_num: int,
        state_dim: int,
        state_entities: Sequence[Mapping[str, Any]] | None,
        embed_dim: int = 32,
        hypernet_embed_dim: int = 64,
        attention_heads: int = 4,
    ) -> None:
        super().__init__()
        if not state_entities:
            raise ValueError("the mixer 'qatten' needs state_entities: where each agent is in the global state.")
        column, self.size = state_entities[0]["column"], state_entities[0]["size"]
        self.own = slice(column, column + agent_num * self.size)
        self.agent_num, self.scale = agent_num, embed_dim**-0.5
        self.query = Heads(attention_heads, [state_dim, hypernet_embed_dim, embed_dim])
        self.key = nn.Linear(self.size, attention_heads * embed_dim, bias=False)  # softmax would not see a bias
        self.weight = Heads(1, [state_dim, hypernet_embed_dim, attention_heads])
        self.value = Heads(1, [state_dim, embed_dim, 1])

    def forward(self, q: Tensor, global_state: Tensor) -> Tensor:
        """Mix: q (R, A) and global_state (R, S) -> q_tot (R,)."""
        query = self.query(global_state)
        own = global_state[:, self.own].view(-1, self.agent_num, self.size)
        key = self.key(own).view(-1, self.agent_num, *query.shape[1:])
        share = torch.softmax(self.scale * torch.einsum("rhd,rahd->rha", query, key), -1)
        heads = (share * q.unsqueeze(1)).sum(-1)
        return (heads * self.weight(global_state)[:, 0].abs()).sum(-1) + self.value(global_state)[:, 0, 0]
