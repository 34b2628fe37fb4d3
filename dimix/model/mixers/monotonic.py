"""QMIX's mixing network: one value for the team, monotonic in every agent's value."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dimix.registry import MIXER_REGISTRY


@MIXER_REGISTRY.register("qmix")
class Mixer(nn.Module):
    """Mixes agents' Q-values into the team's with weights that hypernetworks compute from the global state.

    ``q_tot = |w2(s)| . elu(|W1(s)| q + b1(s)) + V(s)`` (Rashid et al. 2018, "QMIX", section 4; hypernetworks as in
    PyMARL2's ``nmix.py``). The absolute values make ``d q_tot / d q_a >= 0``: an agent that is greedy in its own q is
    greedy in q_tot.

    All four hypernetworks read the state, so their first layers are one matrix. PyTorch's default initialisation
    depends on the input size alone, so it is the same as for four separate layers.

    Args:
        agent_num: agents (A).
        state_dim: size of the global state (S).
        embed_dim: units of the mixing layer (M).
        hypernet_embed_dim: units of the weight hypernetworks' hidden layer; not used with one layer.
        hypernet_layers: layers of the weight hypernetworks, 1 or 2.

    Raises:
        ValueError: hypernet_layers is neither 1 nor 2.
    """

    def __init__(
        self,
        agent_num: int,
        state_dim: int,
        embed_dim: int = 32,
        hypernet_embed_dim: int = 64,
        hypernet_layers: int = 2,
    ) -> None:
        super().__init__()
        if hypernet_layers not in (1, 2):
            raise ValueError(f"hypernet_layers is {hypernet_layers}. It must be 1 or 2.")
        self.agent_num = agent_num
        self.state_dim = state_dim
        self.embed_dim = embed_dim
        self.hypernet_layers = hypernet_layers
        weight_sizes = [agent_num * embed_dim, embed_dim] if hypernet_layers == 1 else [hypernet_embed_dim] * 2
        # Columns: W1's hidden layer (or W1), w2's, V's hidden layer, b1.
        self.split = [*weight_sizes, embed_dim, embed_dim]
        self.state_layer = nn.Linear(state_dim, sum(self.split))
        if hypernet_layers == 2:
            self.w1 = nn.Linear(hypernet_embed_dim, agent_num * embed_dim)
            self.w2 = nn.Linear(hypernet_embed_dim, embed_dim)
        self.value = nn.Linear(embed_dim, 1)

    def forward(self, q: Tensor, global_state: Tensor) -> Tensor:
        """Mix: q (..., A) and global_state (..., S) -> q_tot (...)."""
        w1, w2, value, b1 = self.state_layer(global_state.reshape(-1, self.state_dim)).split(self.split, dim=1)
        if self.hypernet_layers == 2:
            w1, w2 = self.w1(F.relu(w1)), self.w2(F.relu(w2))
        w1 = w1.abs().view(-1, self.agent_num, self.embed_dim)
        hidden = F.elu(b1 + (q.reshape(-1, self.agent_num, 1) * w1).sum(1))
        q_tot = (hidden * w2.abs()).sum(1) + self.value(F.relu(value)).squeeze(1)
        return q_tot.view(q.shape[:-1])
