"""Weighted QMIX's model: QMIX, and beside it a central network without QMIX's restriction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dimix.model.mixers.central import CentralMixer
from dimix.model.qmix import QMix
from dimix.registry import MODEL_REGISTRY


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
