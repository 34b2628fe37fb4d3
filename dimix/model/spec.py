"""The parts of an agent's network, in one object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class AgentSpec:
    """What an `AgentNetwork` is built from. Options are described in `QMix.config`.

    Attributes:
        groups: group of each agent (A), from 0 to G - 1, each group with its own weights; None if all agents share
            theirs.
        entities: the kinds of entities to read as sets, see `EntityKind`; None reads the row as it is.
    """

    obs_shape: int
    action_shape: int
    hidden_size_list: Sequence[int] = (64,)
    lstm_type: str = "gru"
    dueling: bool = False
    fused: bool = True
    layer_norm: bool = False
    encoder_norm: bool = False
    orthogonal_init: bool = False
    rnn_layers: int = 1
    groups: Sequence[int] | None = None
    entities: Sequence[Mapping[str, Any]] | None = None
    entity_embed_dim: int = 64
    entity_net: str = "sum"
    entity_heads: int = 1
    any_size: bool = False
