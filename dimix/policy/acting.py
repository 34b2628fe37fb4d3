"""Acting on the Q-values of a network with memory: epsilon-greedy in training, greedy in evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dimix.model import QMix
from dimix.policy.base import Policy
from dimix.policy.exploration import Explorer, epsilon_greedy, greedy


class ValuePolicy(Policy):
    """A policy that acts on Q-values; a subclass adds learning. Arguments as for `Policy`.

    Collection and evaluation each draw from their own random stream.
    """

    _model: QMix

    @property
    def model(self) -> QMix:
        """The network that acts and learns."""
        return self._model

    @property
    def eval_model(self) -> QMix:
        """The network used in evaluation."""
        return self._model

    def init_hidden(self, num_envs: int) -> Tensor:
        """Hidden state at the start of `num_envs` episodes: (E, A, H) zeros."""
        return self._model.init_hidden(num_envs)

    def _init_collect(self) -> None:
        self._explorer = Explorer(self._cfg.other.eps.hold, self._stream(0))

    def _forward_collect(
        self, obs: Mapping[str, np.ndarray], hidden_state: Tensor, epsilon: float | np.ndarray
    ) -> tuple[np.ndarray, Tensor]:
        q, hidden_state = self._act(self._model, obs, hidden_state)
        return self._explorer.choose(q, obs["action_mask"], epsilon), hidden_state

    def _begin_collect(self, env_ids: np.ndarray) -> None:
        self._explorer.begin(env_ids)

    def _state_dict_collect(self) -> dict[str, Any]:
        return self._explorer.state_dict()

    def _load_state_dict_collect(self, state: dict[str, Any]) -> None:
        self._explorer.load_state_dict(state)

    def _init_eval(self) -> None:
        self._eval_stream = self._stream(1)

    def _forward_eval(
        self, obs: Mapping[str, np.ndarray], hidden_state: Tensor, epsilon: float | np.ndarray = 0.0
    ) -> tuple[np.ndarray, Tensor]:
        q, hidden_state = self._act(self.eval_model, obs, hidden_state)
        self.eval_q = q
        if np.any(epsilon):
            return epsilon_greedy(q, obs["action_mask"], epsilon, self._eval_stream), hidden_state
        return greedy(q, obs["action_mask"]), hidden_state

    def _state_dict_eval(self) -> dict[str, Any]:
        return {"stream": self._eval_stream.bit_generator.state}

    def _load_state_dict_eval(self, state: dict[str, Any]) -> None:
        self._eval_stream.bit_generator.state = state["stream"]

    @torch.no_grad()
    def _act(self, model: QMix, obs: Mapping[str, np.ndarray], hidden_state: Tensor) -> tuple[np.ndarray, Tensor]:
        agent_state = torch.from_numpy(obs["agent_state"]).to(self.device)
        q, hidden_state = model.forward_step(agent_state, hidden_state.to(self.device))
        return q.cpu().numpy(), hidden_state
