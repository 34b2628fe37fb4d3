"""The contract between dimix and an environment: many games stepped as one batch of arrays."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from dimix.errors import EnvError
from dimix.machine.plain import plain
from dimix.machine.signals import say


@dataclass(frozen=True)
class Entities:
    """Units of one kind in an agent's own observation, one behind the other.

    Attributes:
        column: of the first feature of the first unit.
        count: units.
        size: features of each; all zero where a unit is not there.
        action: that names the first unit, the others following; None where no action does.
        named_by: columns of the observation, one of which is not zero where the agent's actions name these units;
            empty where those of all agents do.
    """

    column: int
    count: int
    size: int
    action: int | None = None
    named_by: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _as_python(self)


@dataclass(frozen=True)
class EnvInfo:
    """Sizes of an environment, known before anything is built.

    Attributes:
        name: what is played, for messages and file names (``"MMM"``).
        agent_num: agents (A).
        obs_shape: size of one agent's own observation, without last action and agent id (O_base).
        global_obs_shape: size of the global state (S), or (channels, height, width) where it is an image.
        action_shape: number of actions (N).
        episode_limit: steps after which an episode is cut (``truncated``).
        has_win: whether ``battle_won`` means anything here.
        has_jitter: whether starts can be moved, for the second evaluation.
        agent_types: unit type of each agent, in the agents' order; None where the environment knows no types.
        entities: where an observation tells of which unit, for agents that read them as sets; None where it does not.

    Raises:
        EnvError: a size that is no whole number of at least 1.
    """

    name: str
    agent_num: int
    obs_shape: int
    global_obs_shape: int | tuple[int, ...]
    action_shape: int
    episode_limit: int
    has_win: bool = True
    has_jitter: bool = True
    agent_types: tuple[str, ...] | None = None
    entities: tuple[Entities, ...] | None = None

    def __post_init__(self) -> None:
        _as_python(self)
        sizes = {name: getattr(self, name) for name in ("agent_num", "obs_shape", "action_shape", "episode_limit")}
        sizes |= {f"global_obs_shape[{i}]": size for i, size in enumerate(self.state_shape)}
        for name, size in sizes.items():
            if type(size) is not int or size < 1:
                raise EnvError(f"EnvInfo.{name}: {size!r}. Right is a whole number of at least 1.")

    @property
    def state_shape(self) -> tuple[int, ...]:
        """Shape of the global state: (S,), or (channels, height, width)."""
        shape = self.global_obs_shape
        return shape if isinstance(shape, tuple) else (shape,)

    @property
    def state_size(self) -> int:
        """Floats of the global state (S), an image's as well."""
        return math.prod(self.state_shape)


def _as_python(sizes: Entities | EnvInfo) -> None:
    """Give a record of an environment, who may count with numpy, Python's own numbers and texts, lists as tuples."""
    for field in fields(sizes):
        value = plain(getattr(sizes, field.name))
        object.__setattr__(sizes, field.name, tuple(value) if isinstance(value, list) else value)


class VecEnv(ABC):
    """E games of the same kind, advanced together.

    The arrays below belong to the environment and are overwritten in place by ``step`` and ``reset``: copy what you
    keep. A game that is over (``terminated`` or ``truncated``) is frozen: its actions are ignored, its reward reads 0
    and its other arrays keep what they held at the end, until ``reset`` starts it again.

    Attributes:
        info: sizes.
        num_envs: E.
        agent_state: (E, A, O_base) float32, each agent's own observation.
        global_state: (E, S) float32, or (E, channels, height, width); stored and learned from as (E, S).
        action_mask: (E, A, N) bool, True where the action may be taken; at least one per agent.
        alive: (E, A) bool, agents that still act.
        reward: (E,) float32, team reward of the last step.
        terminated: (E,) bool, the game itself is over.
        truncated: (E,) bool, cut by the time limit (never together with ``terminated``).
        battle_won: (E,) bool, the team won.
        episode_length: (E,) int, steps since reset.
        lost: (K,) int64, games whose running episode was lost in the last call (their process died, say) and that show
            the start of a new one: it never happens in an environment without processes.
        episodes_lost: how many episodes were lost so far.
        out: takes lines meant for people, such as why a game was started anew; set by whoever shows them.
    """

    info: EnvInfo
    num_envs: int
    agent_state: np.ndarray
    global_state: np.ndarray
    action_mask: np.ndarray
    alive: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    battle_won: np.ndarray
    episode_length: np.ndarray
    lost: np.ndarray = np.zeros(0, np.int64)
    episodes_lost: int = 0
    out: Callable[[str], None] = staticmethod(say)

    @abstractmethod
    def reset(self, env_ids: Sequence[int] | np.ndarray | None = None) -> None:
        """Start new episodes in the given games (all when None)."""

    @abstractmethod
    def step(self, action: np.ndarray) -> None:
        """Advance every running game by one step.

        Args:
            action: (E, A) integer, one available action per agent.

        Raises:
            EnvError: an action outside the mask, or an array of another shape or type.
        """

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything that decides the future of all games, random streams included, as arrays and numbers."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what ``state_dict`` gave, exactly."""

    def close(self) -> None:  # noqa: B027 (most environments have nothing to give back)
        """Give back processes and files, where there are any."""
