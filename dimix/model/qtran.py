"""QTRAN's model: agents that act, and an unrestricted joint value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dimix.model.qmix import QMix, Report
from dimix.registry import MODEL_REGISTRY


class JointNetwork(nn.Module):
    """``Q(s, u)`` of the whole team and ``V(s)`` (Son et al. 2019, "QTRAN", section 4).

    One small network encodes each agent's features h and one-hot action; Q reads the state and the sum of the
    encodings over the agents, so its size does not depend on their number.

    Args:
        state_dim: size of the global state (S).
        feature_dim: size of the input of an agent's head (F).
        action_shape: number of actions (N).
        embed_dim: units of the hidden layers.
    """

    def __init__(self, state_dim: int, feature_dim: int, action_shape: int, embed_dim: int) -> None:
        super().__init__()
        code = feature_dim + action_shape
        self.state_dim, self.action_shape = state_dim, action_shape
        self.encoding = _layers([code, code, code])
        self.q_in = nn.Linear(state_dim + code, embed_dim)
        self.q_out = _layers([embed_dim, embed_dim, 1])
        self.v = _layers([state_dim, embed_dim, embed_dim, 1])

    def encode(self, features: Tensor, action: Tensor) -> Tensor:
        """One agent's part of the joint action: (..., F) and (...) int64 -> (..., F + N)."""
        return self.encoding(torch.cat([features, F.one_hot(action, self.action_shape).to(features.dtype)], -1))

    def q(self, state: Tensor, codes: Tensor) -> Tensor:
        """Joint value: state (..., S) and the agents' summed encodings (..., F + N), which broadcast -> (...)."""
        weight = self.q_in.weight
        from_state = F.linear(state, weight[:, : self.state_dim], self.q_in.bias)
        return self.q_out(F.relu(from_state + F.linear(codes, weight[:, self.state_dim :]))).squeeze(-1)

    def value(self, state: Tensor) -> Tensor:
        """(..., S) -> (...): corrects the sum of the agents' values, which do not depend on the state."""
        return self.v(state).squeeze(-1)


def _layers(sizes: Sequence[int]) -> nn.Sequential:
    parts = [part for i, o in pairwise(sizes) for part in (nn.Linear(i, o), nn.ReLU())]
    return nn.Sequential(*parts[:-1])


@MODEL_REGISTRY.register("qtran")
class QTran(QMix):
    """VDN's network, which acts, and the joint network that learns the team's value (`joint`).

    Args:
        sizes: the positional arguments of `QMix`; they may also be given by name.
        embedding_size: see `config` below.
        mixer: see `config` below.
        options: those of `QMix`; those of its mixing network have no effect.

    Raises:
        ValueError: as `QMix`, or a mixer other than the sum.
    """

    config = dict(
        type="qtran",
        # (str | bool) Only "sum" or False: the joint network takes the mixer's place.
        mixer="sum",
        # (int) Units of the joint network's hidden layers, >= 1.
        embedding_size=64,
    )

    @classmethod
    def check_config(cls, cfg: Mapping[str, Any], report: Report) -> None:
        super().check_config(cfg, report)
        if cfg["mixer"] not in (False, "sum"):
            report("mixer", cls._no_mixer(cfg["mixer"]))

    @staticmethod
    def _no_mixer(mixer: str | bool) -> str:
        return f"{mixer!r}. QTRAN has a joint network in the mixer's place; use False."

    @classmethod
    def _reads_state(cls, cfg: Mapping[str, Any]) -> bool:
        return True

    def __init__(self, *sizes: Any, embedding_size: int = 64, mixer: str | bool = "sum", **options: Any) -> None:
        if mixer not in (False, "sum"):
            raise ValueError(f"mixer is {self._no_mixer(mixer)}")
        super().__init__(*sizes, **{**options, "mixer": "sum"})
        self.state_encoder = self._make_encoder()
        state_dim = self.global_obs_shape if self.state_encoder is None else self.state_encoder.out.out_features
        feature_dim = self.agent.head.weight.shape[-1]
        self.joint = JointNetwork(state_dim, feature_dim, self.action_shape, embedding_size)

    @property
    def reads_features(self) -> bool:
        return True

    def joint_q(self, features: Tensor, action: Tensor, counts: Tensor, global_state: Tensor) -> Tensor:
        """Joint value of joint actions.

        Args:
            features: (R, A, F) float.
            action: (R, A) int64.
            counts: (R, A) bool, agents that take part.
            global_state: (R, S) float.

        Returns:
            (R,) float.
        """
        return self.joint.q(self._flat(global_state), self._codes(features, action, counts).sum(1))

    def state_value(self, global_state: Tensor) -> Tensor:
        """V(s): global_state (R, S) -> (R,)."""
        return self.joint.value(self._flat(global_state))

    def counterfactual_q(self, features: Tensor, action: Tensor, counts: Tensor, global_state: Tensor) -> Tensor:
        """Joint values with one agent's action replaced; arguments as in `joint_q`.

        Returns:
            (R, A, N) float; entry (a, n) is the joint value with agent a's action replaced by n.
        """
        codes, state = self._codes(features, action, counts), self._flat(global_state).unsqueeze(1)
        team, every = codes.sum(1), torch.arange(self.action_shape, device=action.device)
        columns = []
        for a in range(self.agent_num):  # one agent at a time: all at once take A times the memory
            own = features[:, a, None].expand(-1, self.action_shape, -1)
            other = self.joint.encode(own, every.expand(len(own), -1)) * counts[:, a, None, None]
            columns.append(self.joint.q(state, (team - codes[:, a]).unsqueeze(1) + other))
        return torch.stack(columns, 1)

    def _codes(self, features: Tensor, action: Tensor, counts: Tensor) -> Tensor:
        return self.joint.encode(features, action) * counts.unsqueeze(-1)

    def _flat(self, global_state: Tensor) -> Tensor:
        return global_state if self.state_encoder is None else self.state_encoder(global_state)
