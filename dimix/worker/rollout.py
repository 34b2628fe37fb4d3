"""State that agents carry from step to step while acting, in training and in evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from dimix.envs.agent_input import AgentInput
from dimix.envs.vec_env import VecEnv
from dimix.errors import CheckpointError
from dimix.policy.base import ActMode


class Rollout:
    """State of the agents in one batch of environments, besides the environments' own state.

    Attributes:
        hidden: (E, A, H) tensor, recurrent state of the agents.
        last_action: (E, A) int64, -1 at the start of an episode.
        ep_return: (E,) float64, sum of rewards so far.
    """

    def __init__(self, env: VecEnv, policy: ActMode, agent_input: AgentInput) -> None:
        info = env.info
        self._policy = policy
        self._agent_input = agent_input
        self._start_hidden = policy.init_hidden(1)
        self._agent_state = np.zeros((env.num_envs, info.agent_num, agent_input.size), np.float32)
        self.hidden = policy.init_hidden(env.num_envs)
        self.last_action = np.full((env.num_envs, info.agent_num), -1, np.int64)
        self.ep_return = np.zeros(env.num_envs)

    def begin(self, env_ids: np.ndarray) -> None:
        """Reset the state of these environments for a new episode."""
        self.hidden[torch.from_numpy(env_ids)] = self._start_hidden.to(self.hidden)
        self.last_action[env_ids] = -1
        self.ep_return[env_ids] = 0.0
        self._policy.begin(env_ids)

    def step(self, env: VecEnv, epsilon: float) -> np.ndarray:
        """Choose actions for all environments in one call and step them; returns the actions (E, A)."""
        agent_state = self._agent_input.build(env.agent_state, self.last_action, self._agent_state)
        obs = {"agent_state": agent_state, "action_mask": env.action_mask}
        action, self.hidden = self._policy.forward(obs, self.hidden, epsilon)
        env.step(action)
        self.last_action[:] = action
        self.ep_return += env.reward
        return action

    def state_dict(self) -> dict[str, Any]:
        """All attributes."""
        return {
            "hidden": self.hidden.cpu().clone(),
            "last_action": self.last_action.copy(),
            "ep_return": self.ep_return.copy(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned.

        Raises:
            CheckpointError: another number of environments, agents or hidden units.
        """
        if state["hidden"].shape != self.hidden.shape:
            raise CheckpointError(
                f"hidden states of running games: shape {tuple(state['hidden'].shape)}. "
                f"Right is {tuple(self.hidden.shape)}: same number of environments, agents and hidden units."
            )
        self.hidden = state["hidden"].to(self.hidden)
        self.last_action[:] = state["last_action"]
        self.ep_return[:] = state["ep_return"]
