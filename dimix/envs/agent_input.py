"""The input of an agent's network: its observation, its last action and its id."""

from __future__ import annotations

import numpy as np

from dimix.errors import EnvError
from dimix.machine.compiled import compiled


class AgentInput:
    """Concatenates base observation, one-hot last action and one-hot agent id, in this order.

    Collector, evaluator and replay buffer share one instance, so that acting and learning see the same numbers. The
    buffer stores only the base observation and rebuilds the one-hots when it samples.

    Args:
        obs_shape: size of the base observation (O_base).
        action_shape: number of actions (N).
        agent_num: agents (A).
        last_action: append the one-hot last action (zeros at the start of an episode).
        agent_id: append the one-hot agent id.
    """

    def __init__(
        self, obs_shape: int, action_shape: int, agent_num: int, last_action: bool = True, agent_id: bool = True
    ) -> None:
        self.obs_shape = obs_shape
        self.action_shape = action_shape
        self.agent_num = agent_num
        self.last_action = last_action
        self.agent_id = agent_id

    @property
    def size(self) -> int:
        """Size of the full input (O)."""
        return self.obs_shape + self.last_action * self.action_shape + self.agent_id * self.agent_num

    @property
    def last_action_column(self) -> int:
        """First column of the one-hot last action; -1 if it is left out."""
        return self.obs_shape if self.last_action else -1

    @property
    def agent_id_column(self) -> int:
        """First column of the one-hot agent id; -1 if it is left out."""
        return self.obs_shape + self.last_action * self.action_shape if self.agent_id else -1

    def build(self, obs: np.ndarray, last_action: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Build the full input.

        Args:
            obs: (..., A, O_base) float32, C-contiguous.
            last_action: (..., A) integer, -1 before the first action.
            out: (..., A, O) float32, C-contiguous, written in place; None allocates a new array.

        Returns:
            (..., A, O) float32.

        Raises:
            EnvError: a shape does not fit.
        """
        lead = obs.shape[:-2]
        if obs.shape[-2:] != (self.agent_num, self.obs_shape):
            raise EnvError(
                f"agent input: obs has shape {obs.shape}. Right is (..., {self.agent_num}, {self.obs_shape})."
            )
        if last_action.shape != (*lead, self.agent_num):
            raise EnvError(
                f"agent input: last_action has shape {last_action.shape}. Right is {(*lead, self.agent_num)}."
            )
        shape = (*lead, self.agent_num, self.size)
        if out is None:
            out = np.empty(shape, np.float32)
        elif out.shape != shape or not out.flags.c_contiguous:
            raise EnvError(f"agent input: out has shape {out.shape}. Right is {shape}, C-contiguous.")
        _join(
            obs.reshape(-1, self.agent_num, self.obs_shape),
            last_action.reshape(-1, self.agent_num),
            self.last_action_column,
            self.agent_id_column,
            out.reshape(-1, self.agent_num, self.size),
        )
        return out


@compiled()
def _join(
    obs: np.ndarray, last_action: np.ndarray, last_action_column: int, agent_id_column: int, out: np.ndarray
) -> None:
    for row in range(obs.shape[0]):
        for agent in range(obs.shape[1]):
            out[row, agent, : obs.shape[2]] = obs[row, agent]
            out[row, agent, obs.shape[2] :] = 0.0
            if last_action_column >= 0 and last_action[row, agent] >= 0:
                out[row, agent, last_action_column + last_action[row, agent]] = 1.0
            if agent_id_column >= 0:
                out[row, agent, agent_id_column + agent] = 1.0
