"""One game: what it has to do, and what it shows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np
from easydict import EasyDict
from numpy.typing import ArrayLike

from dimix.envs.vec_env import EnvInfo


class Frame(NamedTuple):
    """What one game shows after a reset or a step. A short form stands for what is the same in most environments.

    Attributes:
        agent_state: (A, O_base) floats, each agent's own observation.
        global_state: (S,) floats, or (channels, height, width); None: the agents' observations one after the other,
            S = A * O_base.
        action_mask: (A, N) bools, True where the action may be taken, at least one per agent; None: all of them.
        alive: (A,) bools, agents that still act; None: all of them.
        reward: team reward of the step; not looked at after a reset.
        terminated: the game itself is over.
        truncated: cut by the environment's own time limit. One that reaches ``EnvInfo.episode_limit`` without saying so
            is cut there.
        battle_won: the team won, told on the last step.
    """

    agent_state: ArrayLike
    global_state: ArrayLike | None = None
    action_mask: ArrayLike | None = None
    alive: ArrayLike | None = None
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    battle_won: bool = False


class Game(ABC):
    """One game of a multi-agent environment.

    A game has to be decided by the seed of its reset and the actions since: dimix saves those, and plays them again
    when a run is resumed. Draw randomness from a generator that ``reset`` makes from its seed, not from Python's or
    numpy's global one. Where that is not possible, set ``deterministic = False``: the games that run when a checkpoint
    is taken are then dropped at the resume, and started anew. A game need not be thread-safe.

    Args:
        cfg: the config's ``env`` branch, defaults merged in.

    Attributes:
        info: sizes; set by the constructor, the same for all games of one config.
        deterministic: whether seed and actions decide a game.
    """

    info: EnvInfo
    deterministic: ClassVar[bool] = True

    @abstractmethod
    def __init__(self, cfg: EasyDict) -> None: ...

    @abstractmethod
    def reset(self, seed: int) -> Frame:
        """Start an episode.

        Args:
            seed: of everything random in this episode, in [0, 2**31).
        """

    @abstractmethod
    def step(self, action: np.ndarray) -> Frame:
        """Play one joint action; never called on a game that is over.

        Args:
            action: (A,) int64, one available action per agent. The array is reused: copy what you keep.
        """

    def close(self) -> None:  # noqa: B027 (most games have nothing to give back)
        """Give back windows, files and programs, where there are any."""

    @classmethod
    def describe(cls, cfg: EasyDict) -> EnvInfo:
        """Sizes of the environment that a config's ``env`` branch asks for, read from a game that is built for it.

        Raises:
            EnvError: the game cannot be built.
        """
        game = cls(cfg)
        game.close()
        return game.info
