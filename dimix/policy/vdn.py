"""VDN: Value-Decomposition Networks For Cooperative Multi-Agent Learning (Sunehag et al. 2017)."""

from __future__ import annotations

from typing import Any, ClassVar

from dimix.policy.qmix import QMIXPolicy
from dimix.registry import POLICY_REGISTRY


@POLICY_REGISTRY.register("vdn")
class VDNPolicy(QMIXPolicy):
    """QMIX with the sum for a mixer: the same as policy ``qmix`` with ``model.mixer=False``."""

    config: ClassVar[dict[str, Any]] = dict(type="vdn")

    def _model_options(self) -> dict[str, Any]:
        return {**super()._model_options(), "mixer": False}
