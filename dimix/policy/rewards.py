"""Rewards as the targets see them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from dimix.replay.batch import EpisodeBatch


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


class Rewards:
    """Normalises the rewards of a batch, scales them, clips them, in this order.

    Args:
        scale: factor on all rewards.
        normalize: bring those of the batch's real steps to mean 0 and deviation 1 first.
        standardise: the same with mean and deviation of all rewards that `see` has seen.
        clip: their largest size in the end; None does not clip.
    """

    def __init__(
        self, scale: float = 1.0, normalize: bool = False, standardise: bool = False, clip: float | None = None
    ) -> None:
        self._scale, self._normalize, self._standardise, self._clip = scale, normalize, standardise, clip
        self.moments = RunningMoments()

    @staticmethod
    def check_config(learn: Mapping[str, Any], report: Callable[[str, str], None]) -> None:
        """Report what does not fit in a policy's branch ``learn``; see `Policy.check_config`."""
        if learn["reward_normalize"] and learn["reward_standardise"]:
            report("learn.reward_standardise", "True together with reward_normalize. Use one of the two.")

    def see(self, batch: EpisodeBatch) -> None:
        """Count the batch's real rewards, where they are standardised: once per update, before it."""
        if self._standardise:
            self.moments.add(batch.reward[batch.filled])

    def __call__(self, batch: EpisodeBatch) -> Tensor:
        """(B, T) float."""
        reward = batch.reward
        if self._normalize:
            real = reward[batch.filled]
            reward = (reward - real.mean()) / (real.std(correction=0) + 1e-5)  # deviation 0: all rewards alike
        if self._standardise:
            reward = (reward - self.moments.mean) / (self.moments.std + 1e-5)
        reward = reward * self._scale
        return reward if self._clip is None else reward.clamp(-self._clip, self._clip)
