"""A GRU's whole unroll, forward and backward, each one compiled loop over time steps and blocks of rows.

A row of 4H floats holds the gates ``[n | r | z | hn]``: candidate, reset gate, update gate, hidden state's share of the
candidate. The input's product belongs to ``[n | r | z]`` and the hidden state's to ``[r | z | hn]``, both contiguous.
Backward overwrites the gates with their gradients.

Four rows at a time go through products and gates while they are in the nearest cache. Kernels are compiled per size:
with constant sizes the compiler knows that columns do not overlap, and vectorises.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numba
import numpy as np

from dimix.machine.compiled import FASTMATH, compiled
from dimix.model.kernels.products import BLOCK, add_outer, add_rows

# tanh(x) = x * P(x^2) / Q(x^2) for |x| <= 9; beyond, float32 rounds to one. Least-squares fit, iterated towards the
# smallest maximum error: 1.9e-8 in exact arithmetic, 3.8e-7 as evaluated in float32.
_P = (0.99999988, 0.13373189, 0.0034865702, 2.0471636e-05, 1.3183956e-08)
_P0, _P1, _P2, _P3, _P4 = (np.float32(c) for c in _P)
_Q1, _Q2, _Q3, _Q4 = (np.float32(c) for c in (0.46706486, 0.025841935, 0.0003271366, 7.7025533e-07))
_LIMIT, _ONE, _HALF = np.float32(9.0), np.float32(1.0), np.float32(0.5)


@numba.njit(inline="always", fastmath=FASTMATH)
def _tanh(x: Any) -> Any:
    if x > _LIMIT:
        x = _LIMIT
    if x < -_LIMIT:
        x = -_LIMIT
    u = x * x
    p = (((_P4 * u + _P3) * u + _P2) * u + _P1) * u + _P0
    q = (((_Q4 * u + _Q3) * u + _Q2) * u + _Q1) * u + _ONE
    return x * p / q


@numba.njit(inline="always", fastmath=FASTMATH)
def _sigmoid(x: Any) -> Any:
    return _HALF + _HALF * _tanh(_HALF * x)


@numba.njit(forceinline=True, fastmath=FASTMATH, error_model="numpy")
def _open_gates(g, h, out, size):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """From sums to the gates' values and the new hidden state, for one row."""
    for j in range(size):
        r = _sigmoid(g[size + j])
        z = _sigmoid(g[2 * size + j])
        n = _tanh(g[j] + r * g[3 * size + j])
        g[j] = n
        g[size + j] = r
        g[2 * size + j] = z
        out[j] = n + z * (h[j] - n)


@numba.njit(forceinline=True, fastmath=FASTMATH, error_model="numpy")
def _close_gates(g, h, grad, carry, total, size):  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    """From the gates' values to their gradients, for one row; `total` adds up."""
    for j in range(size):
        n, r, z, hn = g[j], g[size + j], g[2 * size + j], g[3 * size + j]
        dh = grad[j] + carry[j]
        dn = dh * (_ONE - z) * (_ONE - n * n)
        dr = dn * hn * r * (_ONE - r)
        dz = dh * (h[j] - n) * z * (_ONE - z)
        dhn = dn * r
        carry[j] = dh * z
        g[j] = dn
        g[size + j] = dr
        g[2 * size + j] = dz
        g[3 * size + j] = dhn
        total[j] += dn
        total[size + j] += dr
        total[2 * size + j] += dz
        total[3 * size + j] += dhn


class GruKernels(NamedTuple):
    """Compiled functions for one pair of sizes; see `gru_kernels`."""

    forward: Callable[..., None]
    backward: Callable[..., None]


@cache
def gru_kernels(inputs: int, size: int) -> GruKernels:
    """Kernels for rows of `inputs` floats (I) and hidden states of `size` (H).

    All arrays are contiguous, with the axis of weight sets in front. `sizes` (T) int64 counts the rows of each step;
    R is their sum. Input weights are in the order (n, r, z), the hidden state's in torch's (r, z, n).

    Returns:
        ``forward(x, h0, w_x, w_h, bias, sizes, gates, hidden)`` fills `hidden` (W, R, H) from x (W, R, I), h0 (W, n, H)
        and weights (W, I, 3H), (W, H, 3H), (W, 4H). It leaves the gates' values in `gates` (W, R, 4H); with fewer than
        R rows, which must be four or more, they are scratch.

        ``backward(x, h0, w_x, w_h, hidden, sizes, gates, grad, dx, carry, to_x, to_h, to_bias)``: weights are
        (W, 3H, I) and (W, 3H, H), `grad` is that of `hidden`. Fills `dx`; adds the weights' gradients, as `forward`
        takes them, to the last three; `carry` (W, n, H), zero at first, becomes that of h0. Gates become gradients.
    """
    wide = 3 * size

    @compiled(fastmath=FASTMATH, error_model="numpy")
    def forward(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
        x, h0, w_x, w_h, bias, sizes, gates, hidden
    ) -> None:
        keep = gates.shape[1] == x.shape[1]
        for k in range(len(x)):
            before, before_start, start = h0[k], 0, 0
            for count in sizes:
                i = 0
                while i < count:
                    rows = BLOCK if i + BLOCK <= count else 1
                    at = start + i if keep else 0
                    for row in range(rows):
                        gates[k, at + row] = bias[k]
                    add_rows(gates[k], at, 0, x[k], start + i, 0, w_x[k], rows, inputs, wide)
                    add_rows(gates[k], at, size, before, before_start + i, 0, w_h[k], rows, size, wide)
                    for row in range(i, i + rows):
                        g = gates[k, at + row - i]
                        _open_gates(g, before[before_start + row], hidden[k, start + row], size)
                    i += rows
                before, before_start = hidden[k], start
                start += count

    @compiled(fastmath=FASTMATH, error_model="numpy")
    def backward(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
        x, h0, w_x, w_h, hidden, sizes, gates, grad, dx, carry, to_x, to_h, to_bias
    ) -> None:
        for k in range(len(x)):
            g, c, start = gates[k], carry[k], x.shape[1]
            for t in range(len(sizes) - 1, -1, -1):
                count = sizes[t]
                start -= count
                before, before_start = (hidden[k], start - sizes[t - 1]) if t else (h0[k], 0)
                total = np.zeros(4 * size, np.float32)  # the step's sum first: less rounding error
                i = 0
                while i < count:
                    rows = BLOCK if i + BLOCK <= count else 1
                    at = start + i
                    for row in range(i, i + rows):
                        h, d = before[before_start + row], grad[k, start + row]
                        _close_gates(g[start + row], h, d, c[row], total, size)
                        dx[k, start + row] = np.float32(0.0)
                    add_rows(dx[k], at, 0, g, at, 0, w_x[k], rows, wide, inputs)
                    add_rows(c, i, 0, g, at, size, w_h[k], rows, wide, size)
                    i += rows
                to_bias[k] += total
                add_outer(to_x[k], x[k], start, g, start, 0, count, inputs, wide)
                add_outer(to_h[k], before, before_start, g, start, size, count, size, wide)

    return GruKernels(forward, backward)
