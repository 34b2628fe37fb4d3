"""The callback base class, the view of a run that callbacks get, and the list that calls them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol

from easydict import EasyDict

from dimix.envs.vec_env import EnvInfo
from dimix.policy.base import Policy
from dimix.replay.batch import EpisodeBatch
from dimix.worker.collector import CollectStats


class Run(Protocol):
    """What a callback sees of the training run.

    Attributes:
        cfg: resolved config; read only.
        info: sizes of the environment.
        path: run folder.
        policy: the policy in training.
        env_step: steps so far, summed over all environments.
        train_iter: updates so far.
        out: called with each line of output.
    """

    @property
    def cfg(self) -> EasyDict: ...

    @property
    def info(self) -> EnvInfo: ...

    @property
    def path(self) -> Path: ...

    @property
    def policy(self) -> Policy: ...

    @property
    def env_step(self) -> int: ...

    @property
    def train_iter(self) -> int: ...

    @property
    def out(self) -> Callable[[str], None]: ...

    def save_weights(self, path: Path) -> None:
        """Write a policy checkpoint: the networks and the latest evaluation."""
        ...


#: Win rate from jittered starts among an evaluation's metrics, where such games are played.
JITTER_SCORE = "eval/battle_won_jitter"


def score_of(run: Run, values: Mapping[str, float]) -> float:
    """Score of an evaluation: its win rate, or its mean return if the game cannot be won."""
    return values["eval/battle_won" if run.info.has_win else "eval/ep_reward"]


class Callback:
    """Base class for callbacks. Override the hooks you need; the others cost nothing.

    Register a class with ``@CALLBACK_REGISTRY.register("name")`` and enable it with
    ``run.callbacks=dict(name=dict(...))``.
    Its options are the keys of its ``config``, checked like all other keys, and are passed to its constructor. You can
    also pass an object to ``serial_pipeline(callbacks=[...])``.

    The constructor should only store its arguments, or raise a ConfigError if the callback cannot work. Open files and
    connections in ``on_train_start``.

    Attributes:
        config: commented defaults of its options.
        metric_names: names that ``on_update_end`` may return; logged as ``train/<name>``.
    """

    config: ClassVar[dict[str, Any]] = {}
    metric_names: Sequence[str] = ()

    def on_train_start(self, run: Run) -> None:
        """Called before the first round, also when a run resumes (after ``load_state_dict``)."""

    def on_collect_end(self, run: Run, stats: CollectStats) -> None:
        """Called when new episodes are in the replay buffer."""

    def on_update_start(self, run: Run, batch: EpisodeBatch) -> None:
        """Called before an update. The next update overwrites the batch, so copy what you keep."""

    def on_update_end(self, run: Run, batch: EpisodeBatch, metrics: Mapping[str, Any]) -> Mapping[str, float] | None:
        """Called after an update; the returned metrics are averaged over the round's updates and logged."""
        return None

    def on_metrics(self, run: Run, values: Mapping[str, float]) -> None:
        """Called with each complete row of metrics: one round of collecting and updating, or one evaluation."""

    def on_eval_end(self, run: Run, values: Mapping[str, float]) -> None:
        """Called after an evaluation; ``values`` are its metrics by full name (``eval/battle_won``)."""

    def on_checkpoint(self, run: Run, path: Path) -> None:
        """Called when a resume checkpoint has been written to ``path``."""

    def on_train_end(self, run: Run, result: Any) -> None:
        """Called after the last round; ``result`` is the `dimix.entry.Result`, or None if an error ended the run."""

    def stop_reason(self, run: Run) -> str | None:
        """Called before each round; returns one word saying why training should stop, or None to continue."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """State needed to resume: numbers, strings, arrays, tensors, and lists and dicts of them."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""


_MOMENTS = [name for name in vars(Callback) if name.startswith("on_") or name == "stop_reason"]


class Callbacks:
    """A list of callbacks, called in order. Hooks that a callback does not override are skipped."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self._named: dict[str, Callback] = {}
        for callback in callbacks:
            name = type(callback).__name__
            twins = sum(type(c).__name__ == name for c in self._named.values())
            self._named[f"{name} {twins + 1}" if twins else name] = callback
        self._hooks = {moment: self._overriding(moment) for moment in _MOMENTS}

    def _overriding(self, moment: str) -> list[Callable[..., Any]]:
        base = getattr(Callback, moment)
        return [getattr(c, moment) for c in self._named.values() if getattr(type(c), moment) is not base]

    @property
    def metric_names(self) -> list[str]:
        """Metrics that ``on_update_end`` of any callback may return."""
        return [name for callback in self._named.values() for name in callback.metric_names]

    def bound(self, moment: str, run: Run) -> list[Callable[..., Any]]:
        """The overridden functions of one hook, with the run already bound."""
        return [partial(hook, run) for hook in self._hooks[moment]]

    def call(self, moment: str, run: Run, *args: Any) -> None:
        """Call one hook of every callback."""
        for hook in self._hooks[moment]:
            hook(run, *args)

    def stop_reason(self, run: Run) -> str | None:
        """The first reason to stop that a callback gives."""
        return next((reason for hook in self._hooks["stop_reason"] if (reason := hook(run)) is not None), None)

    def state_dict(self) -> dict[str, Any]:
        """States by class name, numbered if a class occurs twice."""
        return {name: callback.state_dict() for name, callback in self._named.items()}

    def load_state_dict(self, states: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned; callbacks without a saved state start fresh."""
        for name, callback in self._named.items():
            if name in states:
                callback.load_state_dict(states[name])
