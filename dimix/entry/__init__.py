"""Entry points: training, training several seeds, evaluation, export, and showing recorded games."""

from dimix.entry.eval_pipeline import EvalSummary, eval_pipeline
from dimix.entry.export_pipeline import export_pipeline
from dimix.entry.multi_seed import run_seeds
from dimix.entry.recording import replay_pipeline
from dimix.entry.serial_pipeline import Result, serial_pipeline
from dimix.entry.watch_pipeline import watch_pipeline

__all__ = [
    "EvalSummary",
    "Result",
    "eval_pipeline",
    "export_pipeline",
    "replay_pipeline",
    "run_seeds",
    "serial_pipeline",
    "watch_pipeline",
]
