"""The Q-network of the agents, whose weights all share, or those of one group: encoder, memory, head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dimix.model.entities import EntityEncoder
from dimix.model.grouped import GroupedLayerNorm, GroupedLinear
from dimix.model.packing import Packing
from dimix.model.recurrent import make_recurrent_layer


class AgentNetwork(nn.Module):
    """From an agent's input to its Q-values: linear layers with ReLU, recurrent layers, a linear head.

    With ``hidden_size_list=[64]`` and a GRU this is PyMARL's agent: Linear - ReLU - GRU - Linear.

    Rows are (R, ...). With `groups` they have the agents in front, (A, R, ...), here and in all methods.

    Args:
        obs_shape: floats of input (O).
        action_shape: number of actions (N).
        hidden_size_list: units of the encoder's layers; the last one is also the size of the recurrent layers.
        lstm_type: ``"gru"``, ``"lstm"`` (or DI-engine's ``"normal"``, ``"pytorch"``) or ``"mlp"`` for no memory.
        dueling: split the head into a state value and advantages (Wang et al. 2016).
        fused: let a GRU use the compiled recurrence on the CPU.
        layer_norm: normalise what the head reads (Ba et al. 2016).
        orthogonal_init: encoder and head start orthogonal (Saxe et al. 2014) and without bias, the head times 0.01, so
            that no action is preferred at first. The memory starts as torch starts it.
        rnn_layers: recurrent layers, one above the other.
        groups: group of each agent (A), numbers from 0 to G - 1: every weight then has G in front. None for one set of
            weights for all.
        entities: read them as sets (`EntityEncoder` in the place of the first layer, and its part of the head): a
            mapping per kind of entities. None reads a row as it stands.
        entity_embed_dim: floats of an entity's code.

    Raises:
        ValueError: an unknown lstm_type, or several recurrent layers where there is no memory, or entities with groups.
    """

    def __init__(
        self,
        obs_shape: int,
        action_shape: int,
        hidden_size_list: Sequence[int],
        lstm_type: str = "gru",
        dueling: bool = False,
        fused: bool = True,
        layer_norm: bool = False,
        orthogonal_init: bool = False,
        rnn_layers: int = 1,
        groups: Sequence[int] | None = None,
        entities: Sequence[Mapping[str, Any]] | None = None,
        entity_embed_dim: int = 64,
    ) -> None:
        super().__init__()

        def linear(inputs: int, outputs: int) -> nn.Linear | GroupedLinear:
            return nn.Linear(inputs, outputs) if groups is None else GroupedLinear(groups, inputs, outputs)

        size = hidden_size_list[-1]
        self.encoder = nn.ModuleList([linear(i, o) for i, o in pairwise([obs_shape, *hidden_size_list])])
        if entities is not None:
            if groups is not None:
                raise ValueError("entities are read by weights that all agents share: use parameter_sharing='all'.")
            self.encoder[0] = EntityEncoder(
                entities, obs_shape, hidden_size_list[0], size, action_shape, entity_embed_dim, fused
            )
        self.memory = make_recurrent_layer(lstm_type, size, fused, rnn_layers, groups)
        self.head = linear(size, action_shape)
        self.value_head = linear(size, 1) if dueling else None
        self.norm: nn.Module | None = None
        if layer_norm:
            self.norm = nn.LayerNorm(size) if groups is None else GroupedLayerNorm(groups, size)
        if orthogonal_init:
            self._start_orthogonal()

    @property
    def state_size(self) -> int:
        """Floats of hidden state per agent (H)."""
        return self.memory.state_size

    @property
    def entities(self) -> EntityEncoder | None:
        """What reads entities as sets; None where rows are read as they stand."""
        first = self.encoder[0]
        return first if isinstance(first, EntityEncoder) else None

    @torch.no_grad()
    def _start_orthogonal(self) -> None:
        heads = [layer for layer in (self.head, self.value_head) if layer is not None]
        heads += [] if self.entities is None else self.entities.queries
        layers = [m for m in self.encoder.modules() if isinstance(m, nn.Linear | GroupedLinear)]
        for layer in dict.fromkeys([*layers, *heads]):
            for weight in layer.weight.view(-1, *layer.weight.shape[-2:]):  # each group's own
                nn.init.orthogonal_(weight, gain=0.01 if layer in heads else 1.0)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One step of a block of agents.

        Args:
            x: (R, O) float.
            state: (R, H) float.

        Returns:
            Q-values (R, N) and the new state (R, H).
        """
        out, state = self.memory.step(self._encode(x), state)
        return self.q_of(out, x), state

    def unroll_features(self, x: Tensor, packing: Packing, state: Tensor) -> tuple[Tensor, Tensor]:
        """Whole sequences, up to the head.

        Args:
            x: (R, O) float, packed rows.
            packing: how they lie.
            state: (B*A, H) float, state before step 0.

        Returns:
            What the head reads of each row, (R, hidden_size_list[-1]), and the state (B*A, H) after each sequence.
        """
        return self.memory.unroll(self._encode(x), packing, state)

    def q_of(self, features: Tensor, x: Tensor) -> Tensor:
        """The head alone: what it reads (R, hidden_size_list[-1]) and the rows behind it (R, O) -> Q-values (R, N)."""
        if self.norm is not None:
            features = self.norm(features)
        advantage = self.head(features)
        if self.entities is not None:
            advantage = advantage + self.entities.action_values(features, x)
        if self.value_head is None:
            return advantage
        return self.value_head(features) + advantage - advantage.mean(-1, keepdim=True)

    def _encode(self, x: Tensor) -> Tensor:
        for layer in self.encoder:
            x = F.relu_(layer(x))
        return x
