"""Reading and aiming at entities in compiled loops, which never hold rows times entities times codes in memory.

An entity's code is ``relu(W e + b)``. Most entities of a battle are dead or out of sight, and the gradient reaches the
value of one action per row. So the loops skip absent entities, only rows whose actions can target a kind get a query
for it, in the backward pass only those whose action did, and codes are computed again rather than kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple

import numba
import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dimix.machine.compiled import compiled
from dimix.model.kernels.buffers import POOL

_ZERO = np.float32(0.0)
_BLOCK = 4  # entities whose gradients are added together
_CHUNK = 256  # rows whose gradients are summed first: less rounding error than one long sum


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


class EntityKernels(NamedTuple):
    """Compiled functions for one size of features and codes; see `entity_kernels`."""

    sums: Callable[..., None]
    sums_backward: Callable[..., None]
    scores: Callable[..., None]
    scores_backward: Callable[..., None]


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


@numba.njit(inline="always")
def _can_name(row: Any, named_by: Any) -> Any:
    for column in named_by:
        if row[column] != _ZERO:
            return True
    return len(named_by) == 0


@compiled()
def _aiming(x: np.ndarray, named_by: np.ndarray, grad: np.ndarray) -> np.ndarray:  # pragma: no cover - compiled
    """Rows of x (R, O) that can name entities; given their values' gradient (R, K), those where it is not 0."""
    rows, n = np.empty(x.shape[0], np.int64), 0
    for r in range(x.shape[0]):
        rows[n] = r
        n += _can_name(x[r], named_by) and (len(grad) == 0 or (grad[r] != _ZERO).any())
    return rows[:n]


@cache
def entity_kernels(size: int, marked: bool, codes: int) -> EntityKernels:
    """Kernels for entities of `size` features (and a mark, if `marked`) and codes of `codes` floats.

    All begin with ``(x, column, count, mark, named_by, weight, bias, ...)``: rows (R, O), the fields of `Columns`, with
    `mark` for ``last_action``, weight (C, F) and bias (C) of the codes. Because the sizes are constants, the compiler
    unrolls the features and vectorises over the codes. `sums` fills `out`, `scores` adds to it; the backward kernels
    fill all arguments from `to_weight` on.
    """
    width, scale = size + marked, np.float32(codes**-0.5)
    fast = {"contract", "nsz", "arcp"}

    @numba.njit(inline="always")
    def seen(row, at):  # type: ignore[no-untyped-def]
        for f in range(size):
            if row[at + f] != _ZERO:
                return True
        return False

    @numba.njit(inline="always")
    def load(row, at, mark, named, features):  # type: ignore[no-untyped-def]
        for f in range(size):
            features[f] = row[at + f]
        if marked:
            features[size] = row[mark] if named else _ZERO

    @numba.njit
    def by_feature(weight, bias):  # type: ignore[no-untyped-def]
        """Weights of a feature side by side, the bias last."""
        w = np.empty((width + 1) * codes, np.float32)
        for k in range(codes):
            for f in range(width):
                w[f * codes + k] = weight[k, f]
            w[width * codes + k] = bias[k]
        return w

    @numba.njit
    def by_code(total, to_weight, to_bias):  # type: ignore[no-untyped-def]
        """The way back from `by_feature`."""
        for k in range(codes):
            for f in range(width):
                to_weight[k, f] = total[f * codes + k]
            to_bias[k] = total[width * codes + k]

    @numba.njit(inline="always")
    def before_relu(features, w, k):  # type: ignore[no-untyped-def]
        z = w[width * codes + k]
        for f in range(width):
            z += features[f] * w[f * codes + k]
        return z

    @numba.njit(fastmath=fast, error_model="numpy")
    def add_outer(part, features, d):  # type: ignore[no-untyped-def]
        """Add the outer products of `_BLOCK` entities' features (1 for the bias) and gradients: a store for all."""
        d0, d1, d2, d3 = d[0], d[1], d[2], d[3]
        for f in range(width + 1):
            v0, v1, v2, v3 = features[0, f], features[1, f], features[2, f], features[3, f]
            for k in range(codes):
                to = part[f * codes + k]
                to += v0 * d0[k]
                to += v1 * d1[k]
                to += v2 * d2[k]
                to += v3 * d3[k]
                part[f * codes + k] = to

    @compiled(fastmath=fast, error_model="numpy")
    def sums(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
        x, column, count, mark, named_by, weight, bias, out
    ):
        features, total, w = np.zeros(width, np.float32), np.empty(codes, np.float32), by_feature(weight, bias)
        for r in range(x.shape[0]):
            row = x[r]
            named = _can_name(row, named_by)
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
        x, column, count, mark, named_by, weight, bias, grad, to_weight, to_bias
    ):
        features, d = np.ones((_BLOCK, width + 1), np.float32), np.zeros((_BLOCK, codes), np.float32)
        w = by_feature(weight, bias)
        part, total = np.empty_like(w), np.zeros_like(w)
        for start in range(0, x.shape[0], _CHUNK):
            part[:], n = _ZERO, 0
            for r in range(start, min(start + _CHUNK, x.shape[0])):
                row, g = x[r], grad[r]
                named = _can_name(row, named_by)
                for j in range(count):
                    at = column + j * size
                    if not seen(row, at):
                        continue
                    one, to_code = features[n], d[n]
                    load(row, at, mark + j, named, one)
                    for k in range(codes):
                        z = before_relu(one, w, k)
                        to_code[k] = g[k] if z > _ZERO else _ZERO
                    n += 1
                    if n == _BLOCK:
                        add_outer(part, features, d)
                        n = 0
            d[n:] = _ZERO
            add_outer(part, features, d)
            for i in range(len(part)):
                total[i] += part[i]
        by_code(total, to_weight, to_bias)

    @compiled(fastmath=fast | {"reassoc"}, error_model="numpy")
    def scores(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
        x, column, count, mark, named_by, weight, bias, rows, query, out, action
    ):
        features, w = np.zeros(width, np.float32), by_feature(weight, bias)
        for i in range(len(rows)):
            row, q, values = x[rows[i]], query[i], out[rows[i]]
            for j in range(count):
                at = column + j * size
                if not seen(row, at):
                    continue
                load(row, at, mark + j, True, features)
                value = _ZERO
                for k in range(codes):
                    value += max(before_relu(features, w, k), _ZERO) * q[k]
                values[action + j] += scale * value

    @compiled(fastmath=fast, error_model="numpy")
    def scores_backward(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
        x, column, count, mark, named_by, weight, bias, rows, query, grad, action, to_weight, to_bias, to_query
    ):
        features, d = np.ones((_BLOCK, width + 1), np.float32), np.zeros((_BLOCK, codes), np.float32)
        w = by_feature(weight, bias)
        part, total = np.empty_like(w), np.zeros_like(w)
        for start in range(0, len(rows), _CHUNK):
            part[:], n = _ZERO, 0
            for i in range(start, min(start + _CHUNK, len(rows))):
                row, q, to_q = x[rows[i]], query[i], to_query[i]
                for k in range(codes):
                    to_q[k] = _ZERO
                for j in range(count):
                    at = column + j * size
                    g = scale * grad[rows[i], action + j]
                    if g == _ZERO or not seen(row, at):
                        continue
                    one, to_code = features[n], d[n]
                    load(row, at, mark + j, True, one)
                    for k in range(codes):
                        z = before_relu(one, w, k)
                        to_q[k] += g * max(z, _ZERO)
                        to_code[k] = g * q[k] if z > _ZERO else _ZERO
                    n += 1
                    if n == _BLOCK:
                        add_outer(part, features, d)
                        n = 0
            d[n:] = _ZERO
            add_outer(part, features, d)
            for i in range(len(part)):
                total[i] += part[i]
        by_code(total, to_weight, to_bias)

    return EntityKernels(sums, sums_backward, scores, scores_backward)


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
    """Rows that aim at a kind (see `_aiming`), the features there, and their queries; the last two from the pool."""
    rows = _aiming(x.numpy(), aim.at.place[-1], grad)
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
