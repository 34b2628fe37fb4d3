"""Networks that follow the one that learns: when, and how far."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch import nn

from dimix.policy.optim import soft_update

M = TypeVar("M", bound=nn.Module)


def follower(network: M) -> M:
    """A copy that knows no gradient."""
    return copy.deepcopy(network).requires_grad_(False)


class TargetUpdate:
    """Moves a target network after each update: a share of the way, or all of it every so often.

    Args:
        theta: share of the way per update, in [0, 1]; without effect next to one of the others.
        freq: copy every so many updates instead; 0 does not.
        interval: copy every so many training episodes instead; 0 does not.

    Attributes:
        copied_at: training episodes played at the last copy by `interval`.
    """

    def __init__(self, theta: float, freq: int = 0, interval: int = 0) -> None:
        self._theta, self._freq, self._interval = theta, freq, interval
        self.copied_at = 0

    @staticmethod
    def check_config(learn: Mapping[str, Any], report: Callable[[str, str], None]) -> None:
        """Report what does not fit in a policy's branch ``learn``; see `Policy.check_config`."""
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
        """Follow, after so many updates and training episodes in all."""
        if self._interval:
            if episodes - self.copied_at >= self._interval:
                soft_update(target, online, 1.0)
                self.copied_at = episodes
        elif self._freq == 0:
            soft_update(target, online, self._theta)
        elif updates % self._freq == 0:
            soft_update(target, online, 1.0)


def update_average(average: nn.Module, online: nn.Module, theta: float, updates: int) -> None:
    """Move averaged weights, which greedy play needs: single updates flip it where two actions are worth the same.

    Polyak and Juditsky 1992, "Acceleration of Stochastic Approximation by Averaging".

    Args:
        average: network that holds the average.
        online: network that learns.
        theta: share of the way; more while few updates were made, so that the average reaches back over a tenth of them
            at most and does not lag.
        updates: how many were made.
    """
    soft_update(average, online, max(theta, 9 / (9 + updates)))
