"""What networks say of a batch's rows: of all at once, or chunk by chunk between steps of the optimizer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from dimix.model import QMix, Values
from dimix.replay.batch import EpisodeBatch, cut_steps

#: By name of the network, as `QMIXPolicy._networks` has it.
Networks = Mapping[str, QMix]
Said = dict[str, Values]


def unroll(networks: Networks, batch: EpisodeBatch, valid: Tensor, start: Mapping[str, Tensor]) -> Said:
    """What each network says of all rows.

    The first ``burnin`` rows of a sample only warm the hidden state, each network its own, without gradient; they are
    not computed for the result.

    Args:
        networks: of equal layout (`QMix.packing`).
        batch: see `EpisodeBatch`.
        valid: (B, T+1, A) bool, rows that something reads.
        start: (B, A, H) hidden state that each network starts the samples from.
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
    networks: Networks, batch: EpisodeBatch, valid: Tensor, start: Mapping[str, Tensor], before: Said, length: int
) -> Iterator[tuple[slice, EpisodeBatch, Said]]:
    """Truncated backpropagation: the batch in chunks of time, each unrolled when it is asked for.

    Hidden states are carried from chunk to chunk without gradient, as the weights of their time made them.

    Args:
        networks: as for `unroll`, and so are `batch`, `valid` and `start`.
        batch: whole episodes.
        valid: (B, T+1, A) bool.
        start: (B, A, H) each.
        before: what networks say that do not learn.
        length: steps of a chunk.

    Yields:
        The steps of the batch, the batch cut to them, and what the networks say of its rows now.
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
        said = {name: Values(*(x[:, with_last] for x in before[name])) for name in networks}
        for name, network in learning.items():
            said[name], after = network.unroll_packed(packed, packing, hidden[name])
            hidden[name] = after.detach()
        yield steps, piece, said


def since(first_step: Tensor, steps: int) -> Tensor:
    """(B, T) bool: steps from each sample's first one on, (B,) int64."""
    return torch.arange(steps, device=first_step.device) >= first_step.unsqueeze(1)
