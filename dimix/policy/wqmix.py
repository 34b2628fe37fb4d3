"""Weighted QMIX: Expanding Monotonic Value Function Factorisation (Rashid et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from dimix.config.checks import lookup
from dimix.model import QMix, WQMix
from dimix.policy import value_learning
from dimix.policy.qmix import QMIXPolicy
from dimix.policy.unroll import Outputs
from dimix.registry import POLICY_REGISTRY
from dimix.replay.batch import EpisodeBatch


@POLICY_REGISTRY.register("wqmix")
class WQMIXPolicy(QMIXPolicy):
    """OW-QMIX and CW-QMIX: QMIX learns from an unrestricted central value, with two weights for its errors.

    The central network Q* (`dimix.model.WQMix.central`) has its own agent network, an unrestricted mixer, and a target
    network. Targets for both are ``y = r + gamma * Q*'(s', u')``, where u' are the greedy actions of QMIX's agents (or
    the TD(lambda) or n-step form). Q* is regressed on y at the actions *taken* only.

    QMIX's squared error at a step has weight 1 or ``alpha``:

    - OW (optimistic): 1 where ``q_tot < y``.
    - CW (central): 1 where every living agent took its greedy action, or ``y > Q*'(s, u_greedy)``.

    In windows with a stored start (`collect.unroll_len`) the central agents, which do not act, start from zero.
    """

    config: ClassVar[dict[str, Any]] = dict(
        type="wqmix",
        learn=dict(
            # (bool) True: optimistic weights (OW-QMIX); False: central weights (CW-QMIX; the paper's alpha is 0.75).
            wqmix_ow=True,
            # (float) Weight of the errors that count less, in [0, 1]; 1 weighs all the same.
            alpha=0.5,
            # (float) Factor on the central network's loss, > 0.
            central_loss_weight=1.0,
        ),
    )
    config_ignored: ClassVar[dict[str, str]] = {
        **QMIXPolicy.config_ignored,
        "learn.w": "the weight is the key learn.alpha",
    }

    def default_model(self) -> tuple[str, list[str]]:
        return "wqmix", ["dimix.model"]

    @classmethod
    def check_config(cls, cfg: Mapping[str, Any], model_class: type, report: Callable[[str, str], None]) -> None:
        super().check_config(cfg, model_class, report)
        if not issubclass(model_class, WQMix):
            report(
                "model",
                f"{model_class.__name__} has no central network. Use the model 'wqmix' or a subclass of "
                "dimix.model.WQMix.",
            )
        if lookup(cfg, "model.mixer") == "none":
            report("model.mixer", "'none'. Weighted QMIX learns a value of the team; use 'qmix' or 'sum'.")
        if not cfg["learn"]["double_q"]:
            report(
                "learn.double_q",
                "False. WQMIX's target takes the actions that are greedy in QMIX's agents and values them with the "
                "central target network, which has no greedy action of its own; use True.",
            )

    def _networks(self) -> dict[str, QMix]:
        target, model = cast(WQMix, self._target_model), cast(WQMix, self._model)
        return {"online": model, "target": target.central, "central": model.central}

    def _start_state(self, name: str, batch: EpisodeBatch) -> Tensor:
        state = super()._start_state(name, batch)
        return state if name == "online" else torch.zeros_like(state)

    def _loss(
        self, batch: EpisodeBatch, values: Outputs, td_error: Tensor, target_q_tot: Tensor, step_mask: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        given = self._loss_weight(batch, td_error.detach())
        with torch.no_grad():
            weight = self._optimism(batch, values, td_error, target_q_tot)
        qmix_loss = value_learning.masked_loss(td_error, step_mask, weight if given is None else weight * given)
        central_q_tot = self._taken_value("central", values, batch)[:, :-1]
        central_loss = value_learning.masked_loss(central_q_tot - target_q_tot, step_mask, given)
        parts = {
            "central_loss": central_loss,
            "central_q_tot": value_learning.masked_mean(central_q_tot, step_mask),
            "loss_weight": value_learning.masked_mean(weight, step_mask),
        }
        return qmix_loss + self._cfg.learn.central_loss_weight * central_loss, parts

    def _optimism(self, batch: EpisodeBatch, values: Outputs, td_error: Tensor, target_q_tot: Tensor) -> Tensor:
        """(B, T) weights of QMIX's errors, 1 or alpha; arguments as in `_loss`."""
        learn = self._cfg.learn
        if learn.wqmix_ow:
            counts = td_error < 0
        else:
            greedy = value_learning.masked_argmax(values["online"].q, batch.obs.action_mask)
            best_q_tot = self._team_value("target", values, batch, greedy, F.pad(batch.filled, (0, 1)))[:, :-1]
            as_greedy = (batch.action == greedy[:, :-1]) | ~batch.alive[:, :-1]
            counts = as_greedy.all(-1) | (target_q_tot > best_q_tot)
        return torch.where(counts, torch.ones_like(td_error), learn.alpha)

    def _monitor_vars_learn(self) -> list[str]:
        return [*super()._monitor_vars_learn(), "central_loss", "central_q_tot", "loss_weight"]
