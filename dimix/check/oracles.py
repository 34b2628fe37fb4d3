"""Checks of results that can be computed twice: by the library, and from their definition."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from dimix.check.targets import largest_difference
from dimix.model import Mixer
from dimix.policy.exploration import epsilon_greedy
from dimix.replay.priorities import FLOOR, Priorities

#: Name, what it proves, the expected result, and the function that measures it.
Entry = tuple[str, str, str, Callable[[], tuple[bool, str]]]


def targets(kind: str, parameters: tuple[float, ...]) -> tuple[bool, str]:
    """Compare targets with sums over the future."""
    worst = max(largest_difference(kind, parameter, seed) for parameter in parameters for seed in range(3))
    return worst < 1e-9, f"off by {worst:.0e}"


def priority_frequencies() -> tuple[bool, str]:
    """Compare how often each unit is drawn, and its weight, with p**alpha / sum and (n P)**-beta."""
    p, alpha, beta, draws = np.array([1.0, 2.0, 4.0, 8.0]), 0.6, 0.4, 20_000
    priorities, rng = Priorities(alpha, beta), np.random.default_rng(0)
    priorities.append(len(p))
    priorities.update(np.arange(len(p)), p - FLOOR)
    chance = p**alpha / (p**alpha).sum()
    counts = np.zeros(len(p))
    for _ in range(draws):
        counts[priorities.draw(rng, 1)[0]] += 1
    off = float((np.abs(counts / draws - chance) / np.sqrt(chance * (1 - chance) / draws)).max())
    units, weight = priorities.draw(rng, len(p))
    right = (len(p) * chance) ** -beta
    exact = np.allclose(weight, (right / right.max())[units])
    return off < 4.5 and exact, f"{off:.1f} deviations, weights {'equal' if exact else 'differ'}"


def mixer_slopes() -> tuple[bool, str]:
    """Smallest derivative of q_tot with respect to any agent's q, over random mixers and states."""
    smallest = float("inf")
    for seed in range(20):
        torch.manual_seed(seed)
        mixer = Mixer(5, 7, embed_dim=8, hypernet_embed_dim=8, hypernet_layers=1 + seed % 2)
        q = (10 * torch.randn(64, 5)).requires_grad_()
        (slope,) = torch.autograd.grad(mixer(q, 10 * torch.randn(64, 7)).sum(), q)
        smallest = min(smallest, slope.min().item())
    return smallest >= 0, f"{smallest:.1e}"


def masked_choices() -> tuple[bool, str]:
    """Count masked actions that are chosen, at any epsilon, although their values are the largest."""
    rng, chosen = np.random.default_rng(0), 0
    for epsilon in (0.0, 0.3, 1.0):
        mask = rng.random((500, 5, 9)) < 0.4
        mask[..., 0] |= ~mask.any(-1)
        q = np.where(mask, rng.standard_normal(mask.shape), 1e6).astype(np.float32)
        action = epsilon_greedy(q, mask, epsilon, rng)
        chosen += int((~np.take_along_axis(mask, action[..., None], -1)).sum())
    return chosen == 0, f"{chosen} of 7500"


ORACLES: list[Entry] = [
    ("TD(lambda)", "targets at ends, cuts, padding", "off by < 1e-9", lambda: targets("td_lambda", (0.0, 0.6, 1.0))),
    ("Q(lambda)", "targets at ends, cuts, padding", "off by < 1e-9", lambda: targets("q_lambda", (0.0, 0.7, 1.0))),
    ("n-step", "targets at ends, cuts, padding", "off by < 1e-9", lambda: targets("n_step", (1, 3, 50))),
    ("priorities", "chances and weights of the formula", "< 4.5 deviations", priority_frequencies),
    ("mixer", "monotonic in every agent", "slopes >= 0", mixer_slopes),
    ("masks", "no unavailable action is played", "0", masked_choices),
]
