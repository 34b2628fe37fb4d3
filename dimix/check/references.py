"""Reference losses of every algorithm, as the papers write them: episode by episode, step by step, agent by agent.

They share only the networks' weights with the code they check: no packing, no batch masks, no kernels. Each takes the
online and the target network, a batch, and its settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dimix.check.targets import brute_force
from dimix.model import SumMixer
from dimix.replay.batch import EpisodeBatch

Row = list[Tensor]  # one value per agent

#: Mix of one row: network, values of the actions, state, the actions, values of the best available actions.
Mix = Callable[[Any, Row, Tensor, list[int], Row], Tensor]


class Reference(NamedTuple):
    """The expected results of an update."""

    loss: Tensor  # ()
    grads: dict[str, Tensor]  # by name of the online network's parameter
    weights: list[float]  # of each step's error, if the algorithm weights them


class Goal(NamedTuple):
    """Kind of targets."""

    kind: str = "td_lambda"  # or "q_lambda", "n_step"
    parameter: float = 0.6  # lambda, or n
    gamma: float = 0.99


GOAL = Goal()


def rows(network: Any, batch: EpisodeBatch, b: int, start: Tensor | None = None) -> tuple[list[Tensor], list[Tensor]]:
    """Q-values (A, N) and head inputs (A, F), row by row, for an encoder of one layer and a GRU.

    Args:
        network: a network with an ``agent``.
        batch: see `EpisodeBatch`; its burn-in rows only warm up the memory.
        b: index of the episode.
        start: (A, H) state before row 0; None uses the batch's.
    """
    agent, cell = network.agent, network.agent.memory.cell
    h = batch.hidden_state[b] if start is None else start
    q, features = [], []
    for t in range(int(batch.filled[b].sum()) + 1):
        if t <= int(batch.burnin[b]):
            h = h.detach()
        seen = batch.obs.agent_state[b, t]
        x = torch.stack([first_layer(agent.encoder[0], row) for row in seen])
        x = F.relu(normed(agent.encoder_norms[0], x) if agent.encoder_norms else x)
        h = torch.gru_cell(x, h, cell.weight_ih_l0, cell.weight_hh_l0, cell.bias_ih_l0, cell.bias_hh_l0)
        features.append(h)
        seen_by_head = h if agent.norm is None else normed(agent.norm, h)
        q.append(torch.stack([head_values(agent, *each) for each in zip(seen, seen_by_head, strict=True)]))
    return q, features


def normed(norm: Any, x: Tensor) -> Tensor:
    """Layer normalisation: each row of x (A, F) to mean 0 and deviation 1, then scaled and shifted."""
    away = x - x.mean(1, keepdim=True)
    return away / (away.square().mean(1, keepdim=True) + norm.eps).sqrt() * norm.weight + norm.bias


def first_layer(layer: Any, row: Tensor) -> Tensor:
    """An agent's first layer: (O,) -> (F,); units that are read as a set are encoded one by one."""
    if not hasattr(layer, "kinds"):
        return layer(row)  # type: ignore[no-any-return]
    out = layer.other(row[layer.other_columns])
    for kind in layer.kinds:
        for unit, code in unit_codes(kind, row).values():
            out = out + (kind.total.weight @ code if hasattr(kind, "total") else own_weights(layer, kind, unit, code))
    return out


def own_weights(layer: Any, kind: Any, unit: Tensor, code: Tensor) -> Tensor:
    """What a unit adds that is read with weights of its own (HPN): its features times each head's matrix, merged."""
    matrices = kind.weights(code).view(kind.heads, len(unit), -1)
    return merged(layer.merge, torch.stack([unit @ matrix for matrix in matrices]))


def merged(merge: Any, heads: Tensor) -> Tensor:
    """Weighted mean over the heads: (heads, size) -> (size,)."""
    return heads[0] if merge.weight is None else (F.softmax(merge.weight, 0) * heads).sum(0)


def head_values(agent: Any, row: Tensor, features: Tensor) -> Tensor:
    """Values of all actions, those that target a unit one by one: (O,), (H,) -> (N,)."""
    values = list(agent.head(features))
    for kind in getattr(agent.encoder[0], "kinds", []):
        if kind.at.action is None:
            continue
        codes = unit_codes(kind, row)
        for j in range(kind.at.count):
            at, code = kind.at.action + j, codes[j][1] if j in codes else None
            if hasattr(kind, "total"):
                values[at] = values[at] + (0 if code is None else code @ kind.query(features) / len(code) ** 0.5)
            else:
                values[at] = torch.zeros_like(values[at]) if code is None else own_value(kind, code, features)
    return torch.stack(values)


def own_value(kind: Any, code: Tensor, features: Tensor) -> Tensor:
    """Value of the action on a unit that is read with weights of its own: (C,), (H,) -> ()."""
    heads = kind.query(code).view(kind.heads, -1)
    return merged(kind.merge, torch.stack([head[:-1] @ features + head[-1:] for head in heads]))[0]


def unit_codes(kind: Any, row: Tensor) -> dict[int, tuple[Tensor, Tensor]]:
    """By index, features and code (C,) of each unit of a kind that is present."""
    codes = {}
    for j in range(kind.at.count):
        unit = row[kind.at.column + j * kind.at.size : kind.at.column + (j + 1) * kind.at.size]
        if not bool((unit == 0).all()):
            mark = row[[]] if kind.at.last_action is None else row[[kind.at.last_action + j]]
            features = torch.cat([unit, mark])
            codes[j] = features, F.relu(kind.code.weight @ features + kind.code.bias)
    return codes


def greedy(q: Tensor, mask: Tensor) -> list[int]:
    """Each agent's best available action: (A, N), (A, N)."""
    return [int(q[a].detach().masked_fill(~mask[a], -1e9).argmax()) for a in range(len(q))]


def targets(
    batch: EpisodeBatch, b: int, goal: Goal, value: Callable[[int], Tensor], taken: Callable[[int], Tensor]
) -> list[Tensor]:
    """Targets of an episode by `brute_force`, one per step: () or (A,), like the values.

    Args:
        batch: see `EpisodeBatch`.
        b: index of the episode.
        goal: kind of targets.
        value: the target network's value of the best actions in row t.
        taken: the target network's value of the actions taken in row t.
    """
    length = int(batch.filled[b].sum())
    following = torch.stack([value(t + 1) for t in range(length)])
    chosen = torch.stack([taken(t + 1) if t + 1 < length else torch.zeros_like(following[0]) for t in range(length)])
    reward, ended = batch.reward[b, :length].tolist(), bool(batch.terminated[b, length - 1])
    columns = [
        brute_force(goal.kind, reward, ended, v.tolist(), c.tolist(), goal.gamma, goal.parameter)
        for v, c in zip(following.view(length, -1).T, chosen.view(length, -1).T, strict=True)
    ]
    return list(torch.tensor(columns, dtype=following.dtype).T.reshape(following.shape))


def monotonic(network: Any, values: Row, state: Tensor, *unread: Any) -> Tensor:
    """QMIX's mix ``|w2(s)| elu(|W1(s)| q + b1(s)) + V(s)`` of one row, or VDN's sum if that is the mixer."""
    net = network.mixer
    if isinstance(net, SumMixer):
        return torch.stack(values).sum()
    w1, w2, hidden, b1 = (net.state_layer.weight @ state + net.state_layer.bias).split(net.split)
    if net.hypernet_layers == 2:
        w1, w2 = net.w1(F.relu(w1)), net.w2(F.relu(w2))
    inner = b1 + sum(q * w for q, w in zip(values, w1.abs().split(net.embed_dim), strict=True))
    return (w2.abs() * F.elu(inner)).sum() + net.value(F.relu(hidden))[0]


def unmixed(network: Any, values: Row, state: Tensor, *unread: Any) -> Tensor:
    """Independent learners: (A,), each agent's own value."""
    return torch.stack(values)


def head(net: Any, k: int, x: Tensor) -> Tensor:
    """The k-th network of `Heads`, alone: (I,) -> (O,)."""
    rows = slice(k * net.size, (k + 1) * net.size)
    x = net.first.weight[rows] @ x + net.first.bias[rows]
    for layer in net.later:
        x = layer.weight[k] @ x.clamp(min=0) + layer.bias[k]
    return x


def qplex(network: Any, values: Row, state: Tensor, actions: list[int], best: Row) -> Tensor:
    """QPLEX: the transformed best values plus lambda times each advantage, which only lambda learns from."""
    net = network.mixer
    weight, bias = head(net.weight, 0, state).abs() + 1e-10, head(net.bias, 0, state)
    played = torch.zeros(len(values), net.action_shape, dtype=state.dtype)
    for a, action in enumerate(actions):
        played[a, action] = 1
    total = torch.stack([weight[a] * q + bias[a] for a, q in enumerate(values)]).sum()  # what q, w and b learn from
    for a, q in enumerate(values):
        importance = torch.zeros((), dtype=state.dtype)
        for k in range(net.key.count):
            agents, joint = head(net.agents, k, state)[a], head(net.actions, k, torch.cat([state, played.flatten()]))[a]
            gates = 1 / (1 + (-agents).exp()) / (1 + (-joint).exp())
            importance = importance + (head(net.key, k, state)[0].abs() + 1e-10) * gates
        advantage = (weight[a] * q + bias[a] - (weight[a] * best[a] + bias[a])).item()
        total = total - advantage + importance * advantage
    return total


def qatten(network: Any, values: Row, state: Tensor, *unread: Any) -> Tensor:
    """Qatten: per head, the values weighted by how well the state's query fits each agent's own columns."""
    net, total = network.mixer, head(network.mixer.value, 0, state)[0]
    for h in range(net.query.count):
        query = head(net.query, h, state)
        key = net.key.weight[h * len(query) : (h + 1) * len(query)]
        own = [state[net.own][a * net.size : (a + 1) * net.size] for a in range(len(values))]
        fit = torch.stack([(query @ key @ x / len(query) ** 0.5).exp() for x in own])
        mean = torch.stack([f * q for f, q in zip(fit, values, strict=True)]).sum() / fit.sum()
        total = total + head(net.weight, 0, state)[h].abs() * mean
    return total


def set_mix(network: Any, values: Row, state: Tensor, *unread: Any) -> Tensor:
    """The set mixer: QMIX's mix, each agent's weights from its own columns and the mean code of all units."""
    net, pool = network.mixer, torch.zeros(network.mixer.own.out_features, dtype=state.dtype)
    kinds = [[state[at + j * size : at + (j + 1) * size] for j in range(n)] for at, n, size in net.at]
    for code, units in zip(net.codes, kinds, strict=True):
        for unit in units:
            if bool((unit != 0).any()):
                pool = pool + code(unit).clamp(min=0) / len(units)
    w1, w2, value, hidden = net.pool_layer(pool).split(net.split)
    for q, unit in zip(values, kinds[0], strict=True):
        hidden = hidden + net.w1((net.own(unit) + w1).clamp(min=0)).abs() * q
    return net.w2(w2.clamp(min=0)).abs() @ F.elu(hidden) + net.value(value.clamp(min=0))[0]  # type: ignore[no-any-return]


def central(network: Any, values: Row, state: Tensor) -> Tensor:
    """WQMIX's unrestricted mix of one row, layer by layer."""
    mixer = network.mixer
    x = torch.cat([state, torch.stack(values)])
    for layer in mixer.hidden:
        x = (layer.weight @ x + layer.bias).clamp(min=0)
    value = (mixer.value_hidden.weight @ state + mixer.value_hidden.bias).clamp(min=0)
    return mixer.out.weight[0] @ x + mixer.out.bias[0] + mixer.value.weight[0] @ value + mixer.value.bias[0]


def joint(network: Any, features: Tensor, actions: list[int], counted: Tensor, state: Tensor) -> Tensor:
    """QTRAN's joint value of one row and one joint action."""
    net = network.joint
    total = state.new_zeros(net.encoding[0].in_features)
    for a, action in enumerate(actions):
        if counted[a]:
            onehot = torch.zeros(net.action_shape, dtype=state.dtype)
            onehot[action] = 1
            total = total + net.encoding(torch.cat([features[a], onehot]))
    x = net.q_in.weight @ torch.cat([state, total]) + net.q_in.bias
    return net.q_out(x.clamp(min=0))[0]


def _counting(q: Tensor, actions: Iterable[int], alive: Tensor, mask_dead: bool) -> Row:
    """Each agent's value of its action, 0 for dead agents if they are masked."""
    return [q[a, u] * float(bool(alive[a]) or not mask_dead) for a, u in enumerate(actions)]


def _result(online: Any, losses: list[Tensor], weights: list[float] | None = None) -> Reference:
    loss, params = torch.stack(losses).mean(), dict(online.named_parameters())
    grads = torch.autograd.grad(loss, list(params.values()))
    return Reference(loss.detach(), dict(zip(params, grads, strict=True)), weights or [])


def qmix(
    online: Any, target: Any, batch: EpisodeBatch, mix: Mix = monotonic, *,
    goal: Goal = GOAL, double_q: bool = True, mask_dead: bool = True, weight: Tensor | None = None,
) -> Reference:  # fmt: skip
    """QMIX, VDN, and with another mix independent Q-learning (`unmixed`), QPLEX and Qatten."""

    def episode(b: int) -> Iterator[Tensor]:
        mask, state, alive = batch.obs.action_mask[b], batch.obs.global_state[b], batch.alive[b]
        q, _ = rows(online, batch, b)
        with torch.no_grad():
            q_target, _ = rows(target, batch, b)

        def team(network: Any, values: list[Tensor], t: int, actions: list[int]) -> Tensor:
            own, best = (
                _counting(values[t], each, alive[t], mask_dead) for each in (actions, greedy(values[t], mask[t]))
            )
            return mix(network, own, state[t], actions, best)

        def value(t: int) -> Tensor:
            return team(target, q_target, t, greedy((q if double_q else q_target)[t], mask[t])).detach()

        def taken_value(t: int) -> Tensor:
            return team(target, q_target, t, batch.action[b, t].tolist()).detach()

        for t, y in enumerate(targets(batch, b, goal, value, taken_value)):
            if t >= batch.burnin[b]:
                error = (team(online, q, t, batch.action[b, t].tolist()) - y) ** 2
                yield 0.5 * error.mean() * (1.0 if weight is None else weight[b])

    return _result(online, [loss for b in range(len(batch.filled)) for loss in episode(b)])


def wqmix(
    online: Any, target: Any, batch: EpisodeBatch, *, ow: bool, alpha: float,
    goal: Goal = GOAL, mask_dead: bool = True, weight: Tensor | None = None,
) -> Reference:  # fmt: skip
    """OW-QMIX and CW-QMIX."""
    weights: list[float] = []

    def episode(b: int) -> Iterator[Tensor]:
        mask, state, alive = batch.obs.action_mask[b], batch.obs.global_state[b], batch.alive[b]
        zero = torch.zeros_like(batch.hidden_state[b])
        q, q_central = rows(online, batch, b)[0], rows(online.central, batch, b, zero)[0]
        with torch.no_grad():
            q_target, _ = rows(target.central, batch, b, zero)

        def value(t: int) -> Tensor:
            best = _counting(q_target[t], greedy(q[t], mask[t]), alive[t], mask_dead)
            return central(target.central, best, state[t]).detach()

        def taken_value(t: int) -> Tensor:
            taken = _counting(q_target[t], batch.action[b, t].tolist(), alive[t], mask_dead)
            return central(target.central, taken, state[t]).detach()

        for t, y in enumerate(targets(batch, b, goal, value, taken_value)):
            taken, best = batch.action[b, t].tolist(), greedy(q[t], mask[t])
            error = monotonic(online, _counting(q[t], taken, alive[t], mask_dead), state[t]) - y
            own = central(online.central, _counting(q_central[t], taken, alive[t], mask_dead), state[t]) - y
            if ow:
                full = error.item() < 0
            else:
                full = all(taken[a] == best[a] for a in range(len(best)) if alive[t, a])
                full = full or y.item() > value(t).item()
            weights.append(1.0 if full else alpha)
            yield 0.5 * (weights[-1] * error**2 + own**2) * (1.0 if weight is None else weight[b])

    return _result(online, [loss for b in range(len(batch.filled)) for loss in episode(b)], weights)


def qtran(
    online: Any, target: Any, batch: EpisodeBatch, *, form: str, factors: tuple[float, float, float],
    goal: Goal = GOAL, double_q: bool = True, mask_dead: bool = True,
) -> Reference:  # fmt: skip
    """QTRAN-base and QTRAN-alt, with the factors of the errors td, opt and nopt."""

    def episode(b: int) -> Iterator[Tensor]:
        mask, state = batch.obs.action_mask[b], batch.obs.global_state[b]
        counted = batch.alive[b] if mask_dead else torch.ones_like(batch.alive[b])
        q, features = rows(online, batch, b)
        with torch.no_grad():
            q_target, features_target = rows(target, batch, b)

        def value(t: int) -> Tensor:
            best = greedy((q if double_q else q_target)[t], mask[t])
            return joint(target, features_target[t], best, counted[t], state[t]).detach()

        def taken_value(t: int) -> Tensor:
            return joint(target, features_target[t], batch.action[b, t].tolist(), counted[t], state[t]).detach()

        def gap(t: int, actions: list[int]) -> Tensor:  # D of the paper, the joint value held fixed
            own = torch.stack([q[t][a, u] * float(counted[t, a]) for a, u in enumerate(actions)]).sum()
            fixed = joint(online, features[t], actions, counted[t], state[t]).detach()
            return own - fixed + online.joint.v(state[t])[0]

        def nopt(t: int, taken: list[int]) -> Tensor:
            if form == "base":
                return gap(t, taken).clamp(max=0) ** 2
            lowest = [state.new_zeros(())]
            for a in range(len(taken)):
                if counted[t, a]:
                    own = [n for n in range(mask.shape[-1]) if mask[t, a, n]]
                    every = [gap(t, [*taken[:a], n, *taken[a + 1 :]]) for n in own]
                    lowest.append(torch.stack(every).min() ** 2)
            return torch.stack(lowest).sum() / max(len(lowest) - 1, 1)

        for t, y in enumerate(targets(batch, b, goal, value, taken_value)):
            taken = batch.action[b, t].tolist()
            td = (joint(online, features[t], taken, counted[t], state[t]) - y) ** 2
            errors = (td, gap(t, greedy(q[t], mask[t])) ** 2, nopt(t, taken))
            yield 0.5 * torch.stack([factor * e for factor, e in zip(factors, errors, strict=True)]).sum()

    return _result(online, [loss for b in range(len(batch.filled)) for loss in episode(b)])
