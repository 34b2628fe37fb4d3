"""Metrics on Weights & Biases (the extra ``wandb``)."""

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

    Its files go to ``wandb/`` in the run folder. Without a network use ``mode="offline"`` and send them later with
    ``wandb sync``. A resumed run goes on with the same W&B run; rows that it plays again are there twice, with equal
    values (W&B cannot take rows back, as the CSV does).

    The constructor takes the keys of `config`.

    Raises:
        ConfigError: the package is not installed.
    """

    config: ClassVar[dict[str, Any]] = dict(
        # (str) Project that the run appears in.
        project="dimix",
        # (str | None) User or team; None takes your account's default.
        entity=None,
        # (str | None) Group of the run; None takes the folder that the run folder is in, so that seeds stand together.
        group=None,
        # (str | None) Name of the run; None takes the run folder's.
        name=None,
        # (list of str) Tags of the run.
        tags=[],
        # (str | None) Where to send, one of "online", "offline", "disabled"; None follows WANDB_MODE.
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
        if spec is None or spec.origin is None:  # without an origin it is a mere folder, of W&B's own files
            raise ConfigError("run.callbacks.wandb: the package wandb is missing. Run: pip install 'dimix[wandb]'")
        self._options: dict[str, Any] = dict(project=project, entity=entity, tags=list(tags), mode=mode)
        self._group, self._name = group, name
        self._id = uuid.uuid4().hex[:8]  # not from a seeded stream: each run has its own
        self._wandb: Any = None

    def on_train_start(self, run: Run) -> None:
        """Start or take up the W&B run.

        Raises:
            OutputError: W&B refuses (no account, no network).
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
        """Send how the run ended, and finish."""
        if self._wandb is None:
            return
        if result is not None:
            self._wandb.summary.update({name: getattr(result, name) for name in ("reason", "score", "best_score")})
        self._wandb.finish(exit_code=0 if result is not None else 1)

    def state_dict(self) -> dict[str, Any]:
        """Which W&B run this is."""
        return {"id": self._id}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with that run."""
        self._id = state["id"]
