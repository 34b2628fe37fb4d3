"""Several small networks of the same sizes, computed together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from dimix.model.grouped import GroupedLinear


class Heads(nn.Module):
    """K networks that read the same rows, with ReLU between their layers: (R, I) -> (R, K, O).

    Every layer starts as `torch.nn.Linear` does.

    Args:
        count: networks (K).
        sizes: of each network's layers, from I to O.
    """

    def __init__(self, count: int, sizes: Sequence[int]) -> None:
        super().__init__()
        self.count, self.size = count, sizes[1]
        self.first = nn.Linear(sizes[0], count * self.size)
        self.later = nn.ModuleList([GroupedLinear(range(count), i, o) for i, o in pairwise(sizes[1:])])

    def forward(self, x: Tensor) -> Tensor:
        """(R, I) -> (R, K, O)."""
        out = self.first(x).view(-1, self.count, self.size).transpose(0, 1)
        for layer in self.later:
            out = layer(F.relu(out))
        return out.transpose(0, 1)
