"""A GRU over packed sequences on the CPU, one compiled loop forward and one backward (`gru_kernels`).

Padding is not computed, and the gates' buffer is reused from update to update: fresh memory costs page faults.
Internally every tensor has an axis of weight sets (W) in front: one set for all rows, or one per agent (`Packing.of`
with ``by_agent``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dimix.model.kernels.buffers import POOL
from dimix.model.kernels.gru_kernels import gru_kernels
from dimix.model.kernels.products import BLOCK
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
    sizes = np.array([n for n in packing.batch_sizes if n > 0], np.int64)
    if torch.is_grad_enabled() and any(t.requires_grad for t in sets):
        hidden = _FusedGRU.apply(x3, h3, w_x, w_hh, bias, sizes)
    else:
        hidden = _forward(x3, h3, w_x, w_hh, bias, sizes, None)
    return hidden.view(*x.shape[:-1], -1)


def gru_step(x: Tensor, h0: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
    """One step of every row, without gradients: x (R, I), h0 (R, H) -> (R, H); arguments as in `fused_gru`."""
    x3, h3, w_ih, w_hh, b_ih, b_hh = _lift(x, h0, w_ih, w_hh, b_ih, b_hh)
    w_x, bias = _arrange(w_ih, b_ih, b_hh)
    return _forward(x3, h3, w_x, w_hh, bias, np.array([x3.shape[1]], np.int64), None).view_as(h0)


def _lift(*tensors: Tensor) -> list[Tensor]:
    """Add the axis of weight sets, unless the tensors have agents in front."""
    return list(tensors) if tensors[0].dim() == 3 else [t.unsqueeze(0) for t in tensors]


def _arrange(w_ih: Tensor, b_ih: Tensor, b_hh: Tensor) -> tuple[Tensor, Tensor]:
    """Input weights (W, 3H, I) in the kernels' order (n, r, z), and one bias (W, 4H) for their four columns."""
    rz = slice(0, b_ih.shape[1] // 3 * 2)
    n = slice(rz.stop, None)
    bias = torch.cat([b_ih[:, n], b_ih[:, rz] + b_hh[:, rz], b_hh[:, n]], 1)
    return torch.cat([w_ih[:, n], w_ih[:, rz]], 1), bias


def _forward(
    x: Tensor, h0: Tensor, w_x: Tensor, w_h: Tensor, bias: Tensor, sizes: np.ndarray, gates: Tensor | None
) -> Tensor:
    """Hidden states (W, R, H). Fills gates (W, R, 4H) if given."""
    size = w_h.shape[-1]
    hidden = x.new_empty(*x.shape[:2], size)
    scratch = POOL.take(len(x), BLOCK, 4 * size) if gates is None else gates
    tensors = (x, h0, w_x.mT, w_h.mT, bias)
    gru_kernels(x.shape[-1], size).forward(*_arrays(*tensors), sizes, *_arrays(scratch, hidden))
    if gates is None:
        POOL.give(scratch)
    return hidden


def _arrays(*tensors: Tensor) -> list[np.ndarray]:
    return [t.detach().contiguous().numpy() for t in tensors]


class _FusedGRU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, h0: Tensor, w_x: Tensor, w_h: Tensor, bias: Tensor, sizes: np.ndarray) -> Tensor:
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
        dx, carry = torch.empty_like(x), torch.zeros_like(h0)
        dw_x, dw_h = (w.new_zeros(w.mT.shape) for w in (w_x, w_h))
        dbias = x.new_zeros(len(x), 4 * w_h.shape[-1])
        given = _arrays(x, h0, w_x, w_h, hidden)
        filled = _arrays(gates, grad, dx, carry, dw_x, dw_h, dbias)
        gru_kernels(x.shape[-1], w_h.shape[-1]).backward(*given, ctx.sizes, *filled)
        POOL.give(gates)
        return dx, carry, dw_x.mT, dw_h.mT, dbias, None
