"""From Q-values to actions: epsilon-greedy, one coin per agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from dimix.machine.compiled import compiled


def epsilon_greedy(
    q: np.ndarray, action_mask: np.ndarray, epsilon: float | np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """A random available action with chance epsilon, drawn per agent, else the best available one.

    Two numbers per agent are drawn whatever epsilon is, so the stream depends on the number of calls alone.

    Args:
        q: (E, A, N) float32.
        action_mask: (E, A, N) bool, True where the action may be taken; at least one per agent.
        epsilon: in [0, 1], one number or one per environment (E,).
        generator: source of the coins.

    Returns:
        (E, A) int64.

    Raises:
        ValueError: the shapes differ, or an agent has no available action.
    """
    envs, agents, _ = q.shape
    chance = np.empty(envs)
    chance[:] = epsilon
    return _choose(q, action_mask, chance, generator.random((2, envs, agents)))


def greedy(q: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
    """Best available action of each agent, the first one on a tie: (E, A, N), (E, A, N) -> (E, A) int64.

    Raises:
        ValueError: the shapes differ, or an agent has no available action.
    """
    envs, agents, _ = q.shape
    return _choose(q, action_mask, np.zeros(envs), np.ones((2, envs, agents)))


_NONE, _FIRST = -1, -2  # instead of a held action: there is none; the episode has just begun


class Explorer:
    """Epsilon-greedy with random actions that last ``hold`` steps on average, while they are available.

    Independent random steps hardly move a unit; held ones do, so agents come across retreats and chases. After Dabney,
    Ostrovski and Barreto 2021, "Temporally-Extended epsilon-Greedy Exploration", with geometric durations. Epsilon
    stays the share of random steps: a random action continues with chance ``1 - 1 / hold``, and a new one begins with
    chance ``epsilon / (hold - epsilon * (hold - 1))``, or ``epsilon`` in the first step of an episode.

    Args:
        hold: mean length of a random action in steps, >= 1; with 1 this is `epsilon_greedy`.
        generator: source of the coins.
    """

    def __init__(self, hold: float, generator: np.random.Generator) -> None:
        self._hold = hold
        self._generator = generator
        self._held = np.zeros((0, 0), np.int64)  # (E, A) random action that may continue, or _NONE, _FIRST

    def choose(self, q: np.ndarray, action_mask: np.ndarray, epsilon: float | np.ndarray) -> np.ndarray:
        """Actions (E, A) of one step; arguments and errors as in `epsilon_greedy`."""
        if self._hold == 1:
            return epsilon_greedy(q, action_mask, epsilon, self._generator)
        envs, agents = q.shape[:2]
        if self._held.shape != (envs, agents):
            self._held = np.full((envs, agents), _FIRST)
        share = np.broadcast_to(np.reshape(epsilon, (-1, 1)), (envs, 1))
        goes_on, begins = self._generator.random((2, envs, agents))
        held = np.take_along_axis(action_mask, np.maximum(self._held, 0)[..., None], -1)[..., 0] & (self._held >= 0)
        held &= (goes_on >= 1 / self._hold) & (share > 0)
        often = np.where(self._held == _FIRST, share, share / (self._hold - share * (self._hold - 1)))
        fresh = ~held & (begins < often)
        drawn = epsilon_greedy(q, action_mask, 1.0, self._generator)
        self._held = np.where(held, self._held, np.where(fresh, drawn, _NONE))
        return np.where(self._held >= 0, self._held, greedy(q, action_mask))

    def begin(self, env_ids: np.ndarray) -> None:
        """Begin a new episode in these environments (K,): nothing is held."""
        self._held[env_ids[env_ids < len(self._held)]] = _FIRST

    def state_dict(self) -> dict[str, Any]:
        """Random stream and held actions."""
        return {"stream": self._generator.bit_generator.state, "held": torch.from_numpy(self._held.copy())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self._generator.bit_generator.state = state["stream"]
        self._held = torch.as_tensor(state.get("held", torch.zeros(0, 0))).numpy().astype(np.int64)  # not in old files


def _choose(q: np.ndarray, action_mask: np.ndarray, chance: np.ndarray, coins: np.ndarray) -> np.ndarray:
    if q.shape != action_mask.shape:
        raise ValueError(f"q has shape {q.shape}, action_mask {action_mask.shape}. They must be equal.")
    action = np.empty(q.shape[:2], np.int64)
    _select(q, action_mask, chance, coins, action)
    if (action < 0).any():
        env, agent = np.argwhere(action < 0)[0]
        raise ValueError(f"action_mask: agent {agent} of environment {env} has no available action.")
    return action


@compiled()
def _select(q: Any, action_mask: Any, chance: Any, coins: Any, action: Any) -> None:  # pragma: no cover - compiled
    envs, agents, actions = q.shape
    for e in range(envs):
        for a in range(agents):
            available, best = 0, -1
            for n in range(actions):
                if action_mask[e, a, n]:
                    available += 1
                    if best < 0 or q[e, a, n] > q[e, a, best]:
                        best = n
            if available > 0 and coins[0, e, a] < chance[e]:
                skip = min(int(coins[1, e, a] * available), available - 1)
                for n in range(actions):
                    if action_mask[e, a, n]:
                        if skip == 0:
                            best = n
                            break
                        skip -= 1
            action[e, a] = best
