"""Recurrent layers over packed sequences with one small interface: a state tensor in, a state tensor out.

An LSTM's state is its hidden and cell state concatenated, that of stacked layers is all of theirs, and that of an agent
without memory has size 0. Layers with weights per group of agents read and return (A, R, ...), agents first.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from dimix.model.grouped import grouped_parameter, register_groups
from dimix.model.kernels.fusible import fusible
from dimix.model.kernels.gru import fused_gru, gru_step
from dimix.model.packing import Packing


class RecurrentLayer(nn.Module, ABC):
    """Interface of an agent network's memory.

    Attributes:
        state_size: floats of hidden state per agent (H).
    """

    state_size: int

    @abstractmethod
    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One step: x (R, I), state (R, H) -> output (R, O), new state (R, H)."""

    @abstractmethod
    def unroll(self, x: Tensor, packing: Packing, state: Tensor) -> tuple[Tensor, Tensor]:
        """Whole sequences.

        Args:
            x: (R, I) packed rows.
            packing: their layout.
            state: (B*A, H) state before step 0.

        Returns:
            Output (R, O) of each row, and the state (B*A, H) after each sequence's last step (unchanged for empty
            sequences).
        """


class Memoryless(RecurrentLayer):
    """No memory: the output is the input."""

    state_size = 0

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return x, state

    def unroll(self, x: Tensor, packing: Packing, state: Tensor) -> tuple[Tensor, Tensor]:
        return x, state


class GRU(RecurrentLayer):
    """Gated recurrent unit (Cho et al. 2014), as in `torch.nn.GRU`.

    Args:
        input_size: floats per row (I).
        hidden_size: floats of state and output (H).
        fused: use `fused_gru` where possible (see `fusible`), torch's own GRU elsewhere.
    """

    def __init__(self, input_size: int, hidden_size: int, fused: bool = True) -> None:
        super().__init__()
        self.state_size = hidden_size
        self.cell = nn.GRU(input_size, hidden_size)
        self.fused = fused

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        if self.fused and fusible(x) and not torch.is_grad_enabled():
            new = gru_step(x, state, *_weights(self.cell))
            return new, new
        new = torch.gru_cell(x, state, *_weights(self.cell))
        return new, new

    def unroll(self, x: Tensor, packing: Packing, state: Tensor) -> tuple[Tensor, Tensor]:
        if not len(x):
            return x.new_zeros(0, self.cell.hidden_size), state
        start = packing.start(state)
        if self.fused and fusible(x):
            out = fused_gru(x, packing, start, *_weights(self.cell))
            return out, packing.end(state, out)
        packed, _ = self.cell(_packed(x, packing), start.unsqueeze(0))
        return packed.data, packing.end(state, packed.data)


class LSTM(RecurrentLayer):
    """Long short-term memory, as in `torch.nn.LSTM`; the state is hidden and cell state concatenated.

    Args:
        input_size: floats per row (I).
        hidden_size: floats of output; the state is twice as large.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.state_size = 2 * hidden_size
        self.cell = nn.LSTM(input_size, hidden_size)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        out, memory = torch.lstm_cell(x, state.chunk(2, dim=1), *_weights(self.cell))
        return out, torch.cat([out, memory], dim=1)

    def unroll(self, x: Tensor, packing: Packing, state: Tensor) -> tuple[Tensor, Tensor]:
        if not len(x):
            return x.new_zeros(0, self.cell.hidden_size), state
        hidden, memory = packing.start(state).unsqueeze(0).chunk(2, dim=2)
        out, last = self.cell(_packed(x, packing), (hidden.contiguous(), memory.contiguous()))
        return out.data, state.index_copy(0, packing.order, torch.cat(last, dim=2).squeeze(0))


class GroupedRNN(RecurrentLayer):
    """A recurrent layer with weights per group of agents, gates in torch's order; a subclass defines the cell.

    Args:
        groups: group of each agent (A), numbers from 0 to G - 1.
        input_size: floats per row (I).
        hidden_size: floats of output (O).
        fused: as in `GRU`; the LSTM has no fused form.
    """

    groups: Tensor
    num_gates: int
    num_states: int

    def __init__(self, groups: Sequence[int], input_size: int, hidden_size: int, fused: bool = True) -> None:
        super().__init__()
        register_groups(self, groups)
        count, rows, bound = max(groups) + 1, self.num_gates * hidden_size, 1 / math.sqrt(hidden_size)
        self.hidden_size = hidden_size
        self.state_size = self.num_states * hidden_size
        self.fused = fused
        self.weight_ih = grouped_parameter(count, rows, input_size, bound=bound)
        self.weight_hh = grouped_parameter(count, rows, hidden_size, bound=bound)
        self.bias_ih = grouped_parameter(count, rows, bound=bound)
        self.bias_hh = grouped_parameter(count, rows, bound=bound)

    @abstractmethod
    def cell(self, from_input: Tensor, from_hidden: Tensor, state: Tensor) -> Tensor:
        """New state (A, R, H) from both products with bias (A, R, gates * O) and the previous state."""

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """See `RecurrentLayer.step`: x (A, R, I), state (A, R, H) -> (A, R, O), (A, R, H)."""
        w_ih, w_hh, b_ih, b_hh = self._of_agents()
        state = self.cell(_affine(x, w_ih, b_ih), _affine(self._output(state), w_hh, b_hh), state)
        return self._output(state), state

    def unroll(self, x: Tensor, packing: Packing, state: Tensor) -> tuple[Tensor, Tensor]:
        """See `RecurrentLayer.unroll`: x (A, R, I), state (B*A, H) -> (A, R, O), (B*A, H)."""
        if not x.numel():
            return x.new_zeros(*x.shape[:2], self.hidden_size), state
        w_ih, w_hh, b_ih, b_hh = self._of_agents()
        now, states = packing.start(state), []
        from_input = _affine(x, w_ih, b_ih)  # all steps in one product
        for part in from_input.split([n for n in packing.batch_sizes if n > 0], 1):
            before = now[:, : part.shape[1]]
            now = self.cell(part, _affine(self._output(before), w_hh, b_hh), before)
            states.append(now)
        every = torch.cat(states, 1)
        return self._output(every), packing.end(state, every)

    def _output(self, state: Tensor) -> Tensor:
        return state[..., : self.hidden_size]

    def _of_agents(self) -> list[Tensor]:
        """Each agent's weights, agents in front."""
        return [p[self.groups] for p in (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)]


class GroupedGRU(GroupedRNN):
    """`GRU` with weights per group; see `GroupedRNN` for the arguments."""

    num_gates, num_states = 3, 1

    def cell(self, from_input: Tensor, from_hidden: Tensor, state: Tensor) -> Tensor:
        (r, z, n), (hr, hz, hn) = from_input.chunk(3, -1), from_hidden.chunk(3, -1)
        new = torch.tanh(n + torch.sigmoid(r + hr) * hn)
        return torch.lerp(new, state, torch.sigmoid(z + hz))

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        if self.fused and fusible(x) and not torch.is_grad_enabled():
            new = gru_step(x.contiguous(), state.contiguous(), *self._of_agents())
            return new, new
        return super().step(x, state)

    def unroll(self, x: Tensor, packing: Packing, state: Tensor) -> tuple[Tensor, Tensor]:
        if not (self.fused and fusible(x) and x.numel()):
            return super().unroll(x, packing, state)
        out = fused_gru(x, packing, packing.start(state), *self._of_agents())
        return out, packing.end(state, out)


class GroupedLSTM(GroupedRNN):
    """`LSTM` with weights per group; see `GroupedRNN` for the arguments."""

    num_gates, num_states = 4, 2

    def cell(self, from_input: Tensor, from_hidden: Tensor, state: Tensor) -> Tensor:
        i, f, g, o = (from_input + from_hidden).chunk(4, -1)
        memory = torch.sigmoid(f) * state[..., self.hidden_size :] + torch.sigmoid(i) * torch.tanh(g)
        return torch.cat([torch.sigmoid(o) * torch.tanh(memory), memory], -1)


class Stack(RecurrentLayer):
    """Stacked recurrent layers; the state is theirs concatenated.

    Args:
        layers: from input to output.
    """

    def __init__(self, layers: Sequence[RecurrentLayer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self._sizes = [layer.state_size for layer in layers]
        self.state_size = sum(self._sizes)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        states = []
        for layer, own in zip(self._layers(), state.split(self._sizes, -1), strict=True):
            x, own = layer.step(x, own.contiguous())
            states.append(own)
        return x, torch.cat(states, -1)

    def unroll(self, x: Tensor, packing: Packing, state: Tensor) -> tuple[Tensor, Tensor]:
        states = []
        for layer, own in zip(self._layers(), state.split(self._sizes, -1), strict=True):
            x, own = layer.unroll(x, packing, own)
            states.append(own)
        return x, torch.cat(states, -1)

    def _layers(self) -> list[RecurrentLayer]:
        return cast("list[RecurrentLayer]", list(self.layers))


def _affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(A, R, I) by (A, O, I), plus (A, O) -> (A, R, O)."""
    return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))


def _weights(cell: nn.RNNBase) -> list[Tensor]:
    return [getattr(cell, name) for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")]


def _packed(x: Tensor, packing: Packing) -> PackedSequence:
    sizes = [n for n in packing.batch_sizes if n > 0]
    return PackedSequence(x, torch.tensor(sizes))


#: Values of ``lstm_type``; ``normal`` and ``pytorch`` are DI-engine's names for its LSTMs.
RECURRENT_LAYERS: dict[str, str] = {
    "gru": "gru",
    "lstm": "lstm",
    "normal": "lstm",
    "pytorch": "lstm",
    "mlp": "mlp",
}


def make_recurrent_layer(
    lstm_type: str, size: int, fused: bool = True, layers: int = 1, groups: Sequence[int] | None = None
) -> RecurrentLayer:
    """Build a recurrent layer by name.

    Args:
        lstm_type: a key of `RECURRENT_LAYERS`.
        size: floats of input and output.
        fused: as in `GRU`.
        layers: number of stacked layers.
        groups: group of each agent (A), for weights per group; None for one set of weights.

    Raises:
        ValueError: an unknown type, fewer than one layer, or several layers of "mlp".
    """
    if lstm_type not in RECURRENT_LAYERS:
        raise ValueError(f"lstm_type is '{lstm_type}'. Use one of {', '.join(RECURRENT_LAYERS)}.")
    kind = RECURRENT_LAYERS[lstm_type]
    if layers < 1 or (layers > 1 and kind == "mlp"):
        raise ValueError(f"rnn_layers is {layers} with lstm_type '{lstm_type}'. Use 1, or more of a GRU or LSTM.")
    made = [_make_layer(kind, size, fused, groups) for _ in range(layers)]
    return made[0] if layers == 1 else Stack(made)


def _make_layer(kind: str, size: int, fused: bool, groups: Sequence[int] | None) -> RecurrentLayer:
    if kind == "mlp":
        return Memoryless()
    if groups is not None:
        return GroupedGRU(groups, size, size, fused) if kind == "gru" else GroupedLSTM(groups, size, size)
    return GRU(size, size, fused) if kind == "gru" else LSTM(size, size)
