"""Saves the policy with the best evaluation, or the best mean of several."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dimix.callbacks.base import JITTER_SCORE, Callback, Run, score_of


class BestPolicy(Callback):
    """Saves the networks whenever an evaluation beats all earlier ones.

    Evaluations are ranked by win rate (by return if the game cannot be won), the mean of both where games from jittered
    starts are played as well; then by return. With a ``window``, the means over the latest evaluations are ranked, so
    that one lucky evaluation does not count; until it is full, the latest networks are saved.

    Args:
        path: checkpoint to write.
        window: number of evaluations in the mean.
    """

    def __init__(self, path: Path, window: int = 1) -> None:
        self._path, self._window = path, window
        self._last: list[list[float]] = []  # score and return of the latest evaluations
        self._best: list[float] | None = None

    def on_eval_end(self, run: Run, values: Mapping[str, float]) -> None:
        """Save if this evaluation is the best so far."""
        score = score_of(run, values)
        was_full = len(self._last) == self._window
        latest = [(score + values.get(JITTER_SCORE, score)) / 2, values["eval/ep_reward"]]
        self._last = [*self._last, latest][-self._window :]
        rank = [sum(column) / len(column) for column in zip(*self._last, strict=True)]
        if self._best is None or not was_full or rank > self._best:
            self._best = rank
            run.save_weights(self._path)

    def state_dict(self) -> dict[str, Any]:
        """The best rank so far, and the latest evaluations."""
        return {"best": self._best, "last": self._last}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self._best = state["best"]
        self._last = state.get("last", [self._best] if self._best else [])
