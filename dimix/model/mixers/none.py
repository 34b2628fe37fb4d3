"""Independent learners' mixer: none."""

from __future__ import annotations

from torch import Tensor, nn

from dimix.registry import MIXER_REGISTRY


@MIXER_REGISTRY.register("none")
class NoMixer(nn.Module):
    """No mixing: every agent learns its own value (Tan 1993, "Independent vs. Cooperative Agents")."""

    def forward(self, q: Tensor, global_state: Tensor) -> Tensor:
        """Return q (..., A) unchanged; the state is not read."""
        return q
