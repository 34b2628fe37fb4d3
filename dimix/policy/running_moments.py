"""Mean and deviation of a stream of numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor


class RunningMoments:
    """Mean and deviation of everything seen so far, each number counted once (Chan, Golub and LeVeque 1979).

    Attributes:
        count: numbers seen.
        mean: their mean; 0 before the first.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0  # sum of squared distances from the mean

    @property
    def std(self) -> float:
        """Their deviation (of the whole, not of a sample); 1 before the first."""
        return math.sqrt(self._squares / self.count) if self.count else 1.0

    def add(self, values: Tensor) -> None:
        """See some more numbers, of any shape."""
        new = values.numel()
        if new == 0:
            return
        values = values.double()
        mean = values.mean().item()
        away, total = mean - self.mean, self.count + new
        self._squares += (values - mean).square().sum().item() + away**2 * self.count * new / total
        self.mean += away * new / total
        self.count = total

    def state_dict(self) -> dict[str, Any]:
        """Three numbers."""
        return {"count": self.count, "mean": self.mean, "squares": self._squares}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put back what ``state_dict`` gave."""
        self.count, self.mean, self._squares = state["count"], state["mean"], state["squares"]
