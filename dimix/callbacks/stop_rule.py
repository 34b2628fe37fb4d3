"""When a run stops: because it wins, or because its budget is used up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dimix.callbacks.base import Callback, Run, score_of


class StopRule(Callback):
    """Stops when the mean of the last scores is good enough (one lucky evaluation is not), or at a limit.

    The score of an evaluation is its win rate, or its return where nothing can be won.

    Args:
        stop_value: the mean score that is good enough.
        stop_window: evaluations that count.
        max_env_step: steps allowed; None sets no limit.
        max_train_iter: updates allowed; None sets no limit.

    Attributes:
        scores: score of each evaluation so far, oldest first.
    """

    def __init__(
        self, stop_value: float, stop_window: int, max_env_step: int | None = None, max_train_iter: int | None = None
    ) -> None:
        self.scores: list[float] = []
        self._passed = False  # the score was good enough, and more was asked for
        self._stop_value, self._stop_window = stop_value, stop_window
        self._max_env_step, self._max_train_iter = max_env_step, max_train_iter

    @property
    def last(self) -> list[float]:
        """The scores that count, up to ``stop_window``."""
        return self.scores[-self._stop_window :]

    def go_on(self, run: Run) -> bool:
        """Train on to the limits although the score is good enough; False where that is no reason to stop."""
        if self.stop_reason(run) == "stop_value":
            self._passed = True
            self._passed = self.stop_reason(run) is None
            return self._passed
        return False

    def on_eval_end(self, run: Run, values: Mapping[str, float]) -> None:
        """Remember the score."""
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
        """Put back what ``state_dict`` gave."""
        self.scores = list(state["scores"])
        self._passed = state.get("passed", False)
