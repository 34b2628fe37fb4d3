"""Network outputs for a batch: all at once, or chunk by chunk between steps of the optimizer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from dimix.model import QMix, Values
from dimix.replay.batch import EpisodeBatch, cut_steps

#: Networks and their outputs by name, as in `QMIXPolicy._networks`.
Networks = Mapping[str, QMix]
Outputs = dict[str, Values]


def unroll(networks: Networks, batch: EpisodeBatch, valid: Tensor, start: Mapping[str, Tensor]) -> Outputs:
    """Outputs of each network for all rows.

    The first ``burnin`` rows of a sample only warm up each network's hidden state, without gradient; their outputs stay
    0.

    Args:
        networks: all with the same layout (`QMix.packing`).
        batch: see `EpisodeBatch`.
        valid: (B, T+1, A) bool, rows to compute.
        start: (B, A, H), each network's hidden state at the start of the samples.
    """
    layout, first_step = next(iter(networks.values())), None
    if batch.burnin.any():
        first_step = batch.burnin
        packing = layout.packing(valid & ~since(batch.burnin, valid.shape[1]).unsqueeze(2))
        rows = packing.pack(batch.obs.agent_state)
        with torch.no_grad():
            start = {name: network.unroll_packed(rows, packing, start[name])[1] for name, network in networks.items()}
    packing = layout.packing(valid, first_step)
    rows = packing.pack(batch.obs.agent_state)
    return {name: network.unroll_packed(rows, packing, start[name])[0] for name, network in networks.items()}


def unroll_chunks(
    networks: Networks, batch: EpisodeBatch, valid: Tensor, start: Mapping[str, Tensor], before: Outputs, length: int
) -> Iterator[tuple[slice, EpisodeBatch, Outputs]]:
    """Truncated backpropagation: the batch in chunks of time, each unrolled with the weights at that moment.

    Hidden states are carried over from chunk to chunk without gradient.

    Args:
        networks: as for `unroll`.
        batch: whole episodes.
        valid: as for `unroll`.
        start: as for `unroll`.
        before: outputs before the update, used for networks that do not learn.
        length: steps of a chunk.

    Yields:
        The chunk's steps, the batch cut to them, and the networks' outputs for it.
    """
    learning = {name: net for name, net in networks.items() if any(p.requires_grad for p in net.parameters())}
    hidden = {name: start[name] for name in learning}
    for first in range(0, batch.filled.shape[1], length):
        steps, with_last = slice(first, first + length), slice(first, first + length + 1)
        piece = cut_steps(batch, steps.start, steps.stop)
        rows = valid[:, with_last].clone()
        rows[:, -1] = False  # the row after the chunk is the next one's first
        packing = networks["online"].packing(rows)
        packed = packing.pack(piece.obs.agent_state)
        values = {name: Values(*(x[:, with_last] for x in before[name])) for name in networks}
        for name, network in learning.items():
            values[name], after = network.unroll_packed(packed, packing, hidden[name])
            hidden[name] = after.detach()
        yield steps, piece, values


def since(first_step: Tensor, steps: int) -> Tensor:
    """(B, T) bool: steps from each sample's `first_step` (B,) int64 on."""
    return torch.arange(steps, device=first_step.device) >= first_step.unsqueeze(1)
