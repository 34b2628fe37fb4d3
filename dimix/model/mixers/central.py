"""Weighted QMIX's central mixer, which can represent any function of the agents' values."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dimix.registry import MIXER_REGISTRY


@MIXER_REGISTRY.register("central")
class CentralMixer(nn.Module):
    """Mixes agents' Q-values without the monotonicity constraint: ``q_tot = f(s, q_1 .. q_A) + V(s)``.

    f has three hidden layers, V one, all with ReLU (Rashid et al. 2020, "Weighted QMIX", appendix: the network of
    Q-hat*).

    Args:
        agent_num: agents (A).
        state_dim: size of the global state (S).
        embed_dim: units of each hidden layer.
    """

    def __init__(self, agent_num: int, state_dim: int, embed_dim: int = 256) -> None:
        super().__init__()
        sizes = [state_dim + agent_num, *[embed_dim] * 3]
        self.hidden = nn.ModuleList([nn.Linear(i, o) for i, o in zip(sizes[:-1], sizes[1:], strict=True)])
        self.out = nn.Linear(embed_dim, 1)
        self.value_hidden = nn.Linear(state_dim, embed_dim)
        self.value = nn.Linear(embed_dim, 1)

    def forward(self, q: Tensor, global_state: Tensor) -> Tensor:
        """Mix: q (..., A) and global_state (..., S) -> the central team value (...)."""
        x = torch.cat([global_state, q], -1)
        for layer in self.hidden:
            x = F.relu(layer(x))
        return (self.out(x) + self.value(F.relu(self.value_hidden(global_state)))).squeeze(-1)
