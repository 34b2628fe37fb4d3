"""Environment families: what ``create_config.env.type`` names, with config keys, sizes and batches of games."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from easydict import EasyDict

from dimix.envs.curriculum import Curriculum
from dimix.envs.packages import Package
from dimix.envs.recordable import GameEnd
from dimix.envs.vec_env import EnvInfo, VecEnv


class EnvFamily(ABC):
    """A family of environments. Implement `describe` and `create`; everything else has a default.

    A family is used as a class and never instantiated, so a small family can be its own `VecEnv`, as in
    ``dizoo/matrix_game``. Register it with `dimix.registry.ENV_REGISTRY`.

    Attributes:
        config: keys of the ``env`` branch with their defaults; a subclass lists only those that it adds or changes.
        config_ignored: keys of other frameworks' configs that have no meaning here, with the reason.
        packages: packages that it needs besides dimix.
    """

    config: ClassVar[dict[str, Any]] = dict(
        # (int) Games played in parallel for training, >= 1.
        collector_env_num=8,
        # (int) Games played in parallel for evaluation, >= 1.
        evaluator_env_num=8,
        # (int) Games in one evaluation, each counted once, >= 1.
        n_evaluator_episode=32,
        # (float) Training stops at this win rate (mean return if games cannot be won) over the latest evaluations.
        stop_value=1e9,
        # (bool) Append each agent's last action to its observation, one-hot.
        obs_last_action=True,
        # (bool) Append each agent's index to its observation, one-hot.
        obs_agent_id=True,
    )
    config_ignored: ClassVar[dict[str, str]] = {}
    packages: ClassVar[tuple[Package, ...]] = ()

    @classmethod
    @abstractmethod
    def describe(cls, cfg: EasyDict) -> EnvInfo:
        """Sizes of the environment that an ``env`` branch describes, known before anything is built.

        Raises:
            ConfigError: the branch asks for something that does not exist; the message begins with the key.
            EnvError: the same, without a key.
        """

    @classmethod
    @abstractmethod
    def create(cls, cfg: EasyDict, role: str, num_envs: int, seed: int) -> VecEnv:
        """Create the environment of an ``env`` branch.

        Args:
            cfg: the branch, with defaults merged in.
            role: ``"collect"``, ``"evaluate"``, or ``"evaluate_jitter"`` if `EnvInfo.has_jitter`.
            num_envs: games (E).
            seed: seed of this role.

        Raises:
            EnvError: the environment cannot be created.
        """

    @classmethod
    def curriculum(cls, cfg: EasyDict, env: VecEnv, seed: int) -> Curriculum | None:
        """The curriculum that chooses where training episodes begin; None if all begin at the start.

        Args:
            cfg: the ``env`` branch.
            env: the environment created for the role ``"collect"``.
            seed: seed of that role.
        """
        return None

    @classmethod
    def notes(cls, cfg: EasyDict) -> list[str]:
        """Lines to show before training, about settings that work but may surprise."""
        return []

    @classmethod
    def input_files(cls, cfg: EasyDict) -> Mapping[str, Sequence[Path]]:
        """Files that the environment reads, by config key: the file that the key names, then the files it refers to."""
        return {}

    @classmethod
    def compile_notice(cls) -> str | None:
        """A line to show if the first use on this machine takes a while, else None."""
        return None

    @classmethod
    def map_names(cls) -> list[str]:
        """Names of its maps, for ``dimix -q map``."""
        return []

    @classmethod
    def show_replays(cls, files: Sequence[Path], out: Path | None, write: Callable[[str], None]) -> bool:
        """Show recorded games (see `dimix.envs.recordable`).

        Args:
            files: replay files.
            out: file to write, in the format given by its extension. None plays the games as text.
            write: called with the text.

        Returns:
            False if the family cannot show replays.

        Raises:
            EnvError: a file cannot be shown.
            OutputError: the result cannot be written.
        """
        return False

    @classmethod
    def game_ends(cls, files: Sequence[Path]) -> list[GameEnd]:
        """How recorded games ended; empty if the family cannot tell.

        Raises:
            EnvError: a file cannot be read.
        """
        return []

    @classmethod
    def floors(cls, cfg: EasyDict) -> Mapping[str, float]:
        """Win rates of teams that learn nothing, by their name; empty if the family has none.

        ``cfg`` is the ``env`` branch, with defaults merged in.
        """
        return {}


@functools.cache
def as_family(cls: type) -> type[EnvFamily]:
    """View a registered class as a family: a class without the base gets its defaults for what it does not define."""
    if issubclass(cls, EnvFamily):
        return cls
    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return type(cls.__name__, (cls, EnvFamily), names)
