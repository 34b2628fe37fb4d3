"""Layers that read an agent's observation of other units as a set: their numbering does not matter.

One set of weights reads every entity of a kind, so enemies that look alike are treated alike, and the values of the
actions that target an entity move with it. This is permutation invariance and equivariance as in Hao et al. 2023,
"Boosting multiagent reinforcement learning via permutation invariant and permutation equivariant networks" (HPN):
with HPN's hypernetworks (`HyperKind`), or with the sum of Zaheer et al. 2017, "Deep sets", in their place (`SumKind`),
which costs no more than a linear layer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dimix.model.kernels.entities import Columns, add_entities, entity_values
from dimix.model.kernels.fusible import fusible
from dimix.model.spec import AgentSpec


class EntityKind(nn.Module, ABC):
    """The entities of one kind, for example the enemies, and the weights that read each of them.

    An entity's code is ``relu(W features + b)``. Its features are its columns of the row and, if the agent's actions
    can target these entities, whether the last action targeted this one. An entity whose columns are all zero is
    absent: it adds nothing, and the actions that target it get no value of their own.

    Args:
        entities: the fields of `dimix.envs.vec_env.Entities`, and ``last_action``: column of the first entity's action
            in the one-hot last action, or None.
        spec: of the agent; H is the size of the head's input, F that of the first layer's output.

    Attributes:
        query: the layer that belongs to the head; None if no action targets these entities.
    """

    query: nn.Linear | None

    def __init__(self, entities: Mapping[str, Any], spec: AgentSpec) -> None:
        super().__init__()
        fields = {name: entities[name] for name in ("column", "count", "size", "action", "last_action")}
        self.at = Columns(**fields, named_by=tuple(entities.get("named_by", ())))
        self.code = nn.Linear(self.at.size + (self.at.last_action is not None), spec.entity_embed_dim)

    @property
    def columns(self) -> slice:
        """Their features in a row."""
        return slice(self.at.column, self.at.column + self.at.count * self.at.size)

    @property
    def last_actions(self) -> slice:
        """Their actions in the one-hot last action of a row."""
        first = self.at.last_action
        return slice(0, 0) if first is None else slice(first, first + self.at.count)

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Their share of the encoder's output, before `EntityEncoder.merge`: (R, O) -> (R, F) or (R, heads, F)."""

    @abstractmethod
    def with_values(self, q: Tensor, features: Tensor, x: Tensor) -> Tensor:
        """The head's values with those of the actions that target one of them: (R, N), (R, H), (R, O) -> (R, N)."""

    def units(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features of every entity, and whether it is there: (R, O) -> (R, K, features), (R, K, 1) bool."""
        at = self.at
        features = x[:, self.columns].unflatten(1, (at.count, at.size))
        present = (features != 0).any(2, keepdim=True)
        if at.last_action is not None:
            targeted = x[:, self.last_actions] * self._can_target(x)
            features = torch.cat([features, targeted.unsqueeze(2)], 2)
        return features, present

    def codes(self, x: Tensor) -> Tensor:
        """The code of every entity, zero if it is absent: (R, O) -> (R, K, C)."""
        features, present = self.units(x)
        return F.relu(self.code(features)) * present

    def _on_actions(self, values: Tensor, actions: int) -> Tensor:
        """One value per entity to one per action, 0 for all others: (R, K) -> (R, N)."""
        assert self.at.action is not None
        return F.pad(values, (self.at.action, actions - self.at.action - self.at.count))

    def _can_target(self, x: Tensor) -> Tensor:
        """(R, O) -> (R, 1): 1 in rows of agents whose actions target these entities, else 0."""
        if not self.at.named_by:
            return x.new_ones(x.shape[0], 1)
        return (x[:, list(self.at.named_by)] != 0).any(1, keepdim=True).to(x.dtype)


class SumKind(EntityKind):
    """Reads the sum of the codes; an action's value is the head's plus its entity's code times a query."""

    def __init__(self, entities: Mapping[str, Any], spec: AgentSpec) -> None:
        super().__init__(entities, spec)
        self.total = nn.Linear(spec.entity_embed_dim, spec.hidden_size_list[0], bias=False)
        self.query = None if self.at.action is None else nn.Linear(spec.hidden_size_list[-1], spec.entity_embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.total(self.codes(x).sum(1))

    def with_values(self, q: Tensor, features: Tensor, x: Tensor) -> Tensor:
        assert self.query is not None
        query = self.query(features) * self.code.out_features**-0.5
        scores = torch.bmm(self.codes(x), query.unsqueeze(2)).squeeze(2) * self._can_target(x)
        return q + self._on_actions(scores, q.shape[1])


class HyperKind(EntityKind):
    """Reads each entity with weights of its own, which a hypernetwork computes from its features e_j (HPN).

    With the code c_j as the hypernetwork's hidden layer, the share is ``sum_j e_j W(c_j)``, and in rows whose actions
    target these entities, an action's value is ``v(c_j) h + beta(c_j)`` in place of the head's; W, v and beta are
    linear. So ``e_j W(c_j)`` is linear in the outer product of e_j and c_j, and the products are summed before the
    weights apply: a row costs one matrix product, however many entities it has, and no W is ever written out.
    """

    def __init__(self, entities: Mapping[str, Any], spec: AgentSpec) -> None:
        super().__init__(entities, spec)
        self.heads, code = spec.entity_heads, spec.entity_embed_dim
        self.weights = nn.Linear(code, self.heads * self.code.in_features * spec.hidden_size_list[0])
        aimed_at = self.at.action is not None
        self.query = nn.Linear(code, self.heads * (spec.hidden_size_list[-1] + 1)) if aimed_at else None
        self.merge = Merge(self.heads, 1) if aimed_at else None

    def forward(self, x: Tensor) -> Tensor:
        features, present = self.units(x)
        features = features * present
        outer = torch.bmm(features.transpose(1, 2), self._hidden(features))
        width = features.shape[2]
        by_head = self.weights.weight.view(self.heads, width, -1, outer.shape[2])
        weight = by_head.permute(1, 3, 0, 2).reshape(width * outer.shape[2], -1)
        bias = self.weights.bias.view(self.heads, width, -1).transpose(0, 1).reshape(width, -1)
        return (outer.flatten(1) @ weight + features.sum(1) @ bias).unflatten(1, (self.heads, -1))

    def with_values(self, q: Tensor, features: Tensor, x: Tensor) -> Tensor:
        assert self.query is not None and self.merge is not None
        units, present = self.units(x)
        weight, bias = self.query.weight.unflatten(0, (self.heads, -1)), self.query.bias.view(self.heads, -1)
        queries = torch.einsum("rh,nhc->rcn", features, weight[:, :-1]) + weight[:, -1].T
        common = features @ bias[:, :-1].T + bias[:, -1]
        heads = torch.bmm(self._hidden(units), queries) + common.unsqueeze(1)
        values = self.merge(heads.unsqueeze(3)).squeeze(2) * present.squeeze(2)
        aimed = self._on_actions(self._can_target(x).expand_as(values), q.shape[1])
        return torch.where(aimed != 0, self._on_actions(values, q.shape[1]), q)

    def _hidden(self, features: Tensor) -> Tensor:
        """The codes, also of absent entities: (R, K, features) -> (R, K, C)."""
        weight = self.code.weight.t().contiguous()  # of a column-major factor, torch's gradient is 10 times slower
        return F.relu_(torch.addmm(self.code.bias, features.flatten(0, 1), weight)).unflatten(0, features.shape[:2])


class Merge(nn.Module):
    """Mean over heads with learned weights, the softmax of as many numbers: (..., heads, size) -> (..., size)."""

    def __init__(self, heads: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(heads, size)) if heads > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        return x.squeeze(-2) if self.weight is None else (self.weight.softmax(0) * x).sum(-2)


class TargetHead(nn.Linear):
    """A linear head with one row for all actions that target an entity, and one for each other action.

    Args:
        size: of its input (H).
        actions: number of actions (N).
        targets: those that target an entity.
    """

    rows: Tensor

    def __init__(self, size: int, actions: int, targets: Container[int]) -> None:
        own = [action for action in range(actions) if action not in targets]
        super().__init__(size, len(own) + 1)
        rows = torch.full((actions,), len(own))
        rows[own] = torch.arange(len(own))
        self.register_buffer("rows", rows, persistent=False)

    def by_action(self) -> tuple[Tensor, Tensor]:
        """Weight (N, H) and bias (N)."""
        return self.weight[self.rows], self.bias[self.rows]

    def forward(self, x: Tensor) -> Tensor:
        """(R, H) -> (R, N)."""
        return F.linear(x, *self.by_action())


#: How the entities of a kind are read, by ``policy.model.entity_net``.
ENTITY_NETS: dict[str, type[EntityKind]] = {"sum": SumKind, "hypernet": HyperKind}


class EntityEncoder(nn.Module):
    """Replaces an agent's first linear layer: the sum over the entities of each kind, plus all other columns.

    Args:
        spec: of the agent, with entities. With ``any_size`` the other columns are without the last action where it
            targets an entity, which the entity's own features tell.
    """

    outside: Tensor
    other_columns: Tensor

    def __init__(self, spec: AgentSpec) -> None:
        super().__init__()
        self.fused = spec.fused and spec.entity_net == "sum"
        kinds = [ENTITY_NETS[spec.entity_net](entities, spec) for entities in spec.entities or ()]
        self.kinds = nn.ModuleList(kinds)
        width, hyper = spec.hidden_size_list[0], spec.entity_net == "hypernet"
        self.merge = Merge(spec.entity_heads, width) if hyper else nn.Identity()
        other = torch.ones(spec.obs_shape, dtype=torch.bool)
        for kind in kinds:
            other[kind.columns] = False
        self.register_buffer("outside", other.nonzero().squeeze(1), persistent=False)
        for kind in kinds if spec.any_size else ():
            other[kind.last_actions] = False
        self.register_buffer("other_columns", other.nonzero().squeeze(1), persistent=False)
        self.other = nn.Linear(len(self.other_columns), width)

    def forward(self, x: Tensor) -> Tensor:
        """(R, O) -> (R, F), before the ReLU."""
        out = self.other(x.index_select(1, self.other_columns))
        if self._fuses(x):
            kinds = cast(list[SumKind], self._kinds)
            layers = [p for kind in kinds for p in (kind.code.weight, kind.code.bias, kind.total.weight)]
            return add_entities(out, x, [kind.at for kind in kinds], layers)
        for kind in self._kinds:
            out = out + self.merge(kind(x))
        return out

    def action_values(self, features: Tensor, x: Tensor, head: nn.Linear) -> Tensor:
        """Values of all actions: a linear head's, and those of the entities they target: (R, H), (R, O) -> (R, N)."""
        targets = [(kind, kind.query) for kind in self._kinds if kind.query is not None]
        if targets and self._fuses(x):
            layers = [p for kind, query in targets for layer in (kind.code, query) for p in (layer.weight, layer.bias)]
            weight, bias = head.by_action() if isinstance(head, TargetHead) else (head.weight, head.bias)
            return entity_values(features, x, [kind.at for kind, _ in targets], weight, bias, layers)
        out = head(features)
        for kind, _ in targets:
            out = kind.with_values(out, features, x)
        return out

    @property
    def targets(self) -> set[int]:
        """The actions that target an entity."""
        at = [kind.at for kind in self._kinds]
        return {kind.action + unit for kind in at if kind.action is not None for unit in range(kind.count)}

    def by_column(self) -> Tensor:
        """The weight of `other` for all columns outside the units, zero where ``any_size`` leaves one out."""
        weight = self.other.weight.new_zeros(self.other.out_features, len(self.outside))
        weight[:, torch.isin(self.outside, self.other_columns)] = self.other.weight
        return weight

    @property
    def queries(self) -> list[nn.Linear]:
        """The layers that are part of the head."""
        return [kind.query for kind in self._kinds if kind.query is not None]

    @property
    def _kinds(self) -> list[EntityKind]:
        return cast(list[EntityKind], list(self.kinds))

    def _fuses(self, x: Tensor) -> bool:
        return self.fused and fusible(x) and not x.requires_grad
