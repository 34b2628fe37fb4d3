"""The agents' Q-network: encoder, memory, head."""

from __future__ import annotations

from itertools import pairwise, zip_longest

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dimix.model.entities import EntityEncoder, TargetHead
from dimix.model.grouped import GroupedLayerNorm, GroupedLinear
from dimix.model.packing import Packing
from dimix.model.recurrent import make_recurrent_layer
from dimix.model.spec import AgentSpec


class AgentNetwork(nn.Module):
    """Maps an agent's input to its Q-values: linear layers with ReLU, recurrent layers, a linear head.

    With ``hidden_size_list=[64]`` and a GRU this is PyMARL's agent: Linear - ReLU - GRU - Linear. The head may be
    dueling (Wang et al. 2016); its input and the outputs of the first linear layers may be normalised (Ba et al. 2016).
    With ``orthogonal_init`` (Saxe et al. 2014) the encoder and the head start without bias and the head's weights are
    scaled by 0.01, so that no action is preferred at first; the memory keeps torch's initialisation.

    Rows are (R, ...). With groups they are (A, R, ...), agents first, here and in all methods.

    Args:
        spec: see `AgentSpec`.

    Raises:
        ValueError: an unknown lstm_type, several recurrent layers without a memory, or entities together with groups.
    """

    def __init__(self, spec: AgentSpec) -> None:
        super().__init__()
        groups, sizes = spec.groups, spec.hidden_size_list

        def linear(inputs: int, outputs: int) -> nn.Linear | GroupedLinear:
            return nn.Linear(inputs, outputs) if groups is None else GroupedLinear(groups, inputs, outputs)

        def norm(size: int) -> nn.LayerNorm | GroupedLayerNorm:
            return nn.LayerNorm(size) if groups is None else GroupedLayerNorm(groups, size)

        self.encoder = nn.ModuleList([linear(i, o) for i, o in pairwise([spec.obs_shape, *sizes])])
        if spec.entities is not None:
            if groups is not None:
                raise ValueError("entities are read by weights that all agents share: use parameter_sharing='all'.")
            self.encoder[0] = EntityEncoder(spec)
        self.encoder_norms = nn.ModuleList([norm(size) for size in sizes if spec.encoder_norm])
        self.memory = make_recurrent_layer(spec.lstm_type, sizes[-1], spec.fused, spec.rnn_layers, groups)
        self.head = linear(sizes[-1], spec.action_shape)
        if spec.any_size and self.entities is not None:
            self.head = TargetHead(sizes[-1], spec.action_shape, self.entities.targets)
        self.value_head = linear(sizes[-1], 1) if spec.dueling else None
        self.norm = norm(sizes[-1]) if spec.layer_norm else None
        if spec.orthogonal_init:
            self._start_orthogonal()

    @property
    def state_size(self) -> int:
        """Floats of hidden state per agent (H)."""
        return self.memory.state_size

    @property
    def entities(self) -> EntityEncoder | None:
        """The layer that reads entities as sets; None if there is none."""
        first = self.encoder[0]
        return first if isinstance(first, EntityEncoder) else None

    @torch.no_grad()
    def _start_orthogonal(self) -> None:
        heads = [layer for layer in (self.head, self.value_head) if layer is not None]
        heads += [] if self.entities is None else self.entities.queries
        layers = [m for m in self.encoder.modules() if isinstance(m, nn.Linear | GroupedLinear)]
        for layer in dict.fromkeys([*layers, *heads]):
            for weight in layer.weight.view(-1, *layer.weight.shape[-2:]):  # one matrix per group
                nn.init.orthogonal_(weight, gain=0.01 if layer in heads else 1.0)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def spelled_out(self) -> dict[str, Tensor]:
        """All weights by name, as agents of the same function have them that are not of any size."""
        weights = self.state_dict()
        if self.entities is not None and isinstance(self.head, TargetHead):
            weights["head.weight"], weights["head.bias"] = self.head.by_action()
            weights["encoder.0.other.weight"] = self.entities.by_column()
        return weights

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One step for a block of agents: x (R, O), state (R, H) -> Q-values (R, N), new state (R, H)."""
        out, state = self.memory.step(self._encode(x), state)
        return self.q_of(out, x), state

    def unroll_features(self, x: Tensor, packing: Packing, state: Tensor) -> tuple[Tensor, Tensor]:
        """Whole sequences, up to the head; arguments as for `RecurrentLayer.unroll`, x (R, O).

        Returns:
            The head's input for each row, (R, hidden_size_list[-1]), and the state (B*A, H) after each sequence.
        """
        return self.memory.unroll(self._encode(x), packing, state)

    def q_of(self, features: Tensor, x: Tensor) -> Tensor:
        """The head alone: its input (R, hidden_size_list[-1]) and the packed rows (R, O) -> Q-values (R, N)."""
        if self.norm is not None:
            features = self.norm(features)
        if self.entities is None:
            advantage = self.head(features)
        else:
            assert isinstance(self.head, nn.Linear)
            advantage = self.entities.action_values(features, x, self.head)
        if self.value_head is None:
            return advantage
        return self.value_head(features) + advantage - advantage.mean(-1, keepdim=True)

    def _encode(self, x: Tensor) -> Tensor:
        for layer, norm in zip_longest(self.encoder, self.encoder_norms):
            x = F.relu_(layer(x) if norm is None else norm(layer(x)))
        return x
