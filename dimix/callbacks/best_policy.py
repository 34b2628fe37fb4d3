"""Saves the policy with the best evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dimix.callbacks.base import JITTER_SCORE, Callback, Run, score_of


class BestPolicy(Callback):
    """Saves the networks whenever an evaluation beats all earlier ones.

    Evaluations are ranked by win rate (by return if the game cannot be won), the mean of both where games from jittered
    starts are played as well; then by return.

    Args:
        path: checkpoint to write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._best: list[float] | None = None

    def on_eval_end(self, run: Run, values: Mapping[str, float]) -> None:
        """Save if this evaluation is the best so far."""
        score = score_of(run, values)
        rank = [(score + values.get(JITTER_SCORE, score)) / 2, values["eval/ep_reward"]]
        if self._best is None or rank > self._best:
            self._best = rank
            run.save_weights(self._path)

    def state_dict(self) -> dict[str, Any]:
        """The best evaluation so far."""
        return {"best": self._best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self._best = state["best"]
