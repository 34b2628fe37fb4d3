"""The base of all callbacks, what they see of a run, and the list that calls them."""

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
    """What a callback sees of the training.

    Attributes:
        cfg: the resolved config; only read it.
        info: sizes of the environment.
        path: the run folder.
        policy: what is trained.
        env_step: steps made so far, over all environments.
        train_iter: updates made so far.
        out: takes lines meant for people.
    """

    @property
    def cfg(self) -> EasyDict: ...  # noqa: D102 (told above)

    @property
    def info(self) -> EnvInfo: ...  # noqa: D102

    @property
    def path(self) -> Path: ...  # noqa: D102

    @property
    def policy(self) -> Policy: ...  # noqa: D102

    @property
    def env_step(self) -> int: ...  # noqa: D102

    @property
    def train_iter(self) -> int: ...  # noqa: D102

    @property
    def out(self) -> Callable[[str], None]: ...  # noqa: D102

    def save_weights(self, path: Path) -> None:
        """Write a policy checkpoint: the networks and the last evaluation."""
        ...


def score_of(run: Run, values: Mapping[str, float]) -> float:
    """The score of an evaluation: its win rate, or its return where nothing can be won."""
    return values["eval/battle_won" if run.info.has_win else "eval/ep_reward"]


class Callback:
    """Looks on at a training; a subclass overrides the moments that it cares about, and no other costs anything.

    A class is registered with ``@CALLBACK_REGISTRY.register("name")`` and switched on by
    ``run.callbacks=dict(name=dict(...))``: its options are the keys of its ``config``, checked like every other key,
    and become the arguments of its constructor. An object can be given to ``serial_pipeline(callbacks=[...])`` as well.

    A constructor only remembers, or says with a ConfigError why it cannot work; what takes files or connections begins
    in ``on_train_start``.

    Attributes:
        config: commented defaults of its options.
        metric_names: names that ``on_update_end`` may return; columns ``train/<name>`` of the log.
    """

    config: ClassVar[dict[str, Any]] = {}
    metric_names: Sequence[str] = ()

    def on_train_start(self, run: Run) -> None:
        """Before the first round, after a resume too (``load_state_dict`` comes earlier)."""

    def on_collect_end(self, run: Run, stats: CollectStats) -> None:
        """New episodes are in the replay buffer."""

    def on_update_start(self, run: Run, batch: EpisodeBatch) -> None:
        """Before an update; the batch is memory that the next one writes over."""

    def on_update_end(self, run: Run, batch: EpisodeBatch, metrics: Mapping[str, Any]) -> Mapping[str, float] | None:
        """After an update; what it returns is averaged over the round's updates and logged with the others."""
        return None

    def on_metrics(self, run: Run, values: Mapping[str, float]) -> None:
        """A row of metrics is complete: a round of collecting and updating, or an evaluation."""

    def on_eval_end(self, run: Run, values: Mapping[str, float]) -> None:
        """An evaluation was played; ``values`` are its metrics by full name (``eval/battle_won``)."""

    def on_checkpoint(self, run: Run, path: Path) -> None:
        """A resume checkpoint was written to ``path``."""

    def on_train_end(self, run: Run, result: Any) -> None:
        """After the last round; ``result`` says how it ended (`dimix.entry.Result`), None when an error ended it."""

    def stop_reason(self, run: Run) -> str | None:
        """Asked before each round: a word that says why training should end now, or None."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run has to know: numbers, strings, arrays, tensors, lists and dicts of them."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put back what ``state_dict`` gave."""


_MOMENTS = [name for name in vars(Callback) if name.startswith("on_") or name == "stop_reason"]


class Callbacks:
    """Several callbacks, called in order; at each moment only those that override it.

    Args:
        callbacks: any number.
    """

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
        """What ``on_update_end`` may add, over all of them."""
        return [name for callback in self._named.values() for name in callback.metric_names]

    def bound(self, moment: str, run: Run) -> list[Callable[..., Any]]:
        """The functions of one moment, with the run already given."""
        return [partial(hook, run) for hook in self._hooks[moment]]

    def call(self, moment: str, run: Run, *args: Any) -> None:
        """Tell all of them that a moment has come."""
        for hook in self._hooks[moment]:
            hook(run, *args)

    def stop_reason(self, run: Run) -> str | None:
        """The first reason to stop that any of them gives."""
        return next((reason for hook in self._hooks["stop_reason"] if (reason := hook(run)) is not None), None)

    def state_dict(self) -> dict[str, Any]:
        """The states by name of class (numbered where a class occurs twice)."""
        return {name: callback.state_dict() for name, callback in self._named.items()}

    def load_state_dict(self, states: Mapping[str, Any]) -> None:
        """Put back what ``state_dict`` gave; a callback that was not there before starts anew."""
        for name, callback in self._named.items():
            if name in states:
                callback.load_state_dict(states[name])
