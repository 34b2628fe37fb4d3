"""Priorities of prioritised replay, from TD errors or returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dimix.machine.ranks import ALONE, Ranks
from dimix.replay.batch import EpisodeBatch


class SamplePriority:
    """One priority per sample.

    Args:
        kind: ``"mean"`` or ``"max"`` of the absolute TD errors, or ``"return"``: the return, scaled to [0, 1] by the
            smallest and the largest so far.
        ranks: the processes that share each update, and these two.

    Attributes:
        return_range: these two.
    """

    def __init__(self, kind: str = "mean", ranks: Ranks = ALONE) -> None:
        self._kind, self._ranks = kind, ranks
        self.return_range = [float("inf"), float("-inf")]

    @staticmethod
    def check_config(cfg: Mapping[str, Any], report: Callable[[str, str], None]) -> None:
        """See `Policy.check_config`."""
        if cfg["priority"]:
            return
        if cfg["priority_IS_weight"]:
            report("priority_IS_weight", "True without priorities. Set policy.priority=True too, or this one to False.")
        if cfg["learn"]["priority_type"] == "return":
            report("learn.priority_type", "'return' without priorities. Set policy.priority=True too.")

    def __call__(self, batch: EpisodeBatch, td_error: Tensor, mask: Tensor) -> np.ndarray:
        """Priorities.

        Args:
            batch: for the rewards.
            td_error: (B, ...) float.
            mask: (B, ...) bool, True where the error counts.

        Returns:
            (B,) float.
        """
        if self._kind == "return":
            return self._of_return(batch)
        error, mask = torch.where(mask, td_error.abs(), 0.0).flatten(1), mask.flatten(1)
        if self._kind == "max":
            return error.amax(1).cpu().numpy()
        return (error.sum(1) / mask.sum(1).clamp(min=1)).cpu().numpy()

    def _of_return(self, batch: EpisodeBatch) -> np.ndarray:
        returns = torch.where(batch.filled, batch.reward, 0.0).sum(1)
        low, high = self.return_range
        lowest, highest = -self._ranks.largest(-returns.min().item()), self._ranks.largest(returns.max().item())
        low, high = self.return_range = [min(low, lowest), max(high, highest)]
        return ((returns - low) / max(high - low, 1e-5)).cpu().numpy()
