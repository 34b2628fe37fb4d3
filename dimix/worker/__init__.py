"""The components of a training run: collector, replay buffer, learner, evaluator, logger, checkpoint."""

from dimix.machine.checkpoint_file import load_checkpoint, save_checkpoint
from dimix.replay.buffer import ReplayBuffer
from dimix.replay.open_episodes import Rows, StoredEpisode
from dimix.replay.priorities import Priorities
from dimix.worker.collector import Collector, CollectStats
from dimix.worker.evaluator import EvalResult, Evaluator
from dimix.worker.learner import Learner
from dimix.worker.logger import MetricLogger

__all__ = [
    "CollectStats",
    "Collector",
    "EvalResult",
    "Evaluator",
    "Learner",
    "MetricLogger",
    "Priorities",
    "ReplayBuffer",
    "Rows",
    "StoredEpisode",
    "load_checkpoint",
    "save_checkpoint",
]
