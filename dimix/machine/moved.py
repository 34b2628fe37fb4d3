"""Old module names, up to 0.1: ``import dimix.types`` still returns `dimix.replay.batch`."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

#: Old name -> new name, both below `dimix`.
MOVED = {
    "config_file": "config.file",
    "config_schema": "config.schema",
    "envs.game_vec_env": "envs.games.vec_env",
    "model.mixer": "model.mixers.monotonic",
    "plain": "machine.plain",
    "policy.base_policy": "policy.base",
    "policy.running_moments": "policy.rewards",
    "schedule": "policy.schedule",
    "types": "replay.batch",
    "value_learning": "policy.value_learning",
    "worker.checkpoint": "machine.checkpoint_file",
    "worker.open_episodes": "replay.open_episodes",
    "worker.priorities": "replay.priorities",
    "worker.replay_buffer": "replay.buffer",
}


class _Moved:
    """Finds a module under its old name and returns the module itself, not a copy.

    A finder and loader by its methods alone: the base classes in ``importlib.abc`` import a dozen modules.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname.removeprefix("dimix.") in MOVED else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python."""

    def exec_module(self, module: ModuleType) -> None:
        new = f"dimix.{MOVED[module.__name__.removeprefix('dimix.')]}"
        warnings.warn(f"{module.__name__} is now {new}", DeprecationWarning, stacklevel=2)
        sys.modules[module.__name__] = importlib.import_module(new)


def keep_old_names() -> None:
    """Make old names importable. The finder comes last, so other imports are not slowed down."""
    sys.meta_path.append(_Moved())
