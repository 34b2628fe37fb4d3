"""Writes a run's metrics to CSV, TensorBoard and the console."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dimix.callbacks.base import Callback, Run
from dimix.worker.logger import MetricLogger


class MetricLog(Callback):
    """Passes every row of metrics to a logger."""

    def __init__(self, logger: MetricLogger) -> None:
        self._logger = logger

    def on_metrics(self, run: Run, values: Mapping[str, float]) -> None:
        """Write a row, and print the progress line when it is due."""
        self._logger.record(run.env_step, run.train_iter, values)
        self._logger.progress(run.env_step)

    def on_train_end(self, run: Run, result: Any) -> None:
        """Close the files."""
        if result is not None:
            self._logger.progress(run.env_step, force=True)
        self._logger.close()

    def state_dict(self) -> dict[str, Any]:
        """How much of the log files has been written so far."""
        return {"logger": self._logger.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Drop everything written after ``state_dict`` was taken."""
        self._logger.load_state_dict(state["logger"])
