"""Optimizers by name, gradient steps, and soft updates of a network's parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dimix.errors import ConfigError, TrainingError, first_line, nearest
from dimix.machine.ranks import ALONE, Ranks
from dimix.policy.schedule import Schedule


def make_optimizer(name: str, params: Iterable[Tensor], lr: float, kwargs: Mapping[str, Any]) -> torch.optim.Optimizer:
    """An optimizer of `torch.optim` by name, in upper or lower case.

    Args:
        name: ``"adam"``, ``"rmsprop"``, ``"adamw"``, ...
        params: parameters to optimize.
        lr: learning rate.
        kwargs: further arguments of the optimizer (``{"weight_decay": 1e-5}``).

    Raises:
        ConfigError: no such optimizer, or it rejects the arguments.
    """
    known = {k.lower(): v for k, v in vars(torch.optim).items() if isinstance(v, type)}
    known = {k: v for k, v in known.items() if issubclass(v, torch.optim.Optimizer) and k != "optimizer"}
    if name.lower() not in known:
        raise ConfigError(f"policy.learn.optimizer: '{name}' is not in torch.optim.{nearest(name, known)}")
    options = dict(kwargs)
    if name.lower() in ("adam", "adamw") and not {"fused", "foreach"} & options.keys():
        options["fused"] = True  # one kernel for all parameters
    try:
        return known[name.lower()](params, lr=lr, **options)
    except (TypeError, ValueError) as error:
        reason, right = str(error).rstrip("."), f"arguments of torch.optim.{known[name.lower()].__name__}"
        if not kwargs:
            raise ConfigError(f"policy.learn.optimizer: '{name}' cannot be used: {reason}. Use another one.") from error
        raise ConfigError(
            f"policy.learn.optimizer_kwargs: {name} refuses {dict(kwargs)}: {reason}. Right are {right}."
        ) from error


def check_optimizer(name: str, lr: float, kwargs: Mapping[str, Any]) -> None:
    """Try an optimizer on a small weight and bias: some need sparse gradients, or a closure.

    Raises:
        ConfigError: as `make_optimizer`, or the step fails.
    """
    params = [nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(2))]
    optimizer = make_optimizer(name, params, lr, kwargs)
    for p in params:
        p.grad = torch.zeros_like(p)
    try:
        optimizer.step()
    except (RuntimeError, TypeError, ValueError) as error:
        reason = first_line(error).rstrip(".")
        raise ConfigError(
            f"policy.learn.optimizer: '{name}' cannot train these networks: {reason}. Use another one."
        ) from error


class GradientStep:
    """Backward, sum over the ranks, clip, step.

    Args:
        optimizer: of the parameters to train.
        learning_rate: as a function of the number of updates.
        clip_type: ``"norm"`` clips the norm of all gradients, ``"value"`` each value; or ``"none"``.
        clip_value: limit, > 0.
        ranks: the processes that share each update.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        learning_rate: Schedule,
        clip_type: str,
        clip_value: float,
        ranks: Ranks = ALONE,
    ) -> None:
        self._optimizer, self._learning_rate = optimizer, learning_rate
        self._clip_type, self._clip_value = clip_type, clip_value
        self._ranks = ranks
        self._params = [p for group in optimizer.param_groups for p in group["params"]]

    def __call__(self, loss: Tensor | None, updates: int, mask: Tensor | None = None) -> float:
        """Make one step.

        Args:
            loss: () float, a mean over the entries of the mask; None if only the other ranks have some for this step.
            updates: number made so far.
            mask: bool, the entries that carry loss: the step is that of all ranks' entries in one batch. None weighs
                the ranks the same.

        Returns:
            The gradients' norm before clipping.

        Raises:
            TrainingError: loss or gradients are not finite; the weights are unchanged.
        """
        self._optimizer.zero_grad()
        if loss is None:
            nothing = self._params[0].new_zeros(())
            loss = self._over_ranks(nothing, nothing)
        else:
            loss.backward()
            if self._ranks.size > 1:
                loss = self._over_ranks(loss.detach(), loss.new_ones(()) if mask is None else mask.sum().to(loss))
        clip = self._clip_value if self._clip_type == "norm" else float("inf")
        norm = nn.utils.clip_grad_norm_(self._params, clip)
        value, norm = torch.stack([loss.detach(), norm.to(loss)]).tolist()
        if not (math.isfinite(value) and math.isfinite(norm)):
            raise TrainingError(
                f"update {updates}: loss {value}, gradient norm {norm}. Both must be finite; "
                "the weights are those before this update."
            )
        if self._clip_type == "value":
            nn.utils.clip_grad_value_(self._params, self._clip_value)
        for group in self._optimizer.param_groups:
            group["lr"] = self._learning_rate(updates)
        self._optimizer.step()
        return norm

    @torch.no_grad()
    def _over_ranks(self, loss: Tensor, count: Tensor) -> Tensor:
        """Replace loss and gradients by their means over all ranks, weighted by counts; returns the loss."""
        params = self._params
        present = loss.new_tensor([p.grad is not None for p in params])
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in params]
        flat = torch.cat([*(g.flatten() for g in grads), loss.view(1)]) * count
        flat = torch.cat([flat, count.view(1), present])
        self._ranks.sum_(flat)
        *means, loss, count, present = flat.split([*(p.numel() for p in params), 1, 1, len(params)])
        for p, mean, used in zip(params, means, present.tolist(), strict=True):
            p.grad = (mean / count).view_as(p) if used else None
        return (loss / count).squeeze()


def parameter_count(module: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


@torch.no_grad()
def soft_update(target: nn.Module, source: nn.Module, theta: float) -> None:
    """``target += theta * (source - target)``; theta 1 copies.

    Args:
        target: network with the architecture of source.
        source: online network.
        theta: share in [0, 1].
    """
    mine: list[Tensor] = list(target.parameters())
    theirs: list[Tensor] = list(source.parameters())
    torch._foreach_lerp_(mine, theirs, theta)
    for old, new in zip(target.buffers(), source.buffers(), strict=True):
        old.copy_(new)
