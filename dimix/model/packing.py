"""Sequences of different lengths laid out without gaps: what a recurrence computes, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Packing:
    """Where the rows of B*A sequences lie when they are sorted by length, longest first, and stored time by time.

    At time t the first ``batch_sizes[t]`` sequences of the order are still running, so each time step is one contiguous
    block and each block a prefix of the one before: the layout of `torch.nn.utils.rnn.PackedSequence`. R is the number
    of rows in all blocks, n the number of sequences that have any. Time counts from each sequence's own first step.

    Attributes:
        shape: (B, T, A) of the padded form.
        rows: (R,) int64, place of each packed row in the padded form, flattened.
        order: (n,) int64, the sequences (flattened (B, A)), longest first.
        last: (n,) int64, packed row of each sequence's last step, in that order.
        batch_sizes: (T,) running sequences at each time; ends with zeros where nothing runs.
    """

    shape: tuple[int, int, int]
    rows: Tensor
    order: Tensor
    last: Tensor
    batch_sizes: list[int]

    @classmethod
    def of(cls, valid: Tensor, first_step: Tensor | None = None) -> Packing:
        """Plan for a validity mask.

        Args:
            valid: (B, T, A) bool. A sequence runs to its last True (for agents: until death or the end).
            first_step: (B,) int64, the step at which each row's sequences begin; None for 0.
        """
        batch, steps, agents = valid.shape
        time = torch.arange(1, steps + 1, device=valid.device)
        length = (valid * time[None, :, None]).amax(1)  # (B, A)
        start = torch.zeros_like(length) if first_step is None else first_step.unsqueeze(1).expand_as(length)
        length = (length - start).clamp(min=0).reshape(-1)
        sorted_length, order = length.sort(descending=True, stable=True)
        running = time[:, None] <= sorted_length[None]  # (T, B*A), a prefix of each row
        sizes = running.sum(1)
        count = int(sizes[0])
        order = order[:count]
        # place of each sequence's first step in (B, T, A)
        first = (order // agents) * (steps * agents) + start.reshape(-1)[order] * agents + order % agents
        rows = (first[None] + (time[:, None] - 1) * agents)[running[:, :count]]
        block = torch.cumsum(sizes, 0) - sizes
        last = block[sorted_length[:count] - 1] + torch.arange(count, device=valid.device)
        return cls((batch, steps, agents), rows, order, last, sizes.tolist())

    def pack(self, x: Tensor) -> Tensor:
        """(B, T, A, ...) -> (R, ...): the rows that are computed."""
        return x.reshape(-1, *x.shape[3:]).index_select(0, self.rows)

    def unpack(self, rows: Tensor) -> Tensor:
        """(R, F) -> (B, T, A, F), zero where nothing was computed."""
        padded = rows.new_zeros(self.shape[0] * self.shape[1] * self.shape[2], rows.shape[1])
        return padded.index_copy(0, self.rows, rows).view(*self.shape, -1)
