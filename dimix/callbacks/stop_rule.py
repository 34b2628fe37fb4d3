"""Stops a run when it wins or when its budget is spent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dimix.callbacks.base import Callback, Run, score_of


class StopRule(Callback):
    """Stops when the mean of the latest scores is high enough, or at a limit.

    An evaluation's score is its win rate, or its mean return if the game cannot be won. The mean keeps one lucky
    evaluation from ending the run.

    Args:
        stop_value: mean score that ends the run.
        stop_window: number of evaluations in the mean.
        max_env_step: maximum env steps; None sets no limit.
        max_train_iter: maximum updates; None sets no limit.

    Attributes:
        scores: score of each evaluation so far, oldest first.
    """

    def __init__(
        self, stop_value: float, stop_window: int, max_env_step: int | None = None, max_train_iter: int | None = None
    ) -> None:
        self.scores: list[float] = []
        self._passed = False  # the score was high enough, but the user asked for more
        self._stop_value, self._stop_window = stop_value, stop_window
        self._max_env_step, self._max_train_iter = max_env_step, max_train_iter

    @property
    def last(self) -> list[float]:
        """The latest scores, at most ``stop_window`` of them."""
        return self.scores[-self._stop_window :]

    def go_on(self, run: Run) -> bool:
        """Keep training to the limits despite a good score; returns False if the score would not stop the run."""
        if self.stop_reason(run) == "stop_value":
            self._passed = True
            self._passed = self.stop_reason(run) is None
            return self._passed
        return False

    def on_eval_end(self, run: Run, values: Mapping[str, float]) -> None:
        """Record the score."""
        self.scores.append(score_of(run, values))

    def stop_reason(self, run: Run) -> str | None:
        """``stop_value``, ``env_step``, ``train_iter`` or None."""
        full = len(self.last) == self._stop_window
        if full and not self._passed and sum(self.last) / self._stop_window >= self._stop_value:
            return "stop_value"
        if self._max_env_step is not None and run.env_step >= self._max_env_step:
            return "env_step"
        if self._max_train_iter is not None and run.train_iter >= self._max_train_iter:
            return "train_iter"
        return None

    def state_dict(self) -> dict[str, Any]:
        """The scores, and whether they may still end the run."""
        return {"scores": list(self.scores), "passed": self._passed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self.scores = list(state["scores"])
        self._passed = state.get("passed", False)
