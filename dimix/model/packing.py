"""Sequences of different lengths laid out without gaps, so that a recurrence computes no padding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Packing:
    """Layout of the rows of B*A sequences, sorted by length, longest first, and stored step by step.

    At time t the first ``batch_sizes[t]`` sequences are still running, so each step is a contiguous block of rows, as
    in `torch.nn.utils.rnn.PackedSequence`. R is the number of rows, n the number of sequences with at least one step.
    Time counts from each sequence's own first step.

    With `by_agent` every agent has its own blocks for its B sequences, as large as the agent with the most running
    sequences needs. Then R and n count per agent, packed tensors have an axis A in front, and unused rows are zero.

    Attributes:
        shape: (B, T, A) of the padded form.
        rows: (R,) or (A, R) int64, index of each packed row in the flattened padded form; B*T*A for an unused row.
        order: (n,) or (A, n) int64, the sequences (flattened (B, A)), longest first.
        last: (k,) int64, packed row (flattened) of the last step of each of the k sequences that are not empty.
        ended: (k,) int64, those sequences (flattened (B, A)).
        batch_sizes: (T,) running sequences at each time; the last ones may be 0.
    """

    shape: tuple[int, int, int]
    rows: Tensor
    order: Tensor
    last: Tensor
    ended: Tensor
    batch_sizes: list[int]

    @classmethod
    def of(cls, valid: Tensor, first_step: Tensor | None = None, by_agent: bool = False) -> Packing:
        """The layout for a validity mask.

        Args:
            valid: (B, T, A) bool. A sequence runs to its last True (an agent's death or the end).
            first_step: (B,) int64, first step of each sample's sequences; None for 0.
            by_agent: blocks per agent, for networks that do not share all weights.

        It is computed on the CPU, since its sizes decide which kernels run: one wait for a device, not one per size.
        """
        device = valid.device
        if device.type != "cpu":
            return cls.of(valid.cpu(), None if first_step is None else first_step.cpu(), by_agent).to(device)
        batch, steps, agents = valid.shape
        time = torch.arange(1, steps + 1, device=valid.device)
        length = (valid * time[None, :, None]).amax(1)  # (B, A)
        start = torch.zeros_like(length) if first_step is None else first_step.unsqueeze(1).expand_as(length)
        length = (length - start).clamp(min=0).reshape(-1)
        start = start.reshape(-1)
        if by_agent:
            return cls._side_by_side((batch, steps, agents), length, start, time)
        sorted_length, order = length.sort(descending=True, stable=True)
        running = time[:, None] <= sorted_length[None]  # (T, B*A), a prefix of each row
        sizes = running.sum(1)
        count = int(sizes[0])
        order = order[:count]
        # index of each sequence's first step in (B, T, A)
        first = (order // agents) * (steps * agents) + start[order] * agents + order % agents
        rows = (first[None] + (time[:, None] - 1) * agents)[running[:, :count]]
        block = torch.cumsum(sizes, 0) - sizes
        last = block[sorted_length[:count] - 1] + torch.arange(count, device=valid.device)
        return cls((batch, steps, agents), rows, order, last, order, sizes.tolist())

    @classmethod
    def _side_by_side(cls, shape: tuple[int, int, int], length: Tensor, start: Tensor, time: Tensor) -> Packing:
        """`of` with blocks per agent; length and start of each sequence are (B*A,)."""
        batch, steps, agents = shape
        agent = torch.arange(agents, device=length.device)
        sorted_length, rank = length.view(batch, agents).t().sort(dim=1, descending=True, stable=True)  # (A, B)
        sizes = (time[:, None, None] <= sorted_length).sum(2).amax(1)  # (T,), the agent with the most
        count = int(sizes[0])
        sorted_length, rank = sorted_length[:, :count], rank[:, :count]
        order = rank * agents + agent[:, None]  # (A, n)
        block = torch.cumsum(sizes, 0) - sizes
        slot = torch.arange(count, device=length.device)
        in_block = slot[None] < sizes[:, None]  # (T, n)
        first = rank * (steps * agents) + start[order] * agents + agent[:, None]
        place = first[:, None] + (time[:, None] - 1) * agents  # (A, T, n)
        place = torch.where(time[:, None] <= sorted_length[:, None], place, batch * steps * agents)
        rows = place[:, in_block]
        some = sorted_length > 0
        last = block[sorted_length.clamp(min=1) - 1] + slot + agent[:, None] * rows.shape[1]
        return cls(shape, rows, order, last[some], order[some], sizes.tolist())

    def to(self, device: torch.device) -> Packing:
        """The same layout with its tensors on a device."""
        rows, order, last, ended = (
            x.to(device, non_blocking=True) for x in (self.rows, self.order, self.last, self.ended)
        )
        return Packing(self.shape, rows, order, last, ended, self.batch_sizes)

    def pack(self, x: Tensor) -> Tensor:
        """(B, T, A, ...) -> (R, ...) or (A, R, ...): the rows that are computed."""
        x = x.reshape(-1, *x.shape[3:])
        if self.rows.dim() == 1:
            return x.index_select(0, self.rows)
        rows = self.rows.flatten()
        gap = rows == len(x)
        packed = x.index_select(0, rows.clamp(max=len(x) - 1)).masked_fill_(gap.view(-1, *[1] * (x.dim() - 1)), 0.0)
        return packed.view(*self.rows.shape, *x.shape[1:])

    def unpack(self, rows: Tensor) -> Tensor:
        """(R, F) or (A, R, F) -> (B, T, A, F), zero where nothing was computed."""
        size, features = self.shape[0] * self.shape[1] * self.shape[2], rows.shape[-1]
        if self.rows.dim() == 1:
            return rows.new_zeros(size, features).index_copy(0, self.rows, rows).view(*self.shape, -1)
        padded = rows.new_zeros(size + 1, features)  # unused rows go to the extra one at the end
        padded = padded.index_copy(0, self.rows.flatten(), rows.reshape(-1, features))
        return padded[:-1].view(*self.shape, -1)

    def start(self, state: Tensor) -> Tensor:
        """States (B*A, H) in the order of the sequences: (n, H) or (A, n, H)."""
        return state.index_select(0, self.order.flatten()).view(*self.order.shape, state.shape[-1])

    def end(self, state: Tensor, rows: Tensor) -> Tensor:
        """(B*A, H): the states at the last rows of the sequences, picked from those of all rows; else `state`."""
        return state.index_copy(0, self.ended, rows.reshape(-1, rows.shape[-1]).index_select(0, self.last))
