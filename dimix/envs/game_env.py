"""One game at a time: the small interface that other people's environments are fitted to.

A subclass of `GameEnv` is all that an adapter needs; batches, processes, seeds, time limits, restarts and saving come
with it (`dimix.envs.games.vec_env`). docs/environments.md shows one in forty lines.
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


class GameEnv(ManagerKeys, Game, EnvFamily):
    """One game of a multi-agent environment that a config can name: see `Game`, and `EnvFamily` for what it may add.

    Subclasses are registered with `ENV_REGISTRY` and add their own keys to ``config``. To run in processes they have to
    stand in a module that can be imported, not in the script that was started.
    """

    @classmethod
    def create(cls, cfg: EasyDict, role: str, num_envs: int, seed: int) -> VecEnv:
        """E games of a config's ``env`` branch as one batch.

        Args:
            cfg: the branch, defaults merged in.
            role: ``"collect"`` or ``"evaluate"``; both play the same game.
            num_envs: games (E).
            seed: of all episodes; each has its own, drawn from this one, the game's number and the episode's.
        """
        return GameVecEnv(cls, cfg, num_envs, seed)
