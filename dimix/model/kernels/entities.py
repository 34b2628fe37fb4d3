"""Reading and aiming at entities in compiled loops, which never hold rows times entities times codes in memory.

Most entities of a battle are dead or out of sight, and the gradient reaches the value of one action per row. So the
loops (`entity_kernels`) skip absent entities, only rows whose actions can target a kind get a query for it, in the
backward pass only those whose action did, and codes are computed again rather than kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dimix.model.kernels.buffers import POOL
from dimix.model.kernels.entity_kernels import EntityKernels, aiming, entity_kernels


@dataclass(frozen=True)
class Columns:
    """Where the entities of one kind are in a row; see `dimix.envs.vec_env.Entities`."""

    column: int  # first feature of the first entity
    count: int  # entities (K)
    size: int  # features of each
    action: int | None  # the action that targets the first entity
    last_action: int | None  # that action's column in the one-hot last action
    named_by: tuple[int, ...]  # one of these is not 0 in rows whose actions target the entities; empty: all rows

    @cached_property
    def place(self) -> tuple[int, int, int, np.ndarray]:
        """As the kernels take it: column, count, mark (-1: none), named_by."""
        mark = -1 if self.last_action is None else self.last_action
        return self.column, self.count, mark, np.array(self.named_by, np.int64)


def add_entities(base: Tensor, x: Tensor, kinds: Sequence[Columns], layers: Sequence[Tensor]) -> Tensor:
    """Add to a layer's output, in place, what it makes of the sum of the codes of each kind's entities present.

    Args:
        base: (R, H) float32 on the CPU.
        x: (R, O) float32 on the CPU; gets no gradient.
        kinds: where the entities are.
        layers: of each kind, weight (C, F) and bias (C) of the codes, F features including the mark of the last action,
            and the weight (H, C) of their sum.

    Returns:
        (R, H) float32.

    Raises:
        RuntimeError: backward ran twice; the first pass consumes the buffers.
    """
    x = x.contiguous()
    if _learns(base, *layers):
        return _Add.apply(base, x, kinds, *layers)  # type: ignore[no-any-return]
    for read in _reads(kinds, layers):
        total = _sum(x, read)
        base.addmm_(total, read.total.t())
        POOL.give(total)
    return base


def entity_values(
    features: Tensor, x: Tensor, kinds: Sequence[Columns], weight: Tensor, bias: Tensor, layers: Sequence[Tensor]
) -> Tensor:
    """A linear layer of action values, plus for actions that target an entity its code times the row's query.

    Args:
        features: (R, H) float32 on the CPU.
        x: (R, O) float32 on the CPU; gets no gradient.
        kinds: where the entities are, of kinds with actions.
        weight: (N, H).
        bias: (N).
        layers: of each kind, weight and bias of the codes as in `add_entities`, then of the query, (C, H) and (C). The
            query is divided by the square root of C.

    Returns:
        (R, N) float32.
    """
    features, x = features.contiguous(), x.contiguous()
    if _learns(features, weight, bias, *layers):
        return _Values.apply(features, x, kinds, weight, bias, *layers)  # type: ignore[no-any-return]
    return _values(features, x, weight, bias, _aims(kinds, layers))


def _learns(*tensors: Tensor) -> bool:
    return torch.is_grad_enabled() and any(t.requires_grad for t in tensors)


def _kernels(at: Columns, weight: Tensor) -> EntityKernels:
    return entity_kernels(at.size, at.last_action is not None, len(weight))


def _arguments(x: Tensor, at: Columns, weight: Tensor, bias: Tensor) -> tuple[Any, ...]:
    """The arguments that all kernels share."""
    return x.numpy(), *at.place, weight.detach().numpy(), bias.detach().numpy()


# ---- the first layer -------------------------------------------------------------------------------------------------


class _Read(NamedTuple):
    """A kind's columns and the layers that read it, or their gradients."""

    at: Columns
    code_weight: Tensor
    code_bias: Tensor
    total: Tensor


def _reads(kinds: Sequence[Columns], layers: Sequence[Tensor]) -> list[_Read]:
    return [_Read(at, *layers[3 * i : 3 * i + 3]) for i, at in enumerate(kinds)]


def _sum(x: Tensor, read: _Read) -> Tensor:
    """The sum of the codes (R, C), from the pool."""
    out = POOL.take(len(x), len(read.code_weight))
    arguments = _arguments(x, read.at, read.code_weight, read.code_bias)
    _kernels(read.at, read.code_weight).sums(*arguments, out.numpy())
    return out


class _Add(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, base: Tensor, x: Tensor, kinds: Sequence[Columns], *layers: Tensor) -> Tensor:
        ctx.kinds, ctx.sums = kinds, []
        ctx.save_for_backward(x, *layers)
        for read in _reads(kinds, layers):
            ctx.sums.append(_sum(x, read))
            base.addmm_(ctx.sums[-1], read.total.t())
        ctx.mark_dirty(base)
        return base

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.sums is None:
            raise RuntimeError("add_entities: backward ran twice over one forward. Use fused=False for that.")
        sums, ctx.sums = ctx.sums, None
        x, *layers = ctx.saved_tensors
        to_layers = [torch.empty_like(p) for p in layers]
        for total, read, to in zip(sums, _reads(ctx.kinds, layers), _reads(ctx.kinds, to_layers), strict=True):
            torch.mm(grad.t(), total, out=to.total)
            torch.mm(grad, read.total, out=total)  # the sums themselves are no longer needed
            arguments = _arguments(x, read.at, read.code_weight, read.code_bias)
            _kernels(read.at, read.code_weight).sums_backward(
                *arguments, total.numpy(), to.code_weight.numpy(), to.code_bias.numpy()
            )
            POOL.give(total)
        return grad, None, None, *to_layers


# ---- the values of actions -------------------------------------------------------------------------------------------


class _Aim(NamedTuple):
    """A kind's columns and layers, and their gradients."""

    at: Columns
    code_weight: Tensor
    code_bias: Tensor
    query_weight: Tensor
    query_bias: Tensor


def _aims(kinds: Sequence[Columns], layers: Sequence[Tensor]) -> list[_Aim]:
    return [_Aim(at, *layers[4 * i : 4 * i + 4]) for i, at in enumerate(kinds)]


def _asked(features: Tensor, x: Tensor, aim: _Aim, grad: np.ndarray) -> tuple[np.ndarray, Tensor, Tensor]:
    """Rows that aim at a kind (see `aiming`), the features there, and their queries; the last two from the pool."""
    rows = aiming(x.numpy(), aim.at.place[-1], grad)
    picked, query = POOL.take(len(rows), features.shape[1]), POOL.take(len(rows), len(aim.query_weight))
    torch.index_select(features, 0, torch.from_numpy(rows), out=picked)
    torch.addmm(aim.query_bias, picked, aim.query_weight.t(), out=query)
    return rows, picked, query


_NO_GRADIENT = np.empty((1, 1), np.float32)[:0, :0]  # laid out like a slice of columns


def _values(features: Tensor, x: Tensor, weight: Tensor, bias: Tensor, aims: Sequence[_Aim]) -> Tensor:
    """See `entity_values`."""
    out = torch.addmm(bias, features, weight.t())
    for aim in aims:
        rows, picked, query = _asked(features, x, aim, _NO_GRADIENT)
        arguments = _arguments(x, aim.at, aim.code_weight, aim.code_bias)
        _kernels(aim.at, aim.code_weight).scores(*arguments, rows, query.numpy(), out.numpy(), aim.at.action)
        POOL.give(picked)
        POOL.give(query)
    return out


class _Values(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, features: Tensor, x: Tensor, kinds: Sequence[Columns], weight: Tensor, bias: Tensor, *layers: Tensor
    ) -> Tensor:
        ctx.save_for_backward(features, x, weight, *layers)
        ctx.kinds = kinds
        return _values(features, x, weight, bias, _aims(kinds, layers))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        features, x, weight, *layers = ctx.saved_tensors
        grad = grad.contiguous()
        to_features, to_layers = grad @ weight, [torch.empty_like(p) for p in layers]
        for aim, to in zip(_aims(ctx.kinds, layers), _aims(ctx.kinds, to_layers), strict=True):
            first = aim.at.action or 0
            rows, picked, query = _asked(features, x, aim, grad.numpy()[:, first : first + aim.at.count])
            to_query = POOL.take(*query.shape)
            arguments = _arguments(x, aim.at, aim.code_weight, aim.code_bias)
            _kernels(aim.at, aim.code_weight).scores_backward(
                *arguments, rows, query.numpy(), grad.numpy(), aim.at.action,
                to.code_weight.numpy(), to.code_bias.numpy(), to_query.numpy(),
            )  # fmt: skip
            torch.mm(to_query.t(), picked, out=to.query_weight)
            torch.sum(to_query, 0, out=to.query_bias)
            torch.mm(to_query, aim.query_weight, out=picked)
            to_features.index_add_(0, torch.from_numpy(rows), picked)
            for buffer in (picked, query, to_query):
                POOL.give(buffer)
        return to_features, None, None, grad.t() @ features, grad.sum(0), *to_layers
