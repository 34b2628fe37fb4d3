"""Battles of StarCraft II itself through SMAC or SMACv2, one at a time: ``env.backend = "sc2"``.

Works with any class that has the public interface of SMAC's ``StarCraft2Env``: ``reset``, ``step``, ``get_obs``,
``get_state``, ``get_avail_actions``, ``get_env_info``, ``close``. That is SMAC, SMACv2, their forks, and this package's
own.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from easydict import EasyDict

from dimix.envs.game_env import Frame, GameEnv
from dimix.envs.packages import Package
from dimix.envs.vec_env import EnvInfo
from dimix.errors import ConfigError, EnvError

SMAC = Package(
    "smac", "pip install 'dimix[smac]', and StarCraft II as https://github.com/oxwhirl/smac says", "env.backend='sc2'"
)
SMACV2 = Package(
    "smacv2",
    "pip install 'dimix[smacv2]', and StarCraft II as https://github.com/oxwhirl/smacv2 says",
    "env.backend='sc2', env.sc2.env_class='smacv2.env:StarCraftCapabilityEnvWrapper'",
)

REWARD_KEYS = (
    "reward_only_positive",
    "reward_death_value",
    "reward_negative_scale",
    "reward_win",
    "reward_defeat",
    "reward_scale",
    "reward_scale_rate",
)
"""Keys of the ``env`` branch that are arguments of ``StarCraft2Env`` under the same name."""


class SC2Game(GameEnv):
    """One battle of StarCraft II.

    SMAC ends an episode at the time limit with ``terminated``; here it is ``truncated``. If the game crashes, SMAC
    reports an end without a result; here it is an error, so that the episode is dropped instead of learned from.

    Args:
        cfg: the config's ``env`` branch; uses ``map_name``, the ``reward_`` keys and ``sc2``.

    Raises:
        ConfigError: no such class, or arguments that it does not take.
        EnvError: the package is missing.
    """

    deterministic = False  # StarCraft II takes no seed after it has started

    def __init__(self, cfg: EasyDict) -> None:
        self._make = load_class(cfg.sc2.env_class)
        self._args = _arguments(cfg)
        self._env: Any = None  # created at the first reset, with its seed
        sizes = self._sizes()
        self.info = EnvInfo(
            cfg.map_name,
            int(sizes["n_agents"]),
            int(sizes["obs_shape"]),
            int(sizes["state_shape"]),
            int(sizes["n_actions"]),
            int(sizes["episode_limit"]),
            has_jitter=False,
        )

    def reset(self, seed: int) -> Frame:
        """Start an episode; the first one starts StarCraft II, with this seed."""
        if self._env is None:
            self._env = self._make(**copy.deepcopy(self._args), seed=seed)
        self._env.reset()  # its result is not used: SMACv2 returns nothing if it had to retry
        return self._frame()

    def step(self, action: np.ndarray) -> Frame:
        """Play one joint action.

        Raises:
            EnvError: StarCraft II crashed.
        """
        reward, over, info = self._env.step(action.tolist())
        if over and "battle_won" not in info:
            raise EnvError(f"{self.info.name}: StarCraft II broke down and was started anew.")
        cut = bool(info.get("episode_limit", False))
        return self._frame()._replace(
            reward=float(reward),
            terminated=over and not cut,
            truncated=cut,
            battle_won=bool(info.get("battle_won", False)),
        )

    def close(self) -> None:
        """End StarCraft II."""
        if self._env is not None:
            self._env.close()
            self._env = None

    def _sizes(self) -> Mapping[str, Any]:
        """Read the sizes without starting StarCraft II; raises ConfigError for arguments that are not accepted."""
        try:
            env = self._make(**copy.deepcopy(self._args))  # a copy: SMACv2 writes into its capability_config
        except Exception as e:
            given = ", ".join(self._args)
            raise ConfigError(f"env.sc2.args: {self._make.__name__}({given}) raised {type(e).__name__}: {e}.") from e
        sizes: Mapping[str, Any] = env.get_env_info()
        env.close()
        return sizes

    def _frame(self) -> Frame:
        mask = np.asarray(self._env.get_avail_actions()) > 0
        # Dead agents can, and must, only do nothing (action 0).
        return Frame(np.stack(self._env.get_obs()), np.asarray(self._env.get_state()), mask, ~mask[:, 0])


def _arguments(cfg: EasyDict) -> dict[str, Any]:
    """Return the class's arguments, except the seed; ConfigError if ``sc2.args`` has one with a key of its own."""
    # Only continuing_episode distinguishes the time limit from a defeat.
    mine = {"map_name": cfg.map_name, "continuing_episode": True, **{key: cfg[key] for key in REWARD_KEYS}}
    for key in cfg.sc2.args:
        if key in REWARD_KEYS or key == "map_name":
            raise ConfigError(f"env.sc2.args: {key} has a key of its own. Use env.{key}.")
        if key in ("continuing_episode", "seed"):
            raise ConfigError(f"env.sc2.args: {key} is set by dimix. Leave it out.")
    return {**mine, **cfg.sc2.args}


def load_class(path: str) -> Any:
    """Import the class named by ``module:Class``.

    Raises:
        ConfigError: the name has another form, or the module has no such class.
        EnvError: the package is not installed.
    """
    module, colon, name = path.partition(":")
    if not colon or not module or not name:
        raise ConfigError(f"env.sc2.env_class: {path!r}. Right is module:Class, for example smac.env:StarCraft2Env.")
    top = module.partition(".")[0]
    package = {"smac": SMAC, "smacv2": SMACV2}.get(top, Package(top, f"pip install {top}"))
    loaded = package.load(module[len(top) + 1 :])
    if not hasattr(loaded, name):
        raise ConfigError(f"env.sc2.env_class: {module} has no {name}. SMAC's class is smac.env:StarCraft2Env.")
    return getattr(loaded, name)
