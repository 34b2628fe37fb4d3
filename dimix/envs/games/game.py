"""The interface of a single game, and the frames it returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np
from easydict import EasyDict
from numpy.typing import ArrayLike

from dimix.envs.vec_env import EnvInfo


class Frame(NamedTuple):
    """What a game returns from a reset or a step. None stands for the most common case.

    Attributes:
        agent_state: (A, O_base) floats, each agent's own observation.
        global_state: (S,) floats, or (channels, height, width); None: the agents' observations concatenated,
            S = A * O_base.
        action_mask: (A, N) bools, True for available actions, at least one per agent; None: all available.
        alive: (A,) bools, True for agents that still act; None: all.
        reward: team reward of the step; ignored after a reset.
        terminated: whether the game itself is over.
        truncated: whether the environment's own time limit was reached. At ``EnvInfo.episode_limit`` an episode is
            truncated in any case.
        battle_won: whether the team won; set on the last step.
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

    The reset seed and the actions must determine a game: dimix saves those, and replays them when a run resumes. Draw
    randomness from a generator that ``reset`` creates from its seed, not from the global generators of Python or numpy.
    If that is impossible, set ``deterministic = False``; games that were running at a checkpoint are then restarted on
    resume. A game need not be thread-safe.

    Args:
        cfg: the config's ``env`` branch, with defaults merged in.

    Attributes:
        info: sizes; set by the constructor, equal for all games of one config.
        deterministic: whether seed and actions determine a game.
    """

    info: EnvInfo
    deterministic: ClassVar[bool] = True

    @abstractmethod
    def __init__(self, cfg: EasyDict) -> None: ...

    @abstractmethod
    def reset(self, seed: int) -> Frame:
        """Start an episode.

        Args:
            seed: seed for everything random in this episode, in [0, 2**31).
        """

    @abstractmethod
    def step(self, action: np.ndarray) -> Frame:
        """Play one joint action. Never called after the game is over.

        Args:
            action: (A,) int64, one available action per agent. The array is reused: copy it to keep it.
        """

    def close(self) -> None:  # noqa: B027 (most games have nothing to release)
        """Release windows, files and programs, if any."""

    @classmethod
    def describe(cls, cfg: EasyDict) -> EnvInfo:
        """Sizes of the environment that an ``env`` branch describes, read from a game built for it.

        Raises:
            EnvError: the game cannot be built.
        """
        game = cls(cfg)
        game.close()
        return game.info
