"""Weighted QMIX's model: QMIX, and beside it a central network without QMIX's restriction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dimix.model.mixers import arguments
from dimix.model.qmix import QMix
from dimix.registry import MODEL_REGISTRY


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
        shared = {name: value for name, value in options.items() if name in arguments(QMix.__init__)}
        self.central = QMix(*sizes, **{**shared, "mixer": "central", "mixer_embed_dim": central_embed_dim})
