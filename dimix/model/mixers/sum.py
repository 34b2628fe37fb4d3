"""VDN's mixer: the sum."""

from __future__ import annotations

from torch import Tensor, nn

from dimix.registry import MIXER_REGISTRY


@MIXER_REGISTRY.register("sum")
class SumMixer(nn.Module):
    """``q_tot = sum of q_a`` (Sunehag et al. 2017, "Value-Decomposition Networks")."""

    def forward(self, q: Tensor, global_state: Tensor) -> Tensor:
        """Sum q (..., A) -> (...); the state is not read."""
        return q.sum(-1)
