"""Callbacks: hooks into a training run. Dimix's own logging and stopping rules are callbacks too."""

from dimix.callbacks.base import JITTER_SCORE, Callback, Callbacks, Run
from dimix.callbacks.best_policy import BestPolicy
from dimix.callbacks.metric_log import MetricLog
from dimix.callbacks.stop_rule import StopRule
from dimix.callbacks.wandb_log import WandbLog

__all__ = ["JITTER_SCORE", "BestPolicy", "Callback", "Callbacks", "MetricLog", "Run", "StopRule", "WandbLog"]
