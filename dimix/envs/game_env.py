"""One game at a time: the small interface that other people's environments are fitted to.

A subclass of `GameEnv` is all that an adapter needs; batches, processes, seeds, time limits, restarts and saving come
with it (`dimix.envs.game_vec_env`). docs/environments.md shows one in forty lines.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np
from easydict import EasyDict
from numpy.typing import ArrayLike

from dimix.envs.vec_env import EnvInfo, VecEnv


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


class ManagerKeys:
    """The config keys of environments that play one game at a time, for `GameEnv` and whoever runs one."""

    config: ClassVar[dict[str, Any]] = dict(
        manager=dict(
            # (str) Where games run: in this process or in processes of their own, one of "base", "subprocess".
            type="subprocess",
            # (int | None) Processes that share the games; results do not depend on it. None: one per core, >= 1.
            worker_num=None,
            # (int) Failures in a row of one game, without an episode finished, that are repaired, >= 0.
            max_retry=5,
            # (str) What repairs a game that raised an error: a reset, or building it anew, one of "reset", "renew".
            retry_type="renew",
            # (float | None) Seconds that a process may take to start and to build its games; None: no limit, > 0.
            connect_timeout=120.0,
            # (float | None) Seconds that one game's reset may take before its process is replaced; None: no limit, > 0.
            reset_timeout=60.0,
            # (float | None) Seconds that one game's step may take before its process is replaced; None: no limit, > 0.
            step_timeout=60.0,
        ),
    )

    config_ignored: ClassVar[dict[str, str]] = {
        "shared_memory": "games in processes always share their arrays",
        "manager.shared_memory": "games in processes always share their arrays",
        "manager.copy_on_get": "what is kept is copied where it is kept",
        "manager.context": "processes start afresh, without the parent's memory",
        "manager.auto_reset": "a game that is over is started again by the collector",
        "manager.reset_inplace": "the arrays are always written in place",
        "manager.episode_num": "the collector counts episodes",
        "manager.wait_num": "all games step together",
        "manager.step_wait_timeout": "all games step together",
        "manager.retry_waittime": "a failed game is repaired at once",
        "manager.cfg_type": "a branch needs no type name",
    }


class GameEnv(ManagerKeys, ABC):
    """One game of a multi-agent environment.

    A game has to be decided by the seed of its reset and the actions since: dimix saves those, and plays them again
    when a run is resumed. Draw randomness from a generator that ``reset`` makes from its seed, not from Python's or
    numpy's global one. Where that cannot be had, set ``deterministic = False``: the games that run when a checkpoint is
    taken are then dropped at the resume, and started anew.

    Subclasses are registered with `ENV_REGISTRY`, add their own keys to ``config`` and need not be thread-safe. To run
    in processes they have to stand in a module that can be imported, not in the script that was started.

    Args:
        cfg: the config's ``env`` branch, defaults merged in.

    Attributes:
        info: sizes; set by the constructor, the same for all games of one config.
        deterministic: whether seed and actions decide a game.
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

    @classmethod
    def create(cls, cfg: EasyDict, role: str, num_envs: int, seed: int) -> VecEnv:
        """E games of a config's ``env`` branch as one batch.

        Args:
            cfg: the branch, defaults merged in.
            role: ``"collect"`` or ``"evaluate"``; both play the same game.
            num_envs: games (E).
            seed: of all episodes; each has its own, drawn from this one, the game's number and the episode's.
        """
        from dimix.envs.game_vec_env import GameVecEnv

        return GameVecEnv(cls, cfg, num_envs, seed)
