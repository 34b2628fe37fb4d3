"""Layers that read an agent's observation of other units as a set: their numbering does not matter.

One set of weights reads every entity of a kind, so enemies that look alike are treated alike, and the values of the
actions that target an entity move with it. This is permutation invariance and equivariance as in Hao et al. 2023,
"Boosting multiagent reinforcement learning via permutation invariant and permutation equivariant networks" (HPN), with
the sum of Zaheer et al. 2017, "Deep sets", in place of HPN's hypernetworks: it costs no more than a linear layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dimix.model.kernels.entities import Columns, add_entities, entity_values
from dimix.model.kernels.fusible import fusible
from dimix.model.spec import AgentSpec


class EntityKind(nn.Module):
    """The entities of one kind, for example the enemies, and the weights that read each of them.

    An entity's code is ``relu(W features + b)``. Its features are its columns of the row and, if the agent's actions
    can target these entities, whether the last action targeted this one. An entity whose columns are all zero is
    absent: its code is zero.

    Args:
        entities: the fields of `dimix.envs.vec_env.Entities`, and ``last_action``: column of the first entity's action
            in the one-hot last action, or None.
        spec: of the agent; H is the size of the head's input, F that of the first layer's output.
    """

    def __init__(self, entities: Mapping[str, Any], spec: AgentSpec) -> None:
        super().__init__()
        fields = {name: entities[name] for name in ("column", "count", "size", "action", "last_action")}
        self.at = Columns(**fields, named_by=tuple(entities.get("named_by", ())))
        self.code = nn.Linear(self.at.size + (self.at.last_action is not None), spec.entity_embed_dim)
        self.total = nn.Linear(spec.entity_embed_dim, spec.hidden_size_list[0], bias=False)
        self.query = None if self.at.action is None else nn.Linear(spec.hidden_size_list[-1], spec.entity_embed_dim)

    @property
    def columns(self) -> slice:
        """Their features in a row."""
        return slice(self.at.column, self.at.column + self.at.count * self.at.size)

    def codes(self, x: Tensor) -> Tensor:
        """The code of every entity: (R, O) -> (R, K, C)."""
        at = self.at
        features = x[:, self.columns].unflatten(1, (at.count, at.size))
        present = (features != 0).any(2, keepdim=True)
        if at.last_action is not None:
            targeted = x[:, at.last_action : at.last_action + at.count] * self._can_target(x)
            features = torch.cat([features, targeted.unsqueeze(2)], 2)
        return F.relu(self.code(features)) * present

    def forward(self, x: Tensor) -> Tensor:
        """Their share of the encoder's output: (R, O) -> (R, F)."""
        return self.total(self.codes(x).sum(1))

    def values(self, features: Tensor, x: Tensor, actions: int) -> Tensor:
        """Added value of the actions that target one of them, 0 for all others: (R, H), (R, O) -> (R, N)."""
        at = self.at
        assert self.query is not None and at.action is not None
        query = self.query(features) * self.code.out_features**-0.5
        scores = torch.bmm(self.codes(x), query.unsqueeze(2)).squeeze(2) * self._can_target(x)
        return F.pad(scores, (at.action, actions - at.action - at.count))

    def _can_target(self, x: Tensor) -> Tensor:
        """(R, O) -> (R, 1): 1 in rows of agents whose actions target these entities, else 0."""
        if not self.at.named_by:
            return x.new_ones(x.shape[0], 1)
        return (x[:, list(self.at.named_by)] != 0).any(1, keepdim=True).to(x.dtype)


class EntityEncoder(nn.Module):
    """Replaces an agent's first linear layer: the sum over the entities of each kind, plus all other columns.

    Args:
        spec: of the agent, with entities.
    """

    other_columns: Tensor

    def __init__(self, spec: AgentSpec) -> None:
        super().__init__()
        self.fused = spec.fused
        kinds = [EntityKind(entities, spec) for entities in spec.entities or ()]
        self.kinds = nn.ModuleList(kinds)
        other = torch.ones(spec.obs_shape, dtype=torch.bool)
        for kind in kinds:
            other[kind.columns] = False
        self.register_buffer("other_columns", other.nonzero().squeeze(1), persistent=False)
        self.other = nn.Linear(len(self.other_columns), spec.hidden_size_list[0])

    def forward(self, x: Tensor) -> Tensor:
        """(R, O) -> (R, F), before the ReLU."""
        out = self.other(x.index_select(1, self.other_columns))
        if self._fuses(x):
            layers = [p for kind in self._kinds for p in (kind.code.weight, kind.code.bias, kind.total.weight)]
            return add_entities(out, x, [kind.at for kind in self._kinds], layers)
        for kind in self._kinds:
            out = out + kind(x)
        return out

    def action_values(self, features: Tensor, x: Tensor, head: nn.Linear) -> Tensor:
        """Values of all actions: a linear head's, and each entity's code times a query: (R, H), (R, O) -> (R, N)."""
        targets = [(kind, kind.query) for kind in self._kinds if kind.query is not None]
        if targets and self._fuses(x):
            layers = [p for kind, query in targets for layer in (kind.code, query) for p in (layer.weight, layer.bias)]
            return entity_values(features, x, [kind.at for kind, _ in targets], head.weight, head.bias, layers)
        out = head(features)
        for kind, _ in targets:
            out = out + kind.values(features, x, head.out_features)
        return out

    @property
    def queries(self) -> list[nn.Linear]:
        """The layers that are part of the head."""
        return [kind.query for kind in self._kinds if kind.query is not None]

    @property
    def _kinds(self) -> list[EntityKind]:
        return cast(list[EntityKind], list(self.kinds))

    def _fuses(self, x: Tensor) -> bool:
        return self.fused and fusible(x) and not x.requires_grad
