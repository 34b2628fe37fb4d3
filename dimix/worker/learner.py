"""Updates the policy from sampled batches and averages the metrics that it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dimix.errors import TrainingError
from dimix.machine.ranks import ALONE, Ranks
from dimix.policy.base import LearnMode
from dimix.replay.batch import EpisodeBatch
from dimix.replay.step_store import StepStore


class Learner:
    """Trains a policy's ``learn_mode`` on batches from a buffer.

    Args:
        policy: a policy's ``learn_mode``.
        buffer: source of the batches.
        batch_size: sampling units per update.
        ranks: the processes that make each update together.

    Attributes:
        train_iter: updates so far.
        sampled_steps: steps learned from so far, without padding; divided by ``env_step``, the achieved replay ratio.
        last_batch: batch of the last update, in memory that the next sample overwrites.
    """

    def __init__(self, policy: LearnMode, buffer: StepStore, batch_size: int, ranks: Ranks = ALONE) -> None:
        self.train_iter = 0
        self.sampled_steps = 0
        self.last_batch: EpisodeBatch | None = None
        self._policy = policy
        self._buffer = buffer
        self._batch_size = batch_size
        self._ranks = ranks
        self._before: Sequence[Callable[[EpisodeBatch], None]] = ()
        self._after: Sequence[Callable[[EpisodeBatch, Mapping[str, Any]], Mapping[str, float] | None]] = ()
        self._announced: Sequence[str] = ()

    def follow(
        self,
        before: Sequence[Callable[[EpisodeBatch], None]],
        after: Sequence[Callable[[EpisodeBatch, Mapping[str, Any]], Mapping[str, float] | None]],
        names: Sequence[str],
    ) -> None:
        """Call functions around every update.

        Args:
            before: called with the batch.
            after: called with the batch and the update's metrics; may return more metrics.
            names: names of the metrics that they may return.
        """
        self._before, self._after, self._announced = before, after, names

    def train(self, n_updates: int, episode_count: int = 0) -> dict[str, float]:
        """Make updates.

        Args:
            n_updates: number of updates; none are made while the buffer has too few units for a batch.
            episode_count: training episodes played so far.

        Returns:
            Mean of each metric over the updates that returned it; empty if no update was made.

        Raises:
            TrainingError: the loss or a gradient is not a number; ``last_batch`` is the batch that caused it.
        """
        if self._ranks.largest(not self._buffer.can_sample(self._batch_size)):
            return {}
        self._policy.see_episodes(episode_count)
        total: dict[str, float] = {}
        count: dict[str, int] = {}
        for _ in range(n_updates):
            self.last_batch = self._buffer.sample(self._batch_size)
            metrics, added = self._update(self.last_batch)
            if "priority" in metrics:
                self._buffer.update_priority(metrics["priority"])
            self.train_iter += 1
            self.sampled_steps += int(self.last_batch.filled.sum())
            for name, value in ({name: metrics[name] for name in self._policy.monitor_vars()} | added).items():
                total[name] = total.get(name, 0.0) + float(value)
                count[name] = count.get(name, 0) + 1
        return {name: value / count[name] for name, value in total.items()}

    def _update(self, batch: EpisodeBatch) -> tuple[dict[str, Any], dict[str, float]]:
        """One update with the functions around it; returns the policy's metrics and the added ones."""
        for look in self._before:
            look(batch)
        metrics = self._policy.forward(batch)
        added: dict[str, float] = {}
        for hook in self._after:
            added |= hook(batch, metrics) or {}
        if unknown := [name for name in added if name not in self._announced]:
            raise TrainingError(
                f"on_update_end: metric '{unknown[0]}' is not announced. List it in metric_names of its callback."
            )
        return metrics, added

    def state_dict(self) -> dict[str, Any]:
        """The counters; the policy and the buffer have their own states."""
        return {"train_iter": self.train_iter, "sampled_steps": self.sampled_steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self.train_iter = state["train_iter"]
        self.sampled_steps = state["sampled_steps"]
