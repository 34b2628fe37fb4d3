"""Logs metrics to Weights & Biases (the extra ``wandb``)."""

from __future__ import annotations

import importlib.util
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from dimix.callbacks.base import Callback, Run
from dimix.errors import ConfigError, OutputError
from dimix.machine.plain import plain
from dimix.registry import CALLBACK_REGISTRY


@CALLBACK_REGISTRY.register("wandb")
class WandbLog(Callback):
    """Sends every row of metrics to Weights & Biases, with env_step as the axis; needs ``pip install wandb``.

    Files go to ``wandb/`` in the run folder. Without a network, use ``mode="offline"`` and upload later with
    ``wandb sync``. A resumed run continues the same W&B run. Rows that it repeats appear twice with equal values,
    because W&B cannot delete rows.

    The constructor takes the keys of `config`.

    Raises:
        ConfigError: the package is not installed.
    """

    config: ClassVar[dict[str, Any]] = dict(
        # (str) W&B project of the run.
        project="dimix",
        # (str | None) User or team; None uses your account's default.
        entity=None,
        # (str | None) Group of the run; None uses the run folder's parent, so that seeds are grouped together.
        group=None,
        # (str | None) Name of the run; None uses the run folder's name.
        name=None,
        # (list of str) Tags of the run.
        tags=[],
        # (str | None) Upload mode, one of "online", "offline", "disabled"; None follows WANDB_MODE.
        mode=None,
    )

    def __init__(
        self,
        project: str = "dimix",
        entity: str | None = None,
        group: str | None = None,
        name: str | None = None,
        tags: Sequence[str] = (),
        mode: str | None = None,
    ) -> None:
        spec = importlib.util.find_spec("wandb")
        if spec is None or spec.origin is None:  # no origin: only a folder of W&B's own files
            raise ConfigError("run.callbacks.wandb: the package wandb is missing. Run: pip install 'dimix[wandb]'")
        self._options: dict[str, Any] = dict(project=project, entity=entity, tags=list(tags), mode=mode)
        self._group, self._name = group, name
        self._id = uuid.uuid4().hex[:8]  # not from a seeded stream, so that every run gets its own
        self._wandb: Any = None

    def on_train_start(self, run: Run) -> None:
        """Start or resume the W&B run.

        Raises:
            OutputError: W&B refuses the run (no account, no network).
        """
        import wandb

        path = run.path.resolve()
        try:
            self._wandb = wandb.init(
                **self._options,
                id=self._id,
                resume="allow",
                dir=str(path),
                name=self._name or path.name,
                group=self._group or path.parent.name,
                config=plain(run.cfg),
                settings=wandb.Settings(console="off", quiet=True),
            )
        except wandb.Error as error:
            raise OutputError(
                f"run.callbacks.wandb: W&B did not start: {error} Log in with 'wandb login', or use mode='offline'."
            ) from error
        self._wandb.define_metric("*", step_metric="env_step")

    def on_metrics(self, run: Run, values: Mapping[str, float]) -> None:
        """Send a row."""
        self._wandb.log({"env_step": run.env_step, "train_iter": run.train_iter, **values})

    def on_train_end(self, run: Run, result: Any) -> None:
        """Send the result and finish the W&B run."""
        if self._wandb is None:
            return
        if result is not None:
            self._wandb.summary.update({name: getattr(result, name) for name in ("reason", "score", "best_score")})
        self._wandb.finish(exit_code=0 if result is not None else 1)

    def state_dict(self) -> dict[str, Any]:
        """The id of the W&B run."""
        return {"id": self._id}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue the saved W&B run."""
        self._id = state["id"]
