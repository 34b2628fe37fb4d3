"""Compiled loops over the entities that rows of observations show.

An entity's code is ``relu(W e + b)``; it is computed again wherever it is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numba
import numpy as np

from dimix.machine.compiled import FASTMATH, compiled
from dimix.model.kernels.products import BLOCK

_ZERO = np.float32(0.0)
_CHUNK = 256  # rows whose gradients are summed first: less rounding error than one long sum


@numba.njit(inline="always")
def _can_name(row: Any, named_by: Any) -> Any:
    for column in named_by:
        if row[column] != _ZERO:
            return True
    return len(named_by) == 0


@compiled()
def aiming(x: np.ndarray, named_by: np.ndarray, grad: np.ndarray) -> np.ndarray:  # pragma: no cover - compiled
    """Rows of x (R, O) that can name entities; given their values' gradient (R, K), those where it is not 0."""
    rows, n = np.empty(x.shape[0], np.int64), 0
    for r in range(x.shape[0]):
        rows[n] = r
        n += _can_name(x[r], named_by) and (len(grad) == 0 or (grad[r] != _ZERO).any())
    return rows[:n]


@numba.njit(inline="always")
def _seen(row, at, size):  # type: ignore[no-untyped-def]
    for f in range(size):
        if row[at + f] != _ZERO:
            return True
    return False


@numba.njit(forceinline=True)
def _load(row, at, mark, named, features, size, marked):  # type: ignore[no-untyped-def]
    for f in range(size):
        features[f] = row[at + f]
    if marked:
        features[size] = row[mark] if named else _ZERO


@numba.njit
def _by_feature(weight, bias):  # type: ignore[no-untyped-def]
    """Weights of a feature side by side, the bias last."""
    codes, width = weight.shape
    w = np.empty((width + 1) * codes, np.float32)
    for k in range(codes):
        for f in range(width):
            w[f * codes + k] = weight[k, f]
        w[width * codes + k] = bias[k]
    return w


@numba.njit
def _by_code(total, to_weight, to_bias):  # type: ignore[no-untyped-def]
    """The way back from `_by_feature`."""
    codes, width = to_weight.shape
    for k in range(codes):
        for f in range(width):
            to_weight[k, f] = total[f * codes + k]
        to_bias[k] = total[width * codes + k]


@numba.njit(inline="always")
def _before_relu(features, w, k, width, codes):  # type: ignore[no-untyped-def]
    z = w[width * codes + k]
    for f in range(width):
        z += features[f] * w[f * codes + k]
    return z


@numba.njit(forceinline=True, fastmath=FASTMATH, error_model="numpy")
def _add_outer(part, features, d, width, codes):  # type: ignore[no-untyped-def]
    """Add the outer products of `BLOCK` entities' features (1 for the bias) and gradients: a store for all.

    `products.add_outer`, made for many rows, takes three times as long here.
    """
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


@numba.njit(forceinline=True, fastmath=FASTMATH, error_model="numpy")
def _add_rest(total, part, features, d, count, width, codes):  # type: ignore[no-untyped-def]
    """Add the last block of a chunk, of `count` entities, and then the chunk's sum."""
    d[count:] = _ZERO
    _add_outer(part, features, d, width, codes)
    for i in range(len(part)):
        total[i] += part[i]


class EntityKernels(NamedTuple):
    """Compiled functions for one size of features and codes; see `entity_kernels`."""

    sums: Callable[..., None]
    sums_backward: Callable[..., None]
    scores: Callable[..., None]
    scores_backward: Callable[..., None]


@cache
def entity_kernels(size: int, marked: bool, codes: int) -> EntityKernels:
    """Kernels for entities of `size` features (and a mark, if `marked`) and codes of `codes` floats.

    All begin with ``(x, column, count, mark, named_by, weight, bias, ...)``: rows (R, O), the fields of `Columns`, with
    `mark` for ``last_action``, weight (C, F) and bias (C) of the codes. Because the sizes are constants, the compiler
    unrolls the features and vectorises over the codes. `sums` fills `out`, `scores` adds to it; the backward kernels
    fill all arguments from `to_weight` on.
    """
    width, scale = size + marked, np.float32(codes**-0.5)

    @compiled(fastmath=FASTMATH, error_model="numpy")
    def sums(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
        x, column, count, mark, named_by, weight, bias, out
    ):
        features, total, w = np.zeros(width, np.float32), np.empty(codes, np.float32), _by_feature(weight, bias)
        for r in range(x.shape[0]):
            row = x[r]
            named = _can_name(row, named_by)
            for k in range(codes):
                total[k] = _ZERO
            for j in range(count):
                at = column + j * size
                if not _seen(row, at, size):
                    continue
                _load(row, at, mark + j, named, features, size, marked)
                for k in range(codes):
                    total[k] += max(_before_relu(features, w, k, width, codes), _ZERO)
            for k in range(codes):
                out[r, k] = total[k]

    @compiled(fastmath=FASTMATH, error_model="numpy")
    def sums_backward(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
        x, column, count, mark, named_by, weight, bias, grad, to_weight, to_bias
    ):
        features, d = np.ones((BLOCK, width + 1), np.float32), np.zeros((BLOCK, codes), np.float32)
        w = _by_feature(weight, bias)
        part, total = np.empty_like(w), np.zeros_like(w)
        for start in range(0, x.shape[0], _CHUNK):
            part[:], n = _ZERO, 0
            for r in range(start, min(start + _CHUNK, x.shape[0])):
                row, g = x[r], grad[r]
                named = _can_name(row, named_by)
                for j in range(count):
                    at = column + j * size
                    if not _seen(row, at, size):
                        continue
                    one, to_code = features[n], d[n]
                    _load(row, at, mark + j, named, one, size, marked)
                    for k in range(codes):
                        z = _before_relu(one, w, k, width, codes)
                        to_code[k] = g[k] if z > _ZERO else _ZERO
                    n += 1
                    if n == BLOCK:
                        _add_outer(part, features, d, width, codes)
                        n = 0
            _add_rest(total, part, features, d, n, width, codes)
        _by_code(total, to_weight, to_bias)

    @compiled(fastmath=FASTMATH | {"reassoc"}, error_model="numpy")
    def scores(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
        x, column, count, mark, named_by, weight, bias, rows, query, out, action
    ):
        features, w = np.zeros(width, np.float32), _by_feature(weight, bias)
        for i in range(len(rows)):
            row, q, values = x[rows[i]], query[i], out[rows[i]]
            for j in range(count):
                at = column + j * size
                if not _seen(row, at, size):
                    continue
                _load(row, at, mark + j, True, features, size, marked)
                value = _ZERO
                for k in range(codes):
                    value += max(_before_relu(features, w, k, width, codes), _ZERO) * q[k]
                values[action + j] += scale * value

    @compiled(fastmath=FASTMATH, error_model="numpy")
    def scores_backward(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
        x, column, count, mark, named_by, weight, bias, rows, query, grad, action, to_weight, to_bias, to_query
    ):
        features, d = np.ones((BLOCK, width + 1), np.float32), np.zeros((BLOCK, codes), np.float32)
        w = _by_feature(weight, bias)
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
                    if g == _ZERO or not _seen(row, at, size):
                        continue
                    one, to_code = features[n], d[n]
                    _load(row, at, mark + j, True, one, size, marked)
                    for k in range(codes):
                        z = _before_relu(one, w, k, width, codes)
                        to_q[k] += g * max(z, _ZERO)
                        to_code[k] = g * q[k] if z > _ZERO else _ZERO
                    n += 1
                    if n == BLOCK:
                        _add_outer(part, features, d, width, codes)
                        n = 0
            _add_rest(total, part, features, d, n, width, codes)
        _by_code(total, to_weight, to_bias)

    return EntityKernels(sums, sums_backward, scores, scores_backward)
