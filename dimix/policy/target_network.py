"""Target and averaged networks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch import nn

from dimix.policy.optim import soft_update

M = TypeVar("M", bound=nn.Module)


def follower(network: M) -> M:
    """A copy without gradients."""
    return copy.deepcopy(network).requires_grad_(False)


class TargetUpdate:
    """Soft or hard updates of a target network.

    Args:
        theta: soft update after every update, in [0, 1]; has no effect if freq or interval is set.
        freq: updates between two copies, or 0.
        interval: training episodes between two copies, or 0.

    Attributes:
        copied_at: training episodes played at the last copy by `interval`.
    """

    def __init__(self, theta: float, freq: int = 0, interval: int = 0) -> None:
        self._theta, self._freq, self._interval = theta, freq, interval
        self.copied_at = 0

    @staticmethod
    def check_config(learn: Mapping[str, Any], report: Callable[[str, str], None]) -> None:
        """See `Policy.check_config`; `learn` is the branch of that name."""
        freq, interval, theta = (learn[f"target_update_{name}"] for name in ("freq", "interval", "theta"))
        if freq and interval:
            report(
                "learn.target_update_interval",
                f"{interval} episodes, but policy.learn.target_update_freq = {freq} updates as well. Set one of them "
                "to 0.",
            )
        if not (freq or interval or theta):
            report(
                "learn.target_update_theta",
                "0, and so are target_update_freq and target_update_interval: the target network would never change. "
                "Set one, for example target_update_theta=0.05.",
            )

    def __call__(self, target: nn.Module, online: nn.Module, updates: int, episodes: int) -> None:
        """Update the target, given the total number of updates and training episodes."""
        if self._interval:
            if episodes - self.copied_at >= self._interval:
                soft_update(target, online, 1.0)
                self.copied_at = episodes
        elif self._freq == 0:
            soft_update(target, online, self._theta)
        elif updates % self._freq == 0:
            soft_update(target, online, 1.0)


def update_average(average: nn.Module, online: nn.Module, theta: float, updates: int) -> None:
    """Update averaged weights (Polyak and Juditsky 1992, "Acceleration of Stochastic Approximation by Averaging").

    Greedy play needs them: single updates flip it between actions of nearly equal value.

    Args:
        average: network that holds the average.
        online: network that learns.
        theta: step towards online; at least ``9 / (9 + updates)``, so that the average does not lag early in training.
        updates: number made so far.
    """
    soft_update(average, online, max(theta, 9 / (9 + updates)))
