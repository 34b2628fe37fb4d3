"""Stops a run when it wins or when its budget is spent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dimix.callbacks.base import JITTER_SCORE, Callback, Run, score_of


class StopRule(Callback):
    """Stops when the mean of the latest scores is high enough, or at a limit.

    An evaluation's score is its win rate, or its mean return if the game cannot be won. The mean keeps one lucky
    evaluation from ending the run. With a ``jitter_value``, the games from jittered starts have to be won as well, so
    that a battle known by heart does not end it.

    Args:
        stop_value: mean score that ends the run.
        stop_window: number of evaluations in the mean.
        max_env_step: maximum env steps; None sets no limit.
        max_train_iter: maximum updates; None sets no limit.
        jitter_value: mean win rate from jittered starts that is needed as well; 0: none.

    Attributes:
        scores: score of each evaluation so far, oldest first.
        jitter_scores: win rate of each evaluation from jittered starts.
    """

    def __init__(
        self,
        stop_value: float,
        stop_window: int,
        max_env_step: int | None = None,
        max_train_iter: int | None = None,
        jitter_value: float = 0.0,
    ) -> None:
        self.scores: list[float] = []
        self.jitter_scores: list[float] = []
        self._passed = False  # the score was high enough, but the user asked for more
        self._stop_value, self._stop_window = stop_value, stop_window
        self._max_env_step, self._max_train_iter = max_env_step, max_train_iter
        self._jitter_value = jitter_value

    @property
    def last(self) -> list[float]:
        """The latest scores, at most ``stop_window`` of them."""
        return self.scores[-self._stop_window :]

    @property
    def last_jitter(self) -> list[float]:
        """The same from jittered starts; empty if there are none."""
        return self.jitter_scores[-self._stop_window :]

    def go_on(self, run: Run) -> bool:
        """Keep training to the limits despite a good score; returns False if the score would not stop the run."""
        if self.stop_reason(run) == "stop_value":
            self._passed = True
            self._passed = self.stop_reason(run) is None
            return self._passed
        return False

    def on_eval_end(self, run: Run, values: Mapping[str, float]) -> None:
        """Record the scores."""
        self.scores.append(score_of(run, values))
        if JITTER_SCORE in values:
            self.jitter_scores.append(values[JITTER_SCORE])

    def stop_reason(self, run: Run) -> str | None:
        """``stop_value``, ``env_step``, ``train_iter`` or None."""
        good = self._mean_of_last(self.scores) >= self._stop_value
        skilled = self._jitter_value == 0 or self._mean_of_last(self.jitter_scores) >= self._jitter_value
        if good and skilled and not self._passed:
            return "stop_value"
        if self._max_env_step is not None and run.env_step >= self._max_env_step:
            return "env_step"
        if self._max_train_iter is not None and run.train_iter >= self._max_train_iter:
            return "train_iter"
        return None

    def state_dict(self) -> dict[str, Any]:
        """The scores, and whether they may still end the run."""
        return {"scores": list(self.scores), "jitter_scores": list(self.jitter_scores), "passed": self._passed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self.scores, self.jitter_scores = list(state["scores"]), list(state.get("jitter_scores", []))
        self._passed = state.get("passed", False)

    def _mean_of_last(self, scores: Sequence[float]) -> float:
        """Mean over the window; minus infinity until it is full."""
        last = scores[-self._stop_window :]
        return sum(last) / len(last) if len(last) == self._stop_window else -math.inf
