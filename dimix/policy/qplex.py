"""QPLEX: Duplex Dueling Multi-Agent Q-Learning (Wang et al. 2021)."""

from __future__ import annotations

from typing import Any, ClassVar

from dimix.policy.qmix import QMIXPolicy
from dimix.registry import POLICY_REGISTRY


@POLICY_REGISTRY.register("qplex")
class QPLEXPolicy(QMIXPolicy):
    """QMIX with QPLEX's mixer: policy ``qmix`` with ``model.mixer="qplex"``."""

    config: ClassVar[dict[str, Any]] = dict(type="qplex", model=dict(mixer="qplex"))
    fixed_mixer = "QPLEX has a mixing network of its own"
