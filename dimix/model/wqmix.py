"""Weighted QMIX's model: QMIX plus a central network without the monotonicity constraint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dimix.model.qmix import QMix
from dimix.registry import MODEL_REGISTRY


@MODEL_REGISTRY.register("wqmix")
class WQMix(QMix):
    """QMIX's network, which acts, and the central network that the targets come from (`central`).

    Args:
        sizes: the positional arguments of `QMix`; they may also be given by name.
        central_embed_dim: see `config` below.
        options: those of `QMix`, for both networks; those of the mixer are for QMIX's alone.

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
        shared = {name: value for name, value in options.items() if name in QMix.config}
        self.central = QMix(*sizes, **{**shared, "mixer": "central", "mixer_embed_dim": central_embed_dim})
