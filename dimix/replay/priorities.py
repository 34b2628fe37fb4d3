"""Prioritised sampling (Schaul et al. 2016): units with larger errors are drawn more often."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dimix.machine.compiled import compiled
from dimix.machine.ranks import ALONE, Ranks

FLOOR = 1e-6  # added to every priority, so that a unit with zero error can still be drawn


class Priorities:
    """Priorities of sampling units, oldest first.

    Unit i is drawn with probability P(i) = p_i**alpha / sum(p**alpha). The units of one draw are drawn one after
    another without replacement. A new unit gets the largest priority seen so far, so that it is sampled soon.

    The p**alpha are the leaves of a sum tree: drawing or updating one of n units takes log2(n) additions. Every sum
    depends only on its two halves, so a tree rebuilt from its leaves equals the old one.

    Args:
        alpha: exponent of the priorities, in [0, 1]; 0 is uniform.
        beta: initial share of the bias that the weights correct, in [0, 1]; 1 is all of it.
        anneal_step: draws over which beta rises linearly to 1; 0 keeps it constant.
        ranks: the processes that draw one batch together, each its part from units of its own.
    """

    def __init__(self, alpha: float = 0.6, beta: float = 0.4, anneal_step: int = 0, ranks: Ranks = ALONE) -> None:
        self.alpha = alpha
        self._ranks = ranks
        self._start_beta = beta
        self._anneal_step = anneal_step
        self._draws = 0
        self._largest = 1.0
        self._place(np.empty(0), 0, 1024)

    def _place(self, values: np.ndarray, head: int, size: int) -> None:
        """Lay out the priorities on a ring of `size` leaves (a power of two), the oldest at `head`."""
        self._head, self._count = head, len(values)
        self._values = np.zeros(size)  # by leaf
        self._tree = np.zeros(2 * size)  # the root is 1, the children of k are 2k and 2k + 1, the leaves come last
        leaves = self._leaves(np.arange(len(values)))
        self._values[leaves] = values
        _set_leaves(self._tree, leaves, values**self.alpha)

    def _leaves(self, units: np.ndarray) -> np.ndarray:
        return (self._head + units) % len(self._values)

    @property
    def beta(self) -> float:
        """Share of the bias that the next draw's weights correct."""
        if self._anneal_step == 0:
            return self._start_beta
        return self._start_beta + (1.0 - self._start_beta) * min(self._draws / self._anneal_step, 1.0)

    @property
    def values(self) -> np.ndarray:
        """(n,) float64, a copy of the priorities."""
        return self._values[self._leaves(np.arange(self._count))]

    def append(self, count: int) -> None:
        """Add new units at the end."""
        if self._count + count > len(self._values):
            size = len(self._values)
            while size < self._count + count:
                size *= 2
            self._place(self.values, 0, size)
        self._count += count
        self._write(np.arange(self._count - count, self._count), np.full(count, self._largest))

    def drop(self, count: int) -> None:
        """Remove the oldest units."""
        leaves = self._leaves(np.arange(count))
        _set_leaves(self._tree, leaves, np.zeros(count))
        self._head = (self._head + count) % len(self._values)
        self._count -= count

    def draw(self, rng: np.random.Generator, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw units without replacement.

        Returns:
            Units (B,) int64, and importance weights (B,): (n P(i))**-beta, divided by their maximum in the batch.
        """
        leaves = np.empty(batch_size, np.int64)
        _draw(self._tree, rng.random(batch_size), leaves)
        chance = self._tree[len(self._values) + leaves] / self._tree[1]
        weight = (self._count * chance) ** -self.beta
        self._draws += 1
        return (leaves - self._head) % len(self._values), weight / self._ranks.largest(weight.max())

    def update(self, units: np.ndarray, priority: np.ndarray) -> None:
        """Set the priorities of some units; values >= 0."""
        values = np.asarray(priority, np.float64) + FLOOR
        self._write(units, values)
        self._largest = max(self._largest, float(values.max()))

    def _write(self, units: np.ndarray, values: np.ndarray) -> None:
        leaves = self._leaves(units)
        self._values[leaves] = values
        _set_leaves(self._tree, leaves, values**self.alpha)

    def state_dict(self) -> dict[str, Any]:
        """The priorities and their layout, the largest one ever, and the number of draws."""
        return {
            "values": self.values,
            "largest": self._largest,
            "head": self._head,
            "size": len(self._values),
            "draws": self._draws,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned, or the state of a version without a tree (values and largest only)."""
        values = np.array(state["values"], np.float64)
        size = max(1024, 1 << max(len(values) - 1, 0).bit_length())
        self._place(values, state.get("head", 0), state.get("size", size))
        self._largest = state["largest"]
        self._draws = state.get("draws", 0)


@compiled()
def _set_leaf(tree: Any, leaf: int, value: float) -> None:  # pragma: no cover - compiled
    node = len(tree) // 2 + leaf
    tree[node] = value
    while node > 1:
        node //= 2
        tree[node] = tree[2 * node] + tree[2 * node + 1]


@compiled()
def _set_leaves(tree: Any, leaves: Any, values: Any) -> None:  # pragma: no cover - compiled
    for i in range(len(leaves)):
        _set_leaf(tree, leaves[i], values[i])


@compiled()
def _draw(tree: Any, coins: Any, leaves: Any) -> None:  # pragma: no cover - compiled
    """Fill `leaves` with distinct leaves, one per coin in [0, 1); the tree is restored afterwards."""
    size = len(tree) // 2
    kept = np.empty(len(coins))
    for i in range(len(coins)):
        mass, node = coins[i] * tree[1], 1
        while node < size:
            left = tree[2 * node]
            if mass < left or tree[2 * node + 1] == 0.0:  # rounding must not lead to an empty half
                node = 2 * node
            else:
                mass -= left
                node = 2 * node + 1
        leaves[i], kept[i] = node - size, tree[node]
        _set_leaf(tree, node - size, 0.0)
    _set_leaves(tree, leaves, kept)
