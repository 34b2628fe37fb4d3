"""Weighted QMIX's model: QMIX, and beside it a central network without QMIX's restriction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dimix.model.qmix import QMix
from dimix.registry import MODEL_REGISTRY


class CentralMixer(nn.Module):
    """Mixes agents' Q-values without QMIX's restriction: ``q_tot = f(s, q_1 .. q_A) + V(s)``.

    f has three hidden layers, V one, all with ReLU (Rashid et al. 2020, "Weighted QMIX", appendix: the network of
    Q-hat*). It may fall where an agent's q rises, so it can hold any function of the agents' values.

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
        """Mix.

        Args:
            q: (..., A) float, the agents' values.
            global_state: (..., S) float.

        Returns:
            (...) float, the central team value.
        """
        x = torch.cat([global_state, q], -1)
        for layer in self.hidden:
            x = F.relu(layer(x))
        return (self.out(x) + self.value(F.relu(self.value_hidden(global_state)))).squeeze(-1)


class CentralQ(QMix):
    """An agent network of its own under a `CentralMixer`; only learning uses it.

    Args:
        embed_dim: units of the mixer's hidden layers.
        sizes: those of `QMix` that come first.
        options: those of `QMix`; what is about its mixing network has no effect.
    """

    def __init__(self, embed_dim: int, *sizes: Any, **options: Any) -> None:
        super().__init__(*sizes, **{**options, "mixer": False})
        self.mixer = self._make_mixer(lambda state_dim: CentralMixer(self.agent_num, state_dim, embed_dim))


@MODEL_REGISTRY.register("wqmix")
class WQMix(QMix):
    """QMIX's network, which acts, and the central one that its targets come from (`central`).

    Args:
        sizes: those of `QMix` that come first, by place; as options they go by name.
        central_embed_dim: units of the central mixer's hidden layers.
        options: those of `QMix`, for both; what is about the mixing network is for QMIX's.

    Raises:
        ValueError: as `QMix`.
    """

    config = dict(
        type="wqmix",
        # (int) Units of the hidden layers of the central mixer, >= 1.
        central_embed_dim=256,
    )

    @classmethod
    def _reads_state(cls, cfg: Mapping[str, Any]) -> bool:
        return True

    def __init__(self, *sizes: Any, central_embed_dim: int = 256, **options: Any) -> None:
        super().__init__(*sizes, **options)
        self.central = CentralQ(central_embed_dim, *sizes, **options)
