"""The rooms of a training run: collector, replay buffer, learner, evaluator, logger, checkpoint."""

from dimix.worker.checkpoint import load_checkpoint, save_checkpoint
from dimix.worker.collector import Collector, CollectStats
from dimix.worker.evaluator import EvalResult, Evaluator
from dimix.worker.learner import Learner
from dimix.worker.logger import MetricLogger
from dimix.worker.open_episodes import Rows, StoredEpisode
from dimix.worker.priorities import Priorities
from dimix.worker.replay_buffer import ReplayBuffer

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
