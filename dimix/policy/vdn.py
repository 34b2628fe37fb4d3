"""VDN: Value-Decomposition Networks For Cooperative Multi-Agent Learning (Sunehag et al. 2017)."""

from __future__ import annotations

from typing import Any, ClassVar

from dimix.policy.qmix import QMIXPolicy
from dimix.registry import POLICY_REGISTRY


@POLICY_REGISTRY.register("vdn")
class VDNPolicy(QMIXPolicy):
    """QMIX with the sum as mixer: policy ``qmix`` with ``model.mixer="sum"``."""

    config: ClassVar[dict[str, Any]] = dict(type="vdn", model=dict(mixer="sum"))
    fixed_mixer = "VDN's mix is the sum"
