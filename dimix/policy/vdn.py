"""VDN: Value-Decomposition Networks For Cooperative Multi-Agent Learning (Sunehag et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from dimix.config.checks import lookup
from dimix.policy.qmix import QMIXPolicy
from dimix.registry import POLICY_REGISTRY


@POLICY_REGISTRY.register("vdn")
class VDNPolicy(QMIXPolicy):
    """QMIX with the sum for a mixer: the same as policy ``qmix`` with ``model.mixer=False``."""

    config: ClassVar[dict[str, Any]] = dict(type="vdn", model=dict(mixer=False))

    @classmethod
    def check_config(cls, cfg: Mapping[str, Any], model_class: type, report: Callable[[str, str], None]) -> None:
        """See `Policy.check_config`."""
        super().check_config(cfg, model_class, report)
        if lookup(cfg, "model.mixer"):
            report("model.mixer", "True. VDN's mix is the sum; use False, or policy 'qmix'.")

    def _model_options(self) -> dict[str, Any]:
        return {**super()._model_options(), "mixer": False}
