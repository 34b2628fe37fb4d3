"""Ways to run: training, training of several seeds at once, evaluation."""

from dimix.entry.eval_pipeline import EvalSummary, eval_pipeline
from dimix.entry.serial_pipeline import Result, serial_pipeline

__all__ = ["EvalSummary", "Result", "eval_pipeline", "serial_pipeline"]
