"""Layers of an agent that sees the others as a set: what it knows about one does not depend on its place in the row.

One set of weights reads every entity of a kind, so enemies that look alike are treated alike, and the values of the
actions that name an entity move with it. This is permutation invariance and equivariance as in Hao et al. 2023,
"Boosting multiagent reinforcement learning via permutation invariant and permutation equivariant networks" (HPN), with
the sum of Zaheer et al. 2017, "Deep sets", in the place of HPN's hypernetworks: its cost is that of a linear layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dimix.model.kernels.entities import entity_scores, entity_sum
from dimix.model.kernels.fusible import fusible


class EntityKind(nn.Module):
    """The entities of one kind, for example the enemies, and the weights that read each of them.

    An entity's code is ``relu(W features + b)``; its features are its columns of the row and, where the agent's actions
    name the entities, whether its last action named this one. An entity whose columns are all zero is not there: its
    code is zero.

    Args:
        entities: ``column`` of the first one's features, ``count`` (K), ``size`` (features of one), ``action`` that
            names the first one or None, ``named_by``, the columns that say whose actions do (none: everybody's), and
            ``last_action``, the column of that action in the one-hot last action or None: see
            `dimix.envs.vec_env.Entities`.
        hidden_size: what the head reads (H).
        outputs: units of the layer that the sum of codes goes to.
        embed_dim: floats of a code (C).
        fused: compute with compiled loops where that is possible.
    """

    def __init__(
        self, entities: Mapping[str, Any], hidden_size: int, outputs: int, embed_dim: int, fused: bool = True
    ) -> None:
        super().__init__()
        self.column, self.count, self.size = entities["column"], entities["count"], entities["size"]
        self.action, self.last_action = entities["action"], entities["last_action"]
        self.named_by = tuple(entities.get("named_by", ()))
        self.fused = fused
        self.code = nn.Linear(self.size + (self.last_action is not None), embed_dim)
        self.total = nn.Linear(embed_dim, outputs, bias=False)
        self.query = None if self.action is None else nn.Linear(hidden_size, embed_dim)

    @property
    def columns(self) -> slice:
        """Where their features are in a row."""
        return slice(self.column, self.column + self.count * self.size)

    def codes(self, x: Tensor) -> Tensor:
        """The code of every entity: (R, O) -> (R, K, C)."""
        features = x[:, self.columns].unflatten(1, (self.count, self.size))
        there = (features != 0).any(2, keepdim=True)
        if self.last_action is not None:
            named = x[:, self.last_action : self.last_action + self.count] * self._names(x)
            features = torch.cat([features, named.unsqueeze(2)], 2)
        return F.relu(self.code(features)) * there

    def forward(self, x: Tensor) -> Tensor:
        """What the encoder learns of them: (R, O) -> (R, outputs)."""
        if self._fuses(x):
            return self.total(entity_sum(x, self, self.code.weight, self.code.bias))
        return self.total(self.codes(x).sum(1))

    def scores(self, features: Tensor, x: Tensor) -> Tensor:
        """Values of naming each of them: what the head reads (R, H) and the rows (R, O) -> (R, K)."""
        assert self.query is not None
        query = self.query(features) * self.code.out_features**-0.5
        if self._fuses(x):
            return entity_scores(x, self, self.code.weight, self.code.bias, query)
        return torch.bmm(self.codes(x), query.unsqueeze(2)).squeeze(2) * self._names(x)

    def _names(self, x: Tensor) -> Tensor:
        """1 in the rows of agents whose actions name these entities, 0 in others: (R, O) -> (R, 1)."""
        if not self.named_by:
            return x.new_ones(x.shape[0], 1)
        return (x[:, list(self.named_by)] != 0).any(1, keepdim=True).to(x.dtype)

    def _fuses(self, x: Tensor) -> bool:
        return self.fused and fusible(x) and not x.requires_grad


class EntityEncoder(nn.Module):
    """In the place of an agent's first linear layer: the sum over the entities of each kind, and all other columns.

    Args:
        entities: a mapping per kind, see `EntityKind`.
        obs_shape: floats of a row (O).
        outputs: units (F).
        hidden_size: what the head reads (H).
        action_shape: number of actions (N).
        embed_dim: floats of an entity's code.
        fused: as for `EntityKind`.
    """

    other_columns: Tensor

    def __init__(
        self,
        entities: Sequence[Mapping[str, Any]],
        obs_shape: int,
        outputs: int,
        hidden_size: int,
        action_shape: int,
        embed_dim: int,
        fused: bool = True,
    ) -> None:
        super().__init__()
        self.action_shape = action_shape
        kinds = [EntityKind(e, hidden_size, outputs, embed_dim, fused) for e in entities]
        self.kinds = nn.ModuleList(kinds)
        other = torch.ones(obs_shape, dtype=torch.bool)
        for kind in kinds:
            other[kind.columns] = False
        self.register_buffer("other_columns", other.nonzero().squeeze(1), persistent=False)
        self.other = nn.Linear(len(self.other_columns), outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(R, O) -> (R, F), before the ReLU."""
        out = self.other(x.index_select(1, self.other_columns))
        for kind in self.kinds:
            out = out + kind(x)
        return out

    @property
    def _kinds(self) -> list[EntityKind]:
        return cast(list[EntityKind], list(self.kinds))

    @property
    def queries(self) -> list[nn.Linear]:
        """The layers that are part of the head."""
        return [kind.query for kind in self._kinds if kind.query is not None]

    def action_values(self, features: Tensor, x: Tensor) -> Tensor:
        """What the actions that name an entity get from it, 0 for all others: (R, H), (R, O) -> (R, N)."""
        values = []
        for kind in self._kinds:
            if kind.action is not None:
                behind = self.action_shape - kind.action - kind.count
                values.append(F.pad(kind.scores(features, x), (kind.action, behind)))
        return torch.stack(values).sum(0) if values else features.new_zeros(features.shape[0], self.action_shape)
