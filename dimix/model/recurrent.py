"""Recurrent layers over packed sequences, behind one small interface: state in, state out, as tensors.

A layer knows its ``state_size`` (floats of hidden state per agent), computes one step for a block of agents, and
unrolls whole packed sequences. The state of an LSTM is its hidden and cell state side by side, that of a memoryless
agent has size 0.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from dimix.model.fused_gru import fused_gru, gru_step
from dimix.model.packing import Packing


class RecurrentLayer(nn.Module):
    """What an agent network asks of its memory.

    Attributes:
        state_size: floats of hidden state per agent (H).
    """

    state_size: int

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One step: x (R, I), state (R, H) -> output (R, O), new state (R, H)."""
        raise NotImplementedError

    def unroll(self, x: Tensor, packing: Packing, state: Tensor) -> tuple[Tensor, Tensor]:
        """Whole sequences.

        Args:
            x: (R, I) packed rows.
            packing: how they lie.
            state: (B*A, H) state before step 0.

        Returns:
            Output (R, O) of each row, and the state (B*A, H) after each sequence's last step (as it was where a
            sequence has no steps).
        """
        raise NotImplementedError


class Memoryless(RecurrentLayer):
    """No memory: the output is the input."""

    state_size = 0

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """See `RecurrentLayer.step`."""
        return x, state

    def unroll(self, x: Tensor, packing: Packing, state: Tensor) -> tuple[Tensor, Tensor]:
        """See `RecurrentLayer.unroll`."""
        return x, state


class GRU(RecurrentLayer):
    """Gated recurrent unit (Cho et al. 2014, in the form of `torch.nn.GRU`).

    Args:
        input_size: floats per row (I).
        hidden_size: floats of state and output (H).
        fused: compute float32 on the CPU with `fused_gru`; other devices and types always use torch's own GRU.
    """

    def __init__(self, input_size: int, hidden_size: int, fused: bool = True) -> None:
        super().__init__()
        self.state_size = hidden_size
        self.cell = nn.GRU(input_size, hidden_size)
        self.fused = fused

    def _fuses(self, x: Tensor) -> bool:
        return self.fused and x.device.type == "cpu" and x.dtype == torch.float32

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """See `RecurrentLayer.step`."""
        if self._fuses(x) and not torch.is_grad_enabled():
            new = gru_step(x, state, *_weights(self.cell))
            return new, new
        new = torch.gru_cell(x, state, *_weights(self.cell))
        return new, new

    def unroll(self, x: Tensor, packing: Packing, state: Tensor) -> tuple[Tensor, Tensor]:
        """See `RecurrentLayer.unroll`."""
        if not len(x):
            return x.new_zeros(0, self.cell.hidden_size), state
        start = state.index_select(0, packing.order)
        if self._fuses(x):
            out = fused_gru(x, packing, start, *_weights(self.cell))
            return out, state.index_copy(0, packing.order, out.index_select(0, packing.last))
        packed, last = self.cell(_packed(x, packing), start.unsqueeze(0))
        return packed.data, state.index_copy(0, packing.order, last.squeeze(0))


class LSTM(RecurrentLayer):
    """Long short-term memory as in `torch.nn.LSTM`; the state holds hidden and cell state side by side.

    Args:
        input_size: floats per row (I).
        hidden_size: floats of output; the state is twice as large.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.state_size = 2 * hidden_size
        self.cell = nn.LSTM(input_size, hidden_size)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """See `RecurrentLayer.step`."""
        out, memory = torch.lstm_cell(x, state.chunk(2, dim=1), *_weights(self.cell))
        return out, torch.cat([out, memory], dim=1)

    def unroll(self, x: Tensor, packing: Packing, state: Tensor) -> tuple[Tensor, Tensor]:
        """See `RecurrentLayer.unroll`."""
        if not len(x):
            return x.new_zeros(0, self.cell.hidden_size), state
        hidden, memory = state.index_select(0, packing.order).unsqueeze(0).chunk(2, dim=2)
        out, last = self.cell(_packed(x, packing), (hidden.contiguous(), memory.contiguous()))
        return out.data, state.index_copy(0, packing.order, torch.cat(last, dim=2).squeeze(0))


def _weights(cell: nn.RNNBase) -> list[Tensor]:
    return [getattr(cell, name) for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")]


def _packed(x: Tensor, packing: Packing) -> PackedSequence:
    sizes = [n for n in packing.batch_sizes if n > 0]
    return PackedSequence(x, torch.tensor(sizes))


#: What ``lstm_type`` may be; ``normal`` and ``pytorch`` are DI-engine's names for its LSTMs.
RECURRENT_LAYERS: dict[str, str] = {
    "gru": "gru",
    "lstm": "lstm",
    "normal": "lstm",
    "pytorch": "lstm",
    "mlp": "mlp",
}


def make_recurrent_layer(lstm_type: str, size: int, fused: bool = True) -> RecurrentLayer:
    """The layer that a config names.

    Args:
        lstm_type: a key of `RECURRENT_LAYERS`.
        size: floats of input and output.
        fused: let a GRU use the compiled recurrence on the CPU.

    Returns:
        The layer.

    Raises:
        ValueError: an unknown type.
    """
    if lstm_type not in RECURRENT_LAYERS:
        raise ValueError(f"lstm_type is '{lstm_type}'. Use one of {', '.join(RECURRENT_LAYERS)}.")
    kind = RECURRENT_LAYERS[lstm_type]
    if kind == "mlp":
        return Memoryless()
    return LSTM(size, size) if kind == "lstm" else GRU(size, size, fused)
