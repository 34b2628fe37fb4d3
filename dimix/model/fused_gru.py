"""A GRU over packed sequences on the CPU: matrix products by torch, everything between them in one compiled pass.

Each time step is one block of rows (see `Packing`) and is finished while it is in the cache: input product, hidden
product, gates. Backward goes through the blocks in reverse and adds each one's share to the weights' gradients at once.
Nothing is computed on padding, and the gates' buffer is used again from update to update: fresh memory costs page
faults.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dimix.model.gru_kernels import gru_kernels
from dimix.model.packing import Packing


class _BufferPool:
    """Flat float32 buffers that come back after use; one that never does is left to the garbage collector."""

    def __init__(self) -> None:
        self._free: list[Tensor] = []

    def take(self, rows: int, columns: int) -> Tensor:
        """(rows, columns) floats of any content."""
        need = rows * columns
        self._free.sort(key=Tensor.numel)
        fit = next((i for i, flat in enumerate(self._free) if flat.numel() >= need), None)
        if fit is not None:
            flat = self._free.pop(fit)
        else:
            del self._free[-1:]  # the next larger one takes its place
            flat = torch.empty(need + need // 4)  # batches differ in length: room to grow
        return flat[:need].view(rows, columns)

    def give(self, buffer: Tensor) -> None:
        """Take back what `take` gave."""
        flat = buffer._base
        if flat is not None:
            self._free.append(flat)


_POOL = _BufferPool()


def fused_gru(
    x: Tensor, packing: Packing, h0: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor
) -> Tensor:
    """Hidden states of all rows; the same numbers as `torch.nn.GRU` up to rounding, with gradients.

    Args:
        x: (R, I) float32 on the CPU, packed rows.
        packing: how they lie.
        h0: (n, H) state before the first step, sorted as ``packing.order``.
        w_ih: (3H, I), gates in torch's order (r, z, n).
        w_hh: (3H, H).
        b_ih: (3H).
        b_hh: (3H).

    Returns:
        (R, H) float32.

    Raises:
        RuntimeError: in backward, when it runs twice over one forward: the first time used up its buffers.
    """
    w_x, bias = _arrange(w_ih, b_ih, b_hh)
    sizes = [n for n in packing.batch_sizes if n > 0]
    if torch.is_grad_enabled() and any(t.requires_grad for t in (x, h0, w_x, w_hh, bias)):
        return _FusedGRU.apply(x, h0, w_x, w_hh, bias, sizes)
    return _forward(x, h0, w_x, w_hh, bias, sizes, None)


def gru_step(x: Tensor, h0: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
    """One step of every row, without gradients: x (R, I), h0 (R, H) -> (R, H); arguments as in `fused_gru`."""
    w_x, bias = _arrange(w_ih, b_ih, b_hh)
    return _forward(x, h0, w_x, w_hh, bias, [len(x)], None)


def _arrange(w_ih: Tensor, b_ih: Tensor, b_hh: Tensor) -> tuple[Tensor, Tensor]:
    """Input weights (3H, I) in the kernels' order (n, r, z), and one bias (4H) for their four columns."""
    rz = slice(0, len(b_ih) // 3 * 2)
    n = slice(rz.stop, None)
    return torch.cat([w_ih[n], w_ih[rz]]), torch.cat([b_ih[n], b_ih[rz] + b_hh[rz], b_hh[n]])


def _forward(
    x: Tensor, h0: Tensor, w_x: Tensor, w_h: Tensor, bias: Tensor, sizes: list[int], gates: Tensor | None
) -> Tensor:
    """Hidden states (R, H). Fills gates (R, 4H) if given; else each step overwrites one block of its own."""
    size = w_h.shape[1]
    hidden = x.new_empty(len(x), size)
    if not sizes:
        return hidden
    step_gates = _POOL.take(sizes[0], 4 * size) if gates is None else gates
    product = _POOL.take(sizes[0], 3 * size)
    kernel = gru_kernels(size).forward
    gate_values, products, states = step_gates.numpy(), product.numpy(), hidden.numpy()
    before, before_start, before_states = h0, 0, h0.detach().numpy()
    biases = bias.detach().numpy()
    w_x, w_h = w_x.t(), w_h.t()
    start = 0
    for rows, now, count in zip(x.split(sizes), hidden.split(sizes), sizes, strict=True):
        at = 0 if gates is None else start
        torch.mm(rows, w_x, out=step_gates[at : at + count, : 3 * size])
        torch.mm(before[:count], w_h, out=product[:count])
        kernel(gate_values, at, products, biases, before_states, before_start, states, start, count)
        before, before_start, before_states = now, start, states
        start += count
    _POOL.give(product)
    if gates is None:
        _POOL.give(step_gates)
    return hidden


class _FusedGRU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, h0: Tensor, w_x: Tensor, w_h: Tensor, bias: Tensor, sizes: list[int]) -> Tensor:
        ctx.gates = _POOL.take(len(x), 4 * w_h.shape[1])
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
        size, sizes = w_h.shape[1], ctx.sizes
        dx, dw_x, dw_h = torch.empty_like(x), torch.zeros_like(w_x), torch.zeros_like(w_h)
        dbias, carry = x.new_zeros(4 * size), torch.zeros_like(h0)
        kernel = gru_kernels(size).backward
        arrays = [t.numpy() for t in (gates, grad.contiguous(), carry, dbias)]
        gate_values, grads, carries, bias_grads = arrays
        blocks = zip(
            gates.split(sizes), x.split(sizes), dx.split(sizes), [h0, *hidden.split(sizes)[:-1]], sizes, strict=True
        )
        start, carried = len(x), 0
        for t, (g, rows, dx_rows, before, count) in reversed(list(enumerate(blocks))):
            start -= count
            before_states, before_start = (hidden.numpy(), start - sizes[t - 1]) if t else (h0.numpy(), 0)
            kernel(gate_values, start, grads, before_states, before_start, carries, carried, bias_grads, count)
            g_x, g_h = g[:, : 3 * size], g[:, size:]
            torch.mm(g_x, w_x, out=dx_rows)
            dw_x.addmm_(g_x.t(), rows)
            dw_h.addmm_(g_h.t(), before[:count])
            carry[:count].addmm_(g_h, w_h)
            carried = count
        _POOL.give(gates)
        return dx, carry, dw_x, dw_h, dbias, None
