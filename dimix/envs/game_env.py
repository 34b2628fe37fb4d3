"""The interface for adapting other environments: one game at a time.

To write an adapter, subclass `GameEnv`. Batching, worker processes, seeds, time limits, restarts and saving come for
free (`dimix.envs.games.vec_env`). docs/environments.md shows an adapter in forty lines.
"""

from __future__ import annotations

from typing import Any, ClassVar

from easydict import EasyDict

from dimix.envs.family import EnvFamily
from dimix.envs.games.game import Frame, Game
from dimix.envs.games.vec_env import GameVecEnv
from dimix.envs.vec_env import VecEnv

__all__ = ["Frame", "GameEnv", "ManagerKeys"]


class ManagerKeys:
    """Config keys of environments that play one game at a time, for `GameEnv` and code that wraps one."""

    config: ClassVar[dict[str, Any]] = dict(
        manager=dict(
            # (str) Where games run: in this process or in worker processes, one of "base", "subprocess".
            type="subprocess",
            # (int | None) Worker processes; results do not depend on it. None: one per core, >= 1.
            worker_num=None,
            # (int) Failures in a row of one game that are repaired; a finished episode resets the count, >= 0.
            max_retry=5,
            # (str) How to repair a game that raised an error: reset it, or build a new one, one of "reset", "renew".
            retry_type="renew",
            # (float | None) Seconds allowed for a worker to start and build its games; None: no limit, > 0.
            connect_timeout=120.0,
            # (float | None) Seconds allowed for one game's reset before its worker is replaced; None: no limit, > 0.
            reset_timeout=60.0,
            # (float | None) Seconds allowed for one game's step before its worker is replaced; None: no limit, > 0.
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


class GameEnv(ManagerKeys, Game, EnvFamily):
    """Base class for adapters: one game of a multi-agent environment. See `Game`, and `EnvFamily` for optional parts.

    Register subclasses with `ENV_REGISTRY` and add their own keys to ``config``. To run in worker processes, a subclass
    must live in an importable module, not in the script that was started.
    """

    @classmethod
    def create(cls, cfg: EasyDict, role: str, num_envs: int, seed: int) -> VecEnv:
        """E games of an ``env`` branch as one batch, the same for both roles; see `EnvFamily.create`.

        Each episode's seed is derived from ``seed``, the game's index and the episode's number.
        """
        return GameVecEnv(cls, cfg, num_envs, seed)
