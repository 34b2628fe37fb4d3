"""QTRAN: Learning to Factorize with Transformation for Cooperative Multi-Agent RL (Son et al. 2019), base and alt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from dimix.model import QTran
from dimix.policy import value_learning
from dimix.policy.qmix import QMIXPolicy
from dimix.policy.unroll import Outputs
from dimix.registry import POLICY_REGISTRY
from dimix.replay.batch import EpisodeBatch


@POLICY_REGISTRY.register("qtran")
class QTRANPolicy(QMIXPolicy):
    """An unrestricted joint value learns from rewards; the sum of the agents' values learns to share its best action.

    With ``D(u) = sum_a q_a(u_a) - Q(s, u) + V(s)``, Q without gradient, and u* the agents' greedy actions, the loss is
    the weighted sum of three squared errors:

    - ``td``: ``Q(s, u) - y``, where y uses ``Q'(s', u'*)`` for the next row.
    - ``opt``: ``D(u*)``, which should be 0.
    - ``nopt``: base: ``min(D(u), 0)``, as D must not be negative; alt: ``min over u_a of D(u_a, u_others)``, mean over
      the agents, which should be 0: a stronger condition that learns from every step.

    The metric ``q_tot`` is Q.
    """

    config: ClassVar[dict[str, Any]] = dict(
        type="qtran",
        learn=dict(
            # (str) Form of the third condition, one of "base", "alt".
            qtran="base",
            # (float) Factor on the error of the joint value, > 0.
            td_weight=1.0,
            # (float) Factor on the error at the greedy actions, >= 0.
            opt_weight=1.0,
            # (float) Factor on the error at the other actions, >= 0.
            nopt_min_weight=0.1,
        ),
    )

    def default_model(self) -> tuple[str, list[str]]:
        return "qtran", ["dimix.model"]

    @classmethod
    def check_config(cls, cfg: Mapping[str, Any], model_class: type, report: Callable[[str, str], None]) -> None:
        super().check_config(cfg, model_class, report)
        if not issubclass(model_class, QTran):
            report(
                "model",
                f"{model_class.__name__} has no joint network. Use the model 'qtran' or a subclass of "
                "dimix.model.QTran.",
            )

    def _team_value(self, name: str, values: Outputs, batch: EpisodeBatch, action: Tensor, used: Tensor) -> Tensor:
        state, network = batch.obs.global_state, cast(QTran, self._networks()[name])
        rows = [x[used] for x in (values[name].features, action, self._counts(batch), state)]
        return state.new_zeros(used.shape).masked_scatter(used, network.joint_q(*rows))

    def _loss(
        self, batch: EpisodeBatch, values: Outputs, td_error: Tensor, target_q_tot: Tensor, step_mask: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        learn, weight = self._cfg.learn, self._loss_weight(batch, td_error.detach())
        weight = None if weight is None else weight.expand_as(td_error)[step_mask]
        rows, obs, (every_q, every_feature) = F.pad(step_mask, (0, 1)), batch.obs, values["online"]
        q, features, counts = every_q[rows], every_feature[rows], self._counts(batch)[rows]  # (R, A, ...)
        state, mask, action = obs.global_state[rows], obs.action_mask[rows], batch.action[step_mask]
        value = cast(QTran, self._model).state_value(state)
        greedy = value_learning.masked_argmax(q.detach(), mask)
        with torch.no_grad():
            best_joint = cast(QTran, self._model).joint_q(features, greedy, counts, state)
        opt_error = self._sum(q, greedy, counts) - best_joint + value
        if learn.qtran == "base":
            with torch.no_grad():
                joint = cast(QTran, self._model).joint_q(features, action, counts, state)
            nopt_square = (self._sum(q, action, counts) - joint + value).clamp(max=0).square()
        else:
            nopt_square = self._nopt_alt(q, features, action, mask, counts, state, value)
        errors = {
            "td_loss": td_error[step_mask].square(),
            "opt_loss": opt_error.square(),
            "nopt_loss": nopt_square,
        }
        parts = {n: 0.5 * (e if weight is None else weight * e).mean() for n, e in errors.items()}
        factors = (learn.td_weight, learn.opt_weight, learn.nopt_min_weight)
        loss = sum((f * part for f, part in zip(factors, parts.values(), strict=True)), td_error.new_zeros(()))
        return loss, parts

    def _nopt_alt(
        self, q: Tensor, features: Tensor, action: Tensor, mask: Tensor, counts: Tensor, state: Tensor, value: Tensor
    ) -> Tensor:
        """(R,) square of the smallest D over an agent's own available actions, mean over the agents that count."""
        with torch.no_grad():
            joint = cast(QTran, self._model).counterfactual_q(features, action, counts, state)
        taken = torch.where(counts, value_learning.chosen_q(q, action), 0.0)
        others = taken.sum(1, keepdim=True) - taken
        d = torch.where(counts.unsqueeze(2), q, 0.0) + others.unsqueeze(2) - joint + value[:, None, None]
        smallest = torch.where(mask, d, torch.inf).amin(2)
        return (smallest.square() * counts).sum(1) / counts.sum(1).clamp(min=1)

    def _sum(self, q: Tensor, action: Tensor, counts: Tensor) -> Tensor:
        """(R,) sum of the agents' values of their actions."""
        return torch.where(counts, value_learning.chosen_q(q, action), 0.0).sum(1)

    def _monitor_vars_learn(self) -> list[str]:
        return [*super()._monitor_vars_learn(), "td_loss", "opt_loss", "nopt_loss"]
