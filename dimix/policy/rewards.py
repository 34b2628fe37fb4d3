"""Rewards as used in the targets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from dimix.machine.ranks import ALONE, Ranks
from dimix.replay.batch import EpisodeBatch


class RunningMoments:
    """Running mean and standard deviation (Chan, Golub and LeVeque 1979).

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
        """Their population standard deviation; 1 before the first."""
        return math.sqrt(self._squares / self.count) if self.count else 1.0

    def add(self, values: Tensor) -> None:
        """Add numbers, of any shape."""
        self.join(self.of(values))

    @classmethod
    def of(cls, values: Tensor) -> RunningMoments:
        """Moments of numbers, of any shape."""
        moments = cls()
        if values.numel():
            values = values.double()
            moments.count, moments.mean = values.numel(), values.mean().item()
            moments._squares = (values - moments.mean).square().sum().item()
        return moments

    def join(self, other: RunningMoments) -> None:
        """Add the numbers that another one has seen."""
        if other.count == 0:
            return
        away, total = other.mean - self.mean, self.count + other.count
        self._squares += other._squares + away**2 * self.count * other.count / total
        self.mean += away * other.count / total
        self.count = total

    def state_dict(self) -> dict[str, Any]:
        """Count, mean and sum of squares."""
        return {"count": self.count, "mean": self.mean, "squares": self._squares}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self.count, self.mean, self._squares = state["count"], state["mean"], state["squares"]


class Rewards:
    """Normalises, scales and clips the rewards of a batch, in this order.

    Args:
        scale: factor on all rewards.
        normalize: to mean 0 and deviation 1 over the batch's filled steps.
        standardise: the same with mean and deviation of all rewards passed to `see`.
        clip: largest magnitude; None does not clip.
        ranks: the processes whose batches are one.
    """

    def __init__(
        self,
        scale: float = 1.0,
        normalize: bool = False,
        standardise: bool = False,
        clip: float | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self._scale, self._normalize, self._standardise, self._clip = scale, normalize, standardise, clip
        self._ranks = ranks
        self.moments = RunningMoments()

    @staticmethod
    def check_config(learn: Mapping[str, Any], report: Callable[[str, str], None]) -> None:
        """See `Policy.check_config`; `learn` is the branch of that name."""
        if learn["reward_normalize"] and learn["reward_standardise"]:
            report("learn.reward_standardise", "True together with reward_normalize. Use one of the two.")

    def see(self, batch: EpisodeBatch) -> None:
        """Add the batch's rewards to the moments, once per update, if rewards are standardised."""
        if self._standardise:
            self._join(self.moments, batch.reward[batch.filled])

    def _join(self, moments: RunningMoments, reward: Tensor) -> RunningMoments:
        """Add all ranks' rewards to moments."""
        for each in self._ranks.every(RunningMoments.of(reward)):
            moments.join(each)
        return moments

    def _batch_moments(self, reward: Tensor) -> tuple[Tensor | float, Tensor | float]:
        if self._ranks.size == 1:
            return reward.mean(), reward.std(correction=0)
        moments = self._join(RunningMoments(), reward)
        return moments.mean, moments.std

    def __call__(self, batch: EpisodeBatch) -> Tensor:
        """(B, T) float."""
        reward = batch.reward
        if self._normalize:
            mean, std = self._batch_moments(reward[batch.filled])
            reward = (reward - mean) / (std + 1e-5)  # the deviation is 0 if all rewards are equal
        if self._standardise:
            reward = (reward - self.moments.mean) / (self.moments.std + 1e-5)
        reward = reward * self._scale
        return reward if self._clip is None else reward.clamp(-self._clip, self._clip)
