"""The environment interface: many games stepped as one batch of arrays."""

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
    """The units of one kind in an agent's own observation, stored one after another.

    Attributes:
        column: first column of the first unit.
        count: number of units.
        size: features per unit; all zero if the unit is absent.
        action: action that targets the first unit; the next actions target the next units. None if no action does.
        named_by: columns of the observation; an agent's actions target these units only if one of the columns is
            nonzero. Empty if every agent's do.
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
        name: map or game, for messages and file names (``"MMM"``).
        agent_num: agents (A).
        obs_shape: size of one agent's own observation, without last action and agent id (O_base).
        global_obs_shape: size of the global state (S), or (channels, height, width) for an image.
        action_shape: number of actions (N).
        episode_limit: steps after which an episode is ``truncated``.
        has_win: whether games can be won (``battle_won``).
        has_jitter: whether starts can be jittered, for the second evaluation.
        is_drawn: whether every game is another one (teams, starts or opponents are drawn for it), so that one
            evaluation can be luck.
        labels: names of what is drawn for a game (the opponent, the kind of start), for the win rate of the games of
            each; empty if games are not told apart.
        agent_types: unit type of each agent; None if the environment has no types.
        entities: layout of the units in an observation, for agents that read them as sets; None if unknown.
        state_entities: the same in a flat global state, for mixers that read the agents' own columns: first the agents,
            in their order, then other kinds; None if unknown.
        tasks: names of the tasks that the games are divided among, game i playing task i modulo their number; empty if
            all play the same.

    Raises:
        EnvError: a size is not a whole number of at least 1.
    """

    name: str
    agent_num: int
    obs_shape: int
    global_obs_shape: int | tuple[int, ...]
    action_shape: int
    episode_limit: int
    has_win: bool = True
    has_jitter: bool = True
    is_drawn: bool = False
    labels: tuple[str, ...] = ()
    agent_types: tuple[str, ...] | None = None
    entities: tuple[Entities, ...] | None = None
    state_entities: tuple[Entities, ...] | None = None
    tasks: tuple[str, ...] = ()

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
        """Number of floats in the global state (S), also for an image."""
        return math.prod(self.state_shape)


def _as_python(sizes: Entities | EnvInfo) -> None:
    """Convert fields to Python's own numbers, strings and tuples; an environment may compute them with numpy."""
    for field in fields(sizes):
        value = plain(getattr(sizes, field.name))
        object.__setattr__(sizes, field.name, tuple(value) if isinstance(value, list) else value)


class VecEnv(ABC):
    """E games of the same kind, stepped together.

    The environment owns the arrays below, and ``step`` and ``reset`` overwrite them: copy what you keep. A game that is
    over (``terminated`` or ``truncated``) is frozen until ``reset``: its actions are ignored, its reward is 0, and its
    other arrays keep their final values.

    Attributes:
        info: sizes.
        num_envs: E.
        agent_state: (E, A, O_base) float32, each agent's own observation.
        global_state: (E, S) float32, or (E, channels, height, width), which is stored and learned from as (E, S).
        action_mask: (E, A, N) bool, True for available actions; at least one per agent.
        alive: (E, A) bool, agents that still act.
        reward: (E,) float32, team reward of the last step.
        terminated: (E,) bool, the game itself is over.
        truncated: (E,) bool, cut by the time limit (never together with ``terminated``).
        battle_won: (E,) bool, the team won.
        episode_length: (E,) int, steps since reset.
        lost: (K,) int64, games that lost their running episode in the last call, for example because their process
            died, and now show the start of a new one. Always empty without worker processes.
        episodes_lost: number of episodes lost so far.
        out: called with each line of output, such as why a game was restarted; replace it to redirect them.
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
        """Start new episodes in the given games, or in all if None."""

    @abstractmethod
    def step(self, action: np.ndarray) -> None:
        """Advance every running game by one step.

        Args:
            action: (E, A) integer, one available action per agent.

        Raises:
            EnvError: an unavailable action, or an array of the wrong shape or type.
        """

    def labels_of(self, env_ids: np.ndarray) -> list[tuple[str, ...]]:
        """The labels of each of the given games; asked only if `EnvInfo.labels` has some."""
        raise NotImplementedError(f"{type(self).__name__}: info.labels names some, but no game has them")

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything that determines the future of all games, including random streams, as arrays and numbers."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore exactly what ``state_dict`` returned."""

    def close(self) -> None:  # noqa: B027 (most environments have nothing to release)
        """Release processes and files, if any."""
