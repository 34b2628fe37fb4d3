"""Independent Q-learning (Tan 1993): every agent learns its own value from the team's reward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from dimix.config.checks import lookup
from dimix.model import QMix
from dimix.policy.qmix import QMIXPolicy
from dimix.registry import POLICY_REGISTRY
from dimix.replay.batch import EpisodeBatch


@POLICY_REGISTRY.register("iql")
class IQLPolicy(QMIXPolicy):
    """QMIX without a mix: targets and errors keep the agent axis, (B, T, A).

    A dead agent goes on learning the value of its no-op, as in PyMARL: the team may still earn what it fought for.
    """

    config: ClassVar[dict[str, Any]] = dict(type="iql", model=dict(mixer=False), learn=dict(mask_dead_agents=False))

    def _model_options(self) -> dict[str, Any]:
        return {**super()._model_options(), "mixer": False}

    @classmethod
    def check_config(cls, cfg: Mapping[str, Any], model_class: type, report: Callable[[str, str], None]) -> None:
        """See `Policy.check_config`."""
        super().check_config(cfg, model_class, report)
        if cfg["learn"]["mask_dead_agents"]:
            report(
                "learn.mask_dead_agents",
                "True. An independent learner's return goes on after its death; use False.",
            )
        if lookup(cfg, "model.mixer"):
            report("model.mixer", "True. Independent learners have none; use False, or policy 'qmix'.")

    def _mix(self, model: QMix, q: Tensor, global_state: Tensor, used: Tensor) -> Tensor:
        return q * used.unsqueeze(-1)

    def _per_step(self, x: Tensor) -> Tensor:
        return x.unsqueeze(-1)

    def _step_mask(self, batch: EpisodeBatch) -> Tensor:
        return super()._step_mask(batch).unsqueeze(-1).expand_as(batch.action)

    def _priority(self, td_error: Tensor, mask: Tensor) -> np.ndarray:
        return super()._priority(td_error.flatten(1), mask.flatten(1))
