"""From Q-values to actions: epsilon-greedy, one coin per agent."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np


def epsilon_greedy(
    q: np.ndarray, action_mask: np.ndarray, epsilon: float | np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Each agent flips its own coin: a random available action with chance epsilon, else the best available one.

    Two numbers per agent are drawn whatever epsilon is, so the stream's position depends on the number of calls alone.

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


def _choose(q: np.ndarray, action_mask: np.ndarray, chance: np.ndarray, coins: np.ndarray) -> np.ndarray:
    if q.shape != action_mask.shape:
        raise ValueError(f"q has shape {q.shape}, action_mask {action_mask.shape}. They must be equal.")
    action = np.empty(q.shape[:2], np.int64)
    _select(q, action_mask, chance, coins, action)
    if (action < 0).any():
        env, agent = np.argwhere(action < 0)[0]
        raise ValueError(f"action_mask: agent {agent} of environment {env} has no available action.")
    return action


@numba.njit(cache=True, nogil=True)
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
