"""Keeps the policy of the best evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dimix.callbacks.base import Callback, Run, score_of


class BestPolicy(Callback):
    """Saves the networks when an evaluation is better than all before it.

    Compared are, in this order: win rate (or return, where nothing can be won), win rate from jittered starts, return.

    Args:
        path: the checkpoint to write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._best: list[float] | None = None

    def on_eval_end(self, run: Run, values: Mapping[str, float]) -> None:
        """Save when it is the best."""
        rank = [score_of(run, values), values.get("eval/battle_won_jitter", 0.0), values["eval/ep_reward"]]
        if self._best is None or rank > self._best:
            self._best = rank
            run.save_weights(self._path)

    def state_dict(self) -> dict[str, Any]:
        """What has to be beaten."""
        return {"best": self._best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put back what ``state_dict`` gave."""
        self._best = state["best"]
