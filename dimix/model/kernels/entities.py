"""Codes of entities in compiled loops: nothing of the size of rows times entities times codes is ever in memory.

Most entities of a battle are dead or out of sight, and a value's gradient reaches one action of each row: the loops
leave out what is not there, and in backward compute the codes again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, Protocol

import numba
import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dimix.machine.compiled import compiled

_ZERO = np.float32(0.0)
_CHUNK = 256  # rows whose gradients are summed by themselves first: less rounding than one sum over all


class Kind(Protocol):
    """Where the entities of a kind are in a row; see `dimix.model.entities.EntityKind`."""

    column: int
    count: int
    size: int
    last_action: int | None
    named_by: tuple[int, ...]


class EntityKernels(NamedTuple):
    """Compiled functions for one size of features and codes; see `entity_kernels`."""

    sums: Callable[..., None]
    sums_backward: Callable[..., None]
    scores: Callable[..., None]
    scores_backward: Callable[..., None]


def entity_sum(x: Tensor, kind: Kind, weight: Tensor, bias: Tensor) -> Tensor:
    """Sum of the entities' codes ``relu(W e + b)``, without those that are not there.

    Args:
        x: (R, O) float32 on the CPU; gets no gradient.
        kind: where they are.
        weight: (C, F), F features with the mark of the last action.
        bias: (C).

    Returns:
        (R, C) float32.
    """
    return _Sum.apply(x.contiguous(), kind, weight, bias)  # type: ignore[no-any-return]


def entity_scores(x: Tensor, kind: Kind, weight: Tensor, bias: Tensor, query: Tensor) -> Tensor:
    """Products of the entities' codes with a row's query; arguments as in `entity_sum`, query (R, C).

    Returns:
        (R, K) float32, 0 for an entity that is not there.
    """
    return _Scores.apply(x.contiguous(), kind, weight, bias, query.contiguous())  # type: ignore[no-any-return]


@cache
def entity_kernels(size: int, marked: bool, codes: int) -> EntityKernels:
    """Kernels for entities of `size` features (a last one behind them where `marked`) and codes of `codes` floats.

    All take ``(x, column, count, mark, named_by, weight, ...)``: rows (R, O), the column of the first entity, their
    number, the column of the first one's mark, the columns that say in which rows they can be named, and ``(F + 1, C)``
    weights with the bias as the last row. Sizes known to the compiler make it unroll the features and use vector
    instructions over the codes.
    """
    width = size + marked
    fast = {"contract", "nsz", "arcp"}

    @numba.njit(inline="always")
    def seen(row, at):  # type: ignore[no-untyped-def]
        for f in range(size):
            if row[at + f] != _ZERO:
                return True
        return False

    @numba.njit(inline="always")
    def can_name(row, named_by):  # type: ignore[no-untyped-def]
        for column in named_by:
            if row[column] != _ZERO:
                return True
        return len(named_by) == 0

    @numba.njit(inline="always")
    def load(row, at, mark, named, features):  # type: ignore[no-untyped-def]
        for f in range(size):
            features[f] = row[at + f]
        if marked:
            features[size] = row[mark] if named else _ZERO

    @numba.njit(inline="always")
    def before_relu(features, w, k):  # type: ignore[no-untyped-def]
        z = w[width * codes + k]
        for f in range(width):
            z += features[f] * w[f * codes + k]
        return z

    @numba.njit(inline="always")
    def add_outer(part, features, d):  # type: ignore[no-untyped-def]
        for f in range(width):
            v = features[f]
            if v != _ZERO:
                for k in range(codes):
                    part[f * codes + k] += v * d[k]
        for k in range(codes):
            part[width * codes + k] += d[k]

    @compiled(fastmath=fast, error_model="numpy")
    def sums(x, column, count, mark, named_by, weight, out):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
        features, total, w = np.zeros(width, np.float32), np.empty(codes, np.float32), weight.ravel()
        for r in range(x.shape[0]):
            row = x[r]
            named = can_name(row, named_by)
            for k in range(codes):
                total[k] = _ZERO
            for j in range(count):
                at = column + j * size
                if not seen(row, at):
                    continue
                load(row, at, mark + j, named, features)
                for k in range(codes):
                    total[k] += max(before_relu(features, w, k), _ZERO)
            for k in range(codes):
                out[r, k] = total[k]

    @compiled(fastmath=fast, error_model="numpy")
    def sums_backward(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
        x, column, count, mark, named_by, weight, grad, weight_grad
    ):
        features, part, w = np.zeros(width, np.float32), np.empty((width + 1) * codes, np.float32), weight.ravel()
        d, to = np.empty(codes, np.float32), weight_grad.ravel()
        for start in range(0, x.shape[0], _CHUNK):
            part[:] = _ZERO
            for r in range(start, min(start + _CHUNK, x.shape[0])):
                row, g = x[r], grad[r]
                named = can_name(row, named_by)
                for j in range(count):
                    at = column + j * size
                    if not seen(row, at):
                        continue
                    load(row, at, mark + j, named, features)
                    for k in range(codes):
                        z = before_relu(features, w, k)
                        d[k] = g[k] if z > _ZERO else _ZERO
                    add_outer(part, features, d)
            for i in range((width + 1) * codes):
                to[i] += part[i]

    @compiled(fastmath=fast | {"reassoc"}, error_model="numpy")
    def scores(x, column, count, mark, named_by, weight, query, out):  # type: ignore[no-untyped-def] # pragma: no cover
        features, w = np.zeros(width, np.float32), weight.ravel()
        for r in range(x.shape[0]):
            row, q = x[r], query[r]
            named = can_name(row, named_by)
            for j in range(count):
                at = column + j * size
                value = _ZERO
                if named and seen(row, at):
                    load(row, at, mark + j, named, features)
                    for k in range(codes):
                        value += max(before_relu(features, w, k), _ZERO) * q[k]
                out[r, j] = value

    @compiled(fastmath=fast, error_model="numpy")
    def scores_backward(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
        x, column, count, mark, named_by, weight, query, grad, weight_grad, query_grad
    ):
        features, part, w = np.zeros(width, np.float32), np.empty((width + 1) * codes, np.float32), weight.ravel()
        d, to = np.empty(codes, np.float32), weight_grad.ravel()
        for start in range(0, x.shape[0], _CHUNK):
            part[:] = _ZERO
            for r in range(start, min(start + _CHUNK, x.shape[0])):
                row, q, to_q = x[r], query[r], query_grad[r]
                for k in range(codes):
                    to_q[k] = _ZERO
                if not can_name(row, named_by):
                    continue
                for j in range(count):
                    at = column + j * size
                    g = grad[r, j]
                    if g == _ZERO or not seen(row, at):
                        continue
                    load(row, at, mark + j, True, features)
                    for k in range(codes):
                        z = before_relu(features, w, k)
                        to_q[k] += g * max(z, _ZERO)
                        d[k] = g * q[k] if z > _ZERO else _ZERO
                    add_outer(part, features, d)
            for i in range((width + 1) * codes):
                to[i] += part[i]

    return EntityKernels(sums, sums_backward, scores, scores_backward)


def _arguments(x: Tensor, kind: Kind, weight: Tensor, bias: Tensor) -> tuple[Any, ...]:
    """What every kernel begins with."""
    both = torch.cat([weight.t(), bias.unsqueeze(0)]).detach().numpy()
    mark = -1 if kind.last_action is None else kind.last_action
    return x.detach().numpy(), kind.column, kind.count, mark, np.array(kind.named_by, np.int64), both


def _kernels(kind: Kind, weight: Tensor) -> EntityKernels:
    return entity_kernels(kind.size, kind.last_action is not None, len(weight))


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kind: Kind, weight: Tensor, bias: Tensor) -> Tensor:
        out = x.new_empty(len(x), len(weight))
        _kernels(kind, weight).sums(*_arguments(x, kind, weight, bias), out.numpy())
        ctx.save_for_backward(x, weight, bias)
        ctx.kind = kind
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias = ctx.saved_tensors
        arguments = _arguments(x, ctx.kind, weight, bias)
        to_weight = np.zeros_like(arguments[-1])
        _kernels(ctx.kind, weight).sums_backward(*arguments, grad.contiguous().numpy(), to_weight)
        both = torch.from_numpy(to_weight)
        return None, None, both[:-1].t().contiguous(), both[-1]


class _Scores(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kind: Kind, weight: Tensor, bias: Tensor, query: Tensor) -> Tensor:
        out = x.new_empty(len(x), kind.count)
        _kernels(kind, weight).scores(*_arguments(x, kind, weight, bias), query.detach().numpy(), out.numpy())
        ctx.save_for_backward(x, weight, bias, query)
        ctx.kind = kind
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, query = ctx.saved_tensors
        arguments = _arguments(x, ctx.kind, weight, bias)
        to_weight, to_query = np.zeros_like(arguments[-1]), torch.empty_like(query)
        _kernels(ctx.kind, weight).scores_backward(
            *arguments, query.detach().numpy(), grad.contiguous().numpy(), to_weight, to_query.numpy()
        )
        both = torch.from_numpy(to_weight)
        return None, None, both[:-1].t().contiguous(), both[-1], to_query
