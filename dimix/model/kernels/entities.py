"""Codes of entities in compiled loops, which never hold rows times entities times codes in memory.

Most entities of a battle are dead or out of sight, and the gradient reaches the value of one action per row: the loops
skip absent entities, and the backward pass recomputes the codes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numba
import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dimix.machine.compiled import compiled

_ZERO = np.float32(0.0)
_CHUNK = 256  # rows whose gradients are summed first: less rounding error than one long sum


@dataclass(frozen=True)
class Columns:
    """Where the entities of one kind are in a row; see `dimix.envs.vec_env.Entities`."""

    column: int  # first feature of the first entity
    count: int  # entities (K)
    size: int  # features of each
    last_action: int | None  # the first entity's action in the one-hot last action
    named_by: tuple[int, ...]  # one of these is not 0 in rows whose actions target the entities; empty: all rows


class EntityKernels(NamedTuple):
    """Compiled functions for one size of features and codes; see `entity_kernels`."""

    sums: Callable[..., None]
    sums_backward: Callable[..., None]
    scores: Callable[..., None]
    scores_backward: Callable[..., None]


def entity_sum(x: Tensor, at: Columns, weight: Tensor, bias: Tensor) -> Tensor:
    """Sum of the codes ``relu(W e + b)`` of the entities present.

    Args:
        x: (R, O) float32 on the CPU; gets no gradient.
        at: where the entities are.
        weight: (C, F), F features including the mark of the last action.
        bias: (C).

    Returns:
        (R, C) float32.
    """
    return _Sum.apply(x.contiguous(), at, weight, bias)  # type: ignore[no-any-return]


def entity_scores(x: Tensor, at: Columns, weight: Tensor, bias: Tensor, query: Tensor) -> Tensor:
    """Dot products of the entities' codes with each row's query (R, C); other arguments as in `entity_sum`.

    Returns:
        (R, K) float32, 0 for an absent entity.
    """
    return _Scores.apply(x.contiguous(), at, weight, bias, query.contiguous())  # type: ignore[no-any-return]


@cache
def entity_kernels(size: int, marked: bool, codes: int) -> EntityKernels:
    """Kernels for entities of `size` features (and a mark, if `marked`) and codes of `codes` floats.

    All take ``(x, column, count, mark, named_by, weight, ...)``: rows (R, O), the fields of `Columns`, with `mark` for
    ``last_action``, and ``(F + 1, C)`` weights with the bias as the last row. Because the sizes are constants, the
    compiler unrolls the features and vectorises over the codes.
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


def _arguments(x: Tensor, at: Columns, weight: Tensor, bias: Tensor) -> tuple[Any, ...]:
    """The arguments that all kernels share."""
    both = torch.cat([weight.t(), bias.unsqueeze(0)]).detach().numpy()
    mark = -1 if at.last_action is None else at.last_action
    return x.detach().numpy(), at.column, at.count, mark, np.array(at.named_by, np.int64), both


def _kernels(at: Columns, weight: Tensor) -> EntityKernels:
    return entity_kernels(at.size, at.last_action is not None, len(weight))


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, at: Columns, weight: Tensor, bias: Tensor) -> Tensor:
        out = x.new_empty(len(x), len(weight))
        _kernels(at, weight).sums(*_arguments(x, at, weight, bias), out.numpy())
        ctx.save_for_backward(x, weight, bias)
        ctx.at = at
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias = ctx.saved_tensors
        arguments = _arguments(x, ctx.at, weight, bias)
        to_weight = np.zeros_like(arguments[-1])
        _kernels(ctx.at, weight).sums_backward(*arguments, grad.contiguous().numpy(), to_weight)
        both = torch.from_numpy(to_weight)
        return None, None, both[:-1].t().contiguous(), both[-1]


class _Scores(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, at: Columns, weight: Tensor, bias: Tensor, query: Tensor) -> Tensor:
        out = x.new_empty(len(x), at.count)
        _kernels(at, weight).scores(*_arguments(x, at, weight, bias), query.detach().numpy(), out.numpy())
        ctx.save_for_backward(x, weight, bias, query)
        ctx.at = at
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, query = ctx.saved_tensors
        arguments = _arguments(x, ctx.at, weight, bias)
        to_weight, to_query = np.zeros_like(arguments[-1]), torch.empty_like(query)
        _kernels(ctx.at, weight).scores_backward(
            *arguments, query.detach().numpy(), grad.contiguous().numpy(), to_weight, to_query.numpy()
        )
        both = torch.from_numpy(to_weight)
        return None, None, both[:-1].t().contiguous(), both[-1], to_query
