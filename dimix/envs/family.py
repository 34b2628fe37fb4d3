"""What ``create_config.env.type`` names: a family of environments, from its config keys to its batches."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from easydict import EasyDict

from dimix.envs.curriculum import Curriculum
from dimix.envs.packages import Package
from dimix.envs.vec_env import EnvInfo, VecEnv


class EnvFamily(ABC):
    """A family of environments. `describe` and `create` are asked of it; everything else has a default.

    It is used as a class, never as an object, so that a small family can be its own `VecEnv`, as
    ``dizoo/matrix_game`` is. It is registered with `dimix.registry.ENV_REGISTRY`.

    Attributes:
        config: keys of the ``env`` branch with their defaults; a subclass states only those that it adds or changes.
        config_ignored: keys of other frameworks' configs that mean nothing here, with the reason.
        packages: what has to be installed besides dimix.
    """

    config: ClassVar[dict[str, Any]] = dict(
        # (int) Games played side by side for training, >= 1.
        collector_env_num=8,
        # (int) Games played side by side for evaluation, >= 1.
        evaluator_env_num=8,
        # (int) Games of one evaluation, each counted once, >= 1.
        n_evaluator_episode=32,
        # (float) Share of games won (mean return, where nothing is won) over the last evaluations that ends training.
        stop_value=1e9,
        # (bool) Append each agent's last action to its observation, one-hot.
        obs_last_action=True,
        # (bool) Append the agent's number to its observation, one-hot.
        obs_agent_id=True,
    )
    config_ignored: ClassVar[dict[str, str]] = {}
    packages: ClassVar[tuple[Package, ...]] = ()

    @classmethod
    @abstractmethod
    def describe(cls, cfg: EasyDict) -> EnvInfo:
        """Sizes of what a config's ``env`` branch asks for, before anything is built.

        Raises:
            ConfigError: the branch asks for what there is not; the message begins with the key.
            EnvError: the same, without a key.
        """

    @classmethod
    @abstractmethod
    def create(cls, cfg: EasyDict, role: str, num_envs: int, seed: int) -> VecEnv:
        """The environment of a config's ``env`` branch.

        Args:
            cfg: the branch, defaults merged in.
            role: ``"collect"``, ``"evaluate"``, or ``"evaluate_jitter"`` where `EnvInfo.has_jitter` says so.
            num_envs: games (E).
            seed: of the role.

        Raises:
            EnvError: it cannot be made.
        """

    @classmethod
    def curriculum(cls, cfg: EasyDict, env: VecEnv, seed: int) -> Curriculum | None:
        """What chooses where training episodes begin; None when all begin at the start.

        Args:
            cfg: the branch.
            env: what `create` made for the role ``"collect"``.
            seed: of that role.
        """
        return None

    @classmethod
    def notes(cls, cfg: EasyDict) -> list[str]:
        """Lines to show before training, about settings that work but surprise."""
        return []

    @classmethod
    def input_files(cls, cfg: EasyDict) -> Mapping[str, Sequence[Path]]:
        """Files that are read, by the key that holds a path: the file that it names, then those it brings along."""
        return {}

    @classmethod
    def compile_notice(cls) -> str | None:
        """A line to show when the first use on this machine takes a while; None when it does not."""
        return None

    @classmethod
    def map_names(cls) -> list[str]:
        """Names of its maps, for ``dimix -q map``."""
        return []

    @classmethod
    def show_replays(cls, files: Sequence[Path], out: Path | None, write: Callable[[str], None]) -> bool:
        """Show recorded games (see `dimix.envs.recordable`).

        Args:
            files: the games.
            out: file to write; its ending says what is made of them. None plays them as text.
            write: takes the text.

        Returns:
            False from a family that shows none.

        Raises:
            EnvError: a file that cannot be shown.
            OutputError: the result cannot be written.
        """
        return False


@functools.cache
def as_family(cls: type) -> type[EnvFamily]:
    """A registered class as a family: one without the base gets its defaults for whatever it does not define."""
    if issubclass(cls, EnvFamily):
        return cls
    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return type(cls.__name__, (cls, EnvFamily), names)
