"""A GRU over packed sequences on the CPU: matrix products by torch, everything between them in one compiled pass.

Each time step is one block of rows (see `Packing`), computed while it is in the cache: input product, hidden product,
gates. The backward pass takes the blocks in reverse and accumulates the weights' gradients block by block. Padding is
not computed, and the gates' buffer is reused from update to update: fresh memory costs page faults.

Internally every tensor has an axis of weight sets (W) in front: one set for all rows, or one per agent (`Packing.of`
with ``by_agent``). With one set the products are plain, with more they are batched.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dimix.model.kernels.buffers import POOL
from dimix.model.kernels.gru_kernels import gru_kernels
from dimix.model.packing import Packing


def fused_gru(
    x: Tensor, packing: Packing, h0: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor
) -> Tensor:
    """Hidden states of all rows, with gradients; equal to `torch.nn.GRU` up to rounding.

    Args:
        x: (R, I) or (A, R, I) float32 on the CPU, packed rows.
        packing: their layout.
        h0: (n, H) or (A, n, H) state before the first step, sorted as ``packing.order``.
        w_ih: (3H, I), gates in torch's order (r, z, n); with agents in front (A, 3H, I), like all below.
        w_hh: (3H, H).
        b_ih: (3H).
        b_hh: (3H).

    Returns:
        (R, H) or (A, R, H) float32.

    Raises:
        RuntimeError: backward ran twice; the first pass consumes the buffers.
    """
    sets = _lift(x, h0, w_ih, w_hh, b_ih, b_hh)
    x3, h3, w_ih, w_hh, b_ih, b_hh = sets
    w_x, bias = _arrange(w_ih, b_ih, b_hh)
    sizes = [n for n in packing.batch_sizes if n > 0]
    if torch.is_grad_enabled() and any(t.requires_grad for t in sets):
        hidden = _FusedGRU.apply(x3, h3, w_x, w_hh, bias, sizes)
    else:
        hidden = _forward(x3, h3, w_x, w_hh, bias, sizes, None)
    return hidden.view(*x.shape[:-1], -1)


def gru_step(x: Tensor, h0: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
    """One step of every row, without gradients: x (R, I), h0 (R, H) -> (R, H); arguments as in `fused_gru`."""
    x3, h3, w_ih, w_hh, b_ih, b_hh = _lift(x, h0, w_ih, w_hh, b_ih, b_hh)
    w_x, bias = _arrange(w_ih, b_ih, b_hh)
    return _forward(x3, h3, w_x, w_hh, bias, [x3.shape[1]], None).view_as(h0)


def _lift(*tensors: Tensor) -> list[Tensor]:
    """Add the axis of weight sets, unless the tensors have agents in front."""
    return list(tensors) if tensors[0].dim() == 3 else [t.unsqueeze(0) for t in tensors]


def _arrange(w_ih: Tensor, b_ih: Tensor, b_hh: Tensor) -> tuple[Tensor, Tensor]:
    """Input weights (W, 3H, I) in the kernels' order (n, r, z), and one bias (W, 4H) for their four columns."""
    rz = slice(0, b_ih.shape[1] // 3 * 2)
    n = slice(rz.stop, None)
    bias = torch.cat([b_ih[:, n], b_ih[:, rz] + b_hh[:, rz], b_hh[:, n]], 1)
    return torch.cat([w_ih[:, n], w_ih[:, rz]], 1), bias


def _products(*tensors: Tensor) -> list[Tensor]:
    """Tensors for `_mm`: a single set loses its axis, since plain products are faster than batched ones."""
    return [t[0] for t in tensors] if len(tensors[0]) == 1 else list(tensors)


def _mm(a: Tensor, b: Tensor, out: Tensor) -> None:
    (torch.mm if a.dim() == 2 else torch.bmm)(a, b, out=out)


def _add_mm(total: Tensor, a: Tensor, b: Tensor) -> None:
    (total.addmm_ if a.dim() == 2 else total.baddbmm_)(a, b)


def _forward(
    x: Tensor, h0: Tensor, w_x: Tensor, w_h: Tensor, bias: Tensor, sizes: list[int], gates: Tensor | None
) -> Tensor:
    """Hidden states (W, R, H). Fills gates (W, R, 4H) if given; otherwise all steps share one block."""
    size = w_h.shape[-1]
    hidden = x.new_empty(*x.shape[:2], size)
    if not sizes:
        return hidden
    step_gates = POOL.take(len(x), sizes[0], 4 * size) if gates is None else gates
    product = POOL.take(len(x), sizes[0], 3 * size)
    kernel = gru_kernels(size).forward
    gate_values, products, states = step_gates.numpy(), product.numpy(), hidden.numpy()
    before_start, before_states = 0, h0.detach().numpy()
    biases = bias.detach().numpy()
    inputs, before, out, to_gates, to_product, w_x, w_h = _products(
        x, h0, hidden, step_gates[..., : 3 * size], product, w_x.mT, w_h.mT
    )
    start = 0
    for rows, now, count in zip(inputs.split(sizes, -2), out.split(sizes, -2), sizes, strict=True):
        at = 0 if gates is None else start
        _mm(rows, w_x, to_gates.narrow(-2, at, count))
        _mm(before.narrow(-2, 0, count), w_h, to_product.narrow(-2, 0, count))
        kernel(gate_values, at, products, biases, before_states, before_start, states, start, count)
        before, before_start, before_states = now, start, states
        start += count
    POOL.give(product)
    if gates is None:
        POOL.give(step_gates)
    return hidden


class _FusedGRU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, h0: Tensor, w_x: Tensor, w_h: Tensor, bias: Tensor, sizes: list[int]) -> Tensor:
        ctx.gates = POOL.take(*x.shape[:2], 4 * w_h.shape[-1])
        hidden = _forward(x, h0, w_x, w_h, bias, sizes, ctx.gates)
        ctx.save_for_backward(x, h0, w_x, w_h, hidden)
        ctx.sizes = sizes
        return hidden

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.gates is None:
            raise RuntimeError(
                "fused_gru: backward ran twice over one forward. Use the plain GRU (fused=False) for that."
            )
        gates, ctx.gates = ctx.gates, None
        x, h0, w_x, w_h, hidden = ctx.saved_tensors
        size, sizes = w_h.shape[-1], ctx.sizes
        dx, dw_x, dw_h = torch.empty_like(x), torch.zeros_like(w_x), torch.zeros_like(w_h)
        dbias, carry = x.new_zeros(len(x), 4 * size), torch.zeros_like(h0)
        kernel = gru_kernels(size).backward
        gate_values, grads, carries, bias_grads = (t.numpy() for t in (gates, grad.contiguous(), carry, dbias))
        tensors = (gates, x, dx, h0, hidden, w_x, w_h, dw_x, dw_h, carry)
        g_all, inputs, dx_all, first, states, wx, wh, to_wx, to_wh, to_carry = _products(*tensors)
        before_all = [first, *states.split(sizes, -2)[:-1]]
        blocks = zip(*(t.split(sizes, -2) for t in (g_all, inputs, dx_all)), before_all, sizes, strict=True)
        start, carried = x.shape[1], 0
        for t, (g, rows, dx_rows, before, count) in reversed(list(enumerate(blocks))):
            start -= count
            before_states, before_start = (hidden.numpy(), start - sizes[t - 1]) if t else (h0.numpy(), 0)
            kernel(gate_values, start, grads, before_states, before_start, carries, carried, bias_grads, count)
            g_x, g_h = g[..., : 3 * size], g[..., size:]
            _mm(g_x, wx, dx_rows)
            _add_mm(to_wx, g_x.mT, rows)
            _add_mm(to_wh, g_h.mT, before.narrow(-2, 0, count))
            _add_mm(to_carry.narrow(-2, 0, count), g_h, wh)
            carried = count
        POOL.give(gates)
        return dx, carry, dw_x, dw_h, dbias, None
