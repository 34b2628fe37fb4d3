"""Layers with weights per group of agents.

Inputs and outputs are (A, R, ...), agents first. Each agent uses its group's weights, so a layer is one batched product
whatever the groups are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class GroupedLinear(nn.Module):
    """`torch.nn.Linear` with weights per group: (A, R, I) -> (A, R, O).

    Args:
        groups: group of each agent (A), numbers from 0 to G - 1.
        in_features: floats in (I).
        out_features: floats out (O).

    Attributes:
        weight: (G, O, I), initialised per group as in `torch.nn.Linear`.
        bias: (G, O).
    """

    groups: Tensor

    def __init__(self, groups: Sequence[int], in_features: int, out_features: int) -> None:
        super().__init__()
        register_groups(self, groups)
        count = max(groups) + 1
        self.weight = grouped_parameter(count, out_features, in_features, bound=1 / math.sqrt(in_features))
        self.bias = grouped_parameter(count, out_features, bound=1 / math.sqrt(in_features))

    def forward(self, x: Tensor) -> Tensor:
        """(A, R, I) -> (A, R, O)."""
        return torch.baddbmm(self.bias[self.groups].unsqueeze(1), x, self.weight[self.groups].transpose(1, 2))


class GroupedLayerNorm(nn.Module):
    """`torch.nn.LayerNorm` with scale and shift per group: (A, R, F) -> (A, R, F).

    Args:
        groups: group of each agent (A), numbers from 0 to G - 1.
        size: floats per row (F).
    """

    groups: Tensor

    def __init__(self, groups: Sequence[int], size: int) -> None:
        super().__init__()
        register_groups(self, groups)
        self.weight = nn.Parameter(torch.ones(max(groups) + 1, size))
        self.bias = nn.Parameter(torch.zeros(max(groups) + 1, size))

    def forward(self, x: Tensor) -> Tensor:
        """(A, R, F) -> (A, R, F)."""
        normed = nn.functional.layer_norm(x, x.shape[-1:])
        return torch.addcmul(self.bias[self.groups].unsqueeze(1), normed, self.weight[self.groups].unsqueeze(1))


def register_groups(module: nn.Module, groups: Sequence[int]) -> None:
    """Register the index ``groups`` (A,), which follows the module between devices and is not part of its state."""
    module.register_buffer("groups", torch.tensor(list(groups), dtype=torch.int64), persistent=False)


def grouped_parameter(*shape: int, bound: float) -> nn.Parameter:
    """A parameter uniform in [-bound, bound], as torch initialises linear and recurrent layers."""
    return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound))
