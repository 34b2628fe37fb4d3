"""Targets of one episode straight from their definitions, as sums over the future in Python floats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from dimix.policy import value_learning


def brute_force(
    kind: str,
    reward: Sequence[float],
    ended: bool,
    next_q: Sequence[float],
    chosen: Sequence[float],
    gamma: float,
    parameter: float,
) -> list[float]:
    """Targets of all steps of an episode without padding.

    Args:
        kind: ``td_lambda``, ``q_lambda`` or ``n_step``.
        reward: (T,).
        ended: whether the episode terminated; otherwise it was cut and bootstraps from the value.
        next_q: (T,) value of row t+1.
        chosen: (T,) value of the action taken in row t+1.
        gamma: discount.
        parameter: lambda, or n.
    """
    length = len(reward)

    def value(t: int) -> float:  # bootstrap after step t
        return 0.0 if ended and t == length - 1 else next_q[t]

    def n_step(t: int, n: int) -> float:
        n = min(n, length - t)
        return sum(gamma**k * reward[t + k] for k in range(n)) + gamma**n * value(t + n - 1)

    def td_lambda(t: int) -> float:  # (1 - lambda) * sum of lambda^(n-1) * n-step returns, the rest on the longest one
        left, lam = length - t, parameter
        mixed = sum((1 - lam) * lam ** (n - 1) * n_step(t, n) for n in range(1, left))
        return mixed + lam ** (left - 1) * n_step(t, left)

    def q_lambda(t: int) -> float:  # one-step target plus the discounted later TD errors
        total = reward[t] + gamma * value(t)
        for k in range(t + 1, length):
            delta = reward[k] + gamma * value(k) - chosen[k - 1]  # chosen[k - 1]: value of step k's action
            total += (gamma * parameter) ** (k - t) * delta
        return total

    function = {"n_step": lambda t: n_step(t, int(parameter)), "td_lambda": td_lambda, "q_lambda": q_lambda}[kind]
    return [function(t) for t in range(length)]


def largest_difference(kind: str, parameter: float, seed: int, episodes: int = 16, steps: int = 12) -> float:
    """Largest difference of the batched targets from `brute_force`, on random episodes of all lengths and ends.

    Padding is noise, which must not matter.
    """
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, steps + 1, episodes)
    ended = rng.random(episodes) < 0.5
    filled = np.arange(steps)[None] < lengths[:, None]
    terminated = (np.arange(steps)[None] == lengths[:, None] - 1) & ended[:, None]
    reward, next_q, chosen = rng.standard_normal((3, episodes, steps))
    reward_t, terminated_t, filled_t, next_q_t, chosen_t = map(
        torch.from_numpy, (reward, terminated, filled, next_q, chosen)
    )
    if kind == "td_lambda":
        target = value_learning.td_lambda_targets(reward_t, terminated_t, filled_t, next_q_t, 0.9, parameter)
    elif kind == "q_lambda":
        target = value_learning.q_lambda_targets(reward_t, terminated_t, filled_t, next_q_t, chosen_t, 0.9, parameter)
    else:
        target = value_learning.n_step_targets(reward_t, terminated_t, filled_t, next_q_t, 0.9, int(parameter))
    worst = 0.0
    for b, length in enumerate(lengths):
        want = brute_force(kind, reward[b, :length], bool(ended[b]), next_q[b], chosen[b], 0.9, parameter)
        worst = max(worst, float(np.abs(target[b, :length].numpy() - want).max()))
    return worst
