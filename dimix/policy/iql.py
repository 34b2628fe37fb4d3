"""Independent Q-learning (Tan 1993): every agent learns its own value from the team's reward."""

from __future__ import annotations

from typing import Any, ClassVar

from dimix.policy.qmix import QMIXPolicy
from dimix.registry import POLICY_REGISTRY


@POLICY_REGISTRY.register("iql")
class IQLPolicy(QMIXPolicy):
    """QMIX without a mixer: targets and errors keep the agent axis, (B, T, A).

    A dead agent keeps learning the value of its no-op, as in PyMARL: the team may still be rewarded.
    """

    config: ClassVar[dict[str, Any]] = dict(type="iql", model=dict(mixer="none"), learn=dict(mask_dead_agents=False))
    fixed_mixer = "Independent learners have none"
