"""A trained team that acts with numpy alone. This file needs nothing else of dimix and can be copied.

``Team.load("team.npz")`` reads what ``dimix -m export RUN -o team.npz`` wrote.

Shapes: A agents, N actions, O floats of one agent's own observation, I floats of its network's input, H of its memory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

FORMAT, VERSION = "dimix team", 2  # 1: without hypernetworks
_HEADER = "header"
_EPSILON = np.float32(1e-5)  # of torch's layer normalisation

Array = np.ndarray
Weights = Mapping[str, Array]


class Player:
    """Agents that act on their own rows, with a memory of the episode so far.

    Args:
        header: what describes the network, see `Team`.
        weights: arrays by name; with weights per agent, one row each in front.
        ids: numbers of the agents that it plays.

    Attributes:
        q: (len(ids), N) float32, Q-values behind the last actions; of unavailable actions too.
        hidden: (len(ids), H) float32, the memory.
        last_action: (len(ids),) int64, -1 before the first step.
    """

    def __init__(self, header: Mapping[str, Any], weights: Weights, ids: Sequence[int]) -> None:
        self.header = header
        self._weights = weights
        self._ids = np.asarray(ids)
        self._layers = sum(name.endswith("weight_ih") for name in weights)
        self._covered = [_columns(kind) for kind in header["entities"]]
        self.reset()

    def reset(self) -> None:
        """Forget: call it at the start of every episode."""
        rows, header = len(self._ids), self.header
        self.hidden = np.zeros((rows, header["state_size"]), np.float32)
        self.last_action = np.full(rows, -1, np.int64)
        self.q = np.zeros((rows, header["action_shape"]), np.float32)

    def step(self, obs: Any, action_mask: Any) -> Array:
        """Choose the best available action of each agent, the first one on a tie.

        Args:
            obs: (len(ids), O) floats, the agents' observations as the environment gives them.
            action_mask: (len(ids), N), true where an action may be taken; at least one per agent.

        Returns:
            (len(ids),) int64.

        Raises:
            ValueError: a shape does not fit, or an agent has no available action.
        """
        obs, mask = np.asarray(obs, np.float32), np.asarray(action_mask).astype(bool)
        for name, given, size in (("obs", obs, "obs_shape"), ("action_mask", mask, "action_shape")):
            if given.shape != (len(self._ids), self.header[size]):
                raise ValueError(f"{name} has shape {given.shape}. Right is {(len(self._ids), self.header[size])}.")
        if not mask.any(1).all():
            raise ValueError(f"action_mask: agent {self._ids[~mask.any(1)][0]} has no available action.")
        x = self._input(obs)
        features, self.hidden = self._remember(self._encode(x))
        self.q = self._head(features, x)
        self.last_action = np.where(mask, self.q, -np.inf).argmax(1)
        return self.last_action.copy()

    def _input(self, obs: Array) -> Array:
        """Observation, one-hot last action and one-hot id: (rows, I)."""
        parts = [obs]
        if self.header["last_action"]:
            parts.append(_one_hot(self.last_action, self.header["action_shape"]))
        if self.header["agent_id"]:
            parts.append(_one_hot(self._ids, self.header["agent_num"]))
        return np.concatenate(parts, 1)

    def _encode(self, x: Array) -> Array:
        for layer in range(self.header["linear_layers"]):
            name = f"encoder.{layer}"
            by_units = layer == 0 and self.header["entities"]
            x = np.maximum(self._sum_units(x) if by_units else self._linear(name, x), 0)
        return x

    def _remember(self, x: Array) -> tuple[Array, Array]:
        """Output of the recurrent layers, and their states behind one another."""
        cell = {"gru": self._gru, "lstm": self._lstm, "mlp": None}[self.header["memory"]]
        if cell is None:
            return x, self.hidden
        states = []
        for layer, state in enumerate(np.split(self.hidden, self._layers, 1)):
            x, state = cell(f"memory.{layer}", x, state)
            states.append(state)
        return x, np.concatenate(states, 1)

    def _gru(self, name: str, x: Array, state: Array) -> tuple[Array, Array]:
        """Cho et al. 2014, with torch's order of the gates."""
        (r, z, n), (hr, hz, hn) = (np.split(part, 3, 1) for part in self._gates(name, x, state))
        new = np.tanh(n + _sigmoid(r + hr) * hn)
        new = new + _sigmoid(z + hz) * (state - new)
        return new, new

    def _lstm(self, name: str, x: Array, state: Array) -> tuple[Array, Array]:
        out, memory = np.split(state, 2, 1)
        i, f, g, o = np.split(sum(self._gates(name, x, out)), 4, 1)
        memory = _sigmoid(f) * memory + _sigmoid(i) * np.tanh(g)
        out = _sigmoid(o) * np.tanh(memory)
        return out, np.concatenate([out, memory], 1)

    def _gates(self, name: str, x: Array, out: Array) -> tuple[Array, Array]:
        w = self._weights
        return (
            _affine(x, w[f"{name}.weight_ih"], w[f"{name}.bias_ih"]),
            _affine(out, w[f"{name}.weight_hh"], w[f"{name}.bias_hh"]),
        )

    def _head(self, features: Array, x: Array) -> Array:
        if "norm.weight" in self._weights:
            mean, variance = features.mean(1, keepdims=True), features.var(1, keepdims=True)
            features = (features - mean) / np.sqrt(variance + _EPSILON)
            features = features * self._weights["norm.weight"] + self._weights["norm.bias"]
        q = self._linear("head", features)
        for number, kind in enumerate(self.header["entities"]):
            if kind["action"] is not None:
                actions = slice(kind["action"], kind["action"] + kind["count"])
                q[:, actions] = self._target_values(number, features, x, q[:, actions])
        if "value_head.weight" in self._weights:
            q = self._linear("value_head", features) + q - q.mean(1, keepdims=True)
        return q

    def _sum_units(self, x: Array) -> Array:
        """The first layer of agents that see units as sets, before the ReLU."""
        out = self._linear("encoder.0.other", np.delete(x, np.concatenate(self._covered), 1))
        for number in range(len(self._covered)):
            total = self._weights.get(f"encoder.0.kinds.{number}.total.weight")
            units, codes = self._codes(number, x)
            out = out + (self._by_own_weights(number, units, codes) if total is None else codes.sum(1) @ total.T)
        return out

    def _codes(self, number: int, x: Array) -> tuple[Array, Array]:
        """(rows, units, features), (rows, units, C): each unit of a kind and its code, zero if it is not there."""
        kind, name = self.header["entities"][number], f"encoder.0.kinds.{number}.code"
        units = x[:, self._covered[number]].reshape(len(x), kind["count"], kind["size"])
        there = (units != 0).any(2, keepdims=True)
        if kind["last_action"] is not None:
            named = x[:, kind["last_action"] : kind["last_action"] + kind["count"]] * _can_target(kind, x)
            units = np.concatenate([units, named[..., None]], 2)
        return units * there, np.maximum(self._linear(name, units), 0) * there

    def _by_own_weights(self, number: int, units: Array, codes: Array) -> Array:
        """(rows, F): the units of a kind, each times the matrix that a hypernetwork computes from its code."""
        weight, bias = (self._weights[f"encoder.0.kinds.{number}.weights.{part}"] for part in ("weight", "bias"))
        shape = (self._heads, units.shape[2], -1)
        outer = units.swapaxes(1, 2) @ codes
        heads = np.einsum("rfc,nfhc->rnh", outer, weight.reshape(*shape, codes.shape[2]), optimize=True)
        heads = heads + np.einsum("rf,nfh->rnh", units.sum(1), bias.reshape(shape))
        return _merged(heads, self._weights.get("encoder.0.merge.weight"))

    def _target_values(self, number: int, features: Array, x: Array, q: Array) -> Array:
        """(rows, units): values of the actions that name the units of a kind; q are the head's."""
        kind, name = self.header["entities"][number], f"encoder.0.kinds.{number}"
        _, codes = self._codes(number, x)
        if f"{name}.total.weight" in self._weights:
            query = self._linear(f"{name}.query", features) * np.float32(codes.shape[2] ** -0.5)
            return q + (codes @ query[..., None])[..., 0] * _can_target(kind, x)
        there = (x[:, self._covered[number]].reshape(*codes.shape[:2], -1) != 0).any(2)
        own = self._linear(f"{name}.query", codes).reshape(*codes.shape[:2], self._heads, -1)
        heads = own[..., :-1] @ features[:, None, :, None] + own[..., -1:]
        values = _merged(heads, self._weights.get(f"{name}.merge.weight"))[..., 0] * there
        return np.where(_can_target(kind, x) != 0, values, q)

    @property
    def _heads(self) -> int:
        merge = self._weights.get("encoder.0.merge.weight")
        return 1 if merge is None else len(merge)

    def _linear(self, name: str, x: Array) -> Array:
        return _affine(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])


class Agent(Player):
    """One agent of a team: it sees its own observation and nothing else. Made by `Team.agents`."""

    def act(self, obs: Any, action_mask: Any) -> int:
        """The best available action for its observation (O,) and mask (N,); see `Player.step`."""
        return int(self.step(np.asarray(obs)[None], np.asarray(action_mask)[None])[0])


class Team(Player):
    """A trained team in one game. All its agents act in one call, or each by itself (`agents`).

    Args:
        header: ``format``, ``version``; sizes ``agent_num``, ``obs_shape``, ``action_shape``, ``state_size``; the input
            (``last_action``, ``agent_id``: whether they are appended); the network (``memory``: gru, lstm or mlp;
            ``linear_layers``; ``groups``: each agent's set of weights, None if there is one; ``entities``: where units
            are); ``name``: of the map; ``trained``: how, in words.
        weights: arrays by name; with groups, one row per group in front.

    Raises:
        ValueError: not a team, or written by a newer version.
    """

    def __init__(self, header: Mapping[str, Any], weights: Weights) -> None:
        if header.get("format") != FORMAT:
            raise ValueError(f"format is {header.get('format')!r}. Right is {FORMAT!r}.")
        if header["version"] > VERSION:
            raise ValueError(f"version {header['version']}. This file reads up to {VERSION}: use a newer one.")
        self._stored = dict(weights)
        super().__init__(header, self._of(header["groups"]), range(header["agent_num"]))

    @property
    def agents(self) -> list[Agent]:
        """The team's agents as new, independent objects, each with its own memory."""
        groups = self.header["groups"]
        weights = [self._of(None if groups is None else groups[k]) for k in range(self.header["agent_num"])]
        return [Agent(self.header, own, [k]) for k, own in enumerate(weights)]

    def act(self, obs: Any, action_mask: Any) -> Array:
        """The best available actions (A,) int64 for observations (A, O) and masks (A, N); see `Player.step`.

        The Q-values behind them are in `q`.
        """
        return self.step(obs, action_mask)

    def save(self, path: str | Path) -> None:
        """Write the team to a ``.npz`` file."""
        with open(path, "wb") as file:
            content: dict[str, Any] = {_HEADER: np.array(json.dumps(dict(self.header))), **self._stored}
            np.savez_compressed(file, **content)

    @classmethod
    def load(cls, path: str | Path) -> Team:
        """Read a team from a ``.npz`` file; nothing in it is executed.

        Raises:
            ValueError: the file is not a team.
            OSError: it cannot be read.
        """
        loaded = np.load(path, allow_pickle=False)
        if _HEADER not in getattr(loaded, "files", ()):
            raise ValueError(f"{path}: not a team. Right is a file that dimix -m export wrote.")
        with loaded as file:
            return cls(json.loads(str(file[_HEADER])), {name: file[name] for name in file.files if name != _HEADER})

    def _of(self, groups: Any) -> dict[str, Array]:
        """The weights of agents by their groups; all as they are for None."""
        return {name: array if groups is None else array[groups] for name, array in self._stored.items()}


def _affine(x: Array, weight: Array, bias: Array) -> Array:
    """(..., I) by (O, I), or rows (A, I) each by its own of (A, O, I); plus the bias."""
    if weight.ndim == 3:
        return (weight @ x[..., None])[..., 0] + bias
    return x @ weight.T + bias


def _sigmoid(x: Array) -> Array:
    return np.float32(0.5) * (np.tanh(np.float32(0.5) * x) + np.float32(1))  # does not overflow


def _one_hot(index: Array, size: int) -> Array:
    """(rows,) -> (rows, size) float32; a row of zeros where the index is negative."""
    return (index[:, None] == np.arange(size)).astype(np.float32)


def _merged(heads: Array, weight: Array | None) -> Array:
    """(..., heads, size) -> (..., size): the mean weighted by a softmax; without weights, the only head."""
    if weight is None:
        return heads[..., 0, :]
    share = np.exp(weight - weight.max(0))
    return (heads * (share / share.sum(0))).sum(-2)


def _columns(kind: Mapping[str, Any]) -> Array:
    return np.arange(kind["column"], kind["column"] + kind["count"] * kind["size"])


def _can_target(kind: Mapping[str, Any], x: Array) -> Array:
    """(rows, 1): 1 for agents whose actions name units of this kind, else 0."""
    if not kind.get("named_by"):
        return np.ones((len(x), 1), np.float32)
    return (x[:, kind["named_by"]] != 0).any(1, keepdims=True).astype(np.float32)
