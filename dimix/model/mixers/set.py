"""A mixing network for teams of any size: it reads the global state as a set of units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from dimix.registry import MIXER_REGISTRY


@MIXER_REGISTRY.register("set")
class SetMixer(nn.Module):
    """QMIX's mix with weights that move with the agents.

    ``q_tot = |w2(z)| . elu(sum_a |w1(s_a, z)| q_a + b1(z)) + V(z)``

    ``s_a`` are agent a's own columns of the state and ``z`` the sum over the kinds of units of the mean code of their
    units, ``relu(W s_j + b)``, zero for units whose columns are all zero (Zaheer et al. 2017, "Deep sets"). So the
    numbering of agents and of others does not matter, and no weight depends on how many there are. What else the state
    tells is not read. As in QMIX ``d q_tot / d q_a >= 0``.

    Args:
        state_entities: where each unit is in the global state, the agents first; see `EnvInfo.state_entities`.
        embed_dim: units of the mixing layer (M).
        hypernet_embed_dim: floats of z, and units of the weight hypernetworks' hidden layer (Z).

    Raises:
        ValueError: there are no state_entities.
    """

    def __init__(
        self, state_entities: Sequence[Mapping[str, Any]] | None, embed_dim: int = 32, hypernet_embed_dim: int = 64
    ) -> None:
        super().__init__()
        if not state_entities:
            raise ValueError("the mixer 'set' needs state_entities: where each unit is in the global state.")
        self.at = [(kind["column"], kind["count"], kind["size"]) for kind in state_entities]
        self.codes = nn.ModuleList([nn.Linear(size, hypernet_embed_dim) for _, _, size in self.at])
        self.own = nn.Linear(self.at[0][2], hypernet_embed_dim, bias=False)  # the pool's share of this layer has one
        # Columns: the pool's share of w1's hidden layer, w2's hidden layer, V's hidden layer, b1.
        self.split = [hypernet_embed_dim, hypernet_embed_dim, embed_dim, embed_dim]
        self.pool_layer = nn.Linear(hypernet_embed_dim, sum(self.split))
        self.w1 = nn.Linear(hypernet_embed_dim, embed_dim)
        self.w2 = nn.Linear(hypernet_embed_dim, embed_dim)
        self.value = nn.Linear(embed_dim, 1)

    def forward(self, q: Tensor, global_state: Tensor) -> Tensor:
        """Mix: q (R, A) and global_state (R, S) -> q_tot (R,)."""
        units = [global_state[:, at : at + n * size].unflatten(1, (n, size)) for at, n, size in self.at]
        pool = sum(self._pooled(code, each) for code, each in zip(self.codes, units, strict=True))
        w1, w2, value, b1 = self.pool_layer(pool).split(self.split, dim=1)
        w1 = self.w1(F.relu(self.own(units[0]) + w1.unsqueeze(1))).abs()
        hidden = F.elu(b1 + (q.unsqueeze(2) * w1).sum(1))
        return (hidden * self.w2(F.relu(w2)).abs()).sum(1) + self.value(F.relu(value)).squeeze(1)

    @staticmethod
    def _pooled(code: nn.Module, units: Tensor) -> Tensor:
        """Mean code of the units of a kind, those that are not there counting as zero: (R, K, size) -> (R, Z)."""
        return (F.relu(code(units)) * (units != 0).any(2, keepdim=True)).mean(1)
