"""Backends of the environment ``smac`` other than the engine, and the keys they rule out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from easydict import EasyDict

from dimix.envs.game_env import GameEnv
from dimix.errors import ConfigError, EnvError
from dizoo.smac.envs.games.sc2_game import REWARD_KEYS, SC2Game
from dizoo.smac.envs.games.smaclite_game import SmacliteGame

GAMES: Mapping[str, type[GameEnv]] = {"smaclite": SmacliteGame, "sc2": SC2Game}
PLAY_KEYS = ("opponent", "prob_obs_enemy", "action_mask", "num_fov_actions")
"""Keys of the ``env`` branch that change a rule profile beside the rewards."""
_FIXED = {"smaclite": ("open_loop", "rules", *PLAY_KEYS, *REWARD_KEYS), "sc2": ("open_loop", *PLAY_KEYS)}
_VARIATION = ("start_jitter", "random_weapon_delay", "random_side")


def check_keys(cfg: EasyDict, default: Mapping[str, Any]) -> None:
    """Refuse keys of the ``env`` branch that the chosen backend does not support.

    Raises:
        ConfigError: such a key differs from its default.
    """
    for key in _FIXED[cfg.backend]:
        if cfg[key] != default[key] and (key, cfg[key]) != ("rules", cfg.backend):  # SMAClite's rules are its own
            raise ConfigError(
                f"env.{key}: {cfg[key]!r}. With env.backend='{cfg.backend}' only {default[key]!r} can be had."
            )
    if cfg.backplay.share:
        raise ConfigError(
            f"env.backplay.share: {cfg.backplay.share!r}. Only battles of env.backend='engine' can begin in the middle."
        )


def check_variation(cfg: EasyDict, role: str) -> None:
    """Refuse a role (``"collect"`` or ``"evaluate"``) that asks for varied battles, which only the engine supports.

    Raises:
        EnvError: the role asks for variation.
    """
    source, where = (cfg, "env") if role == "collect" else (cfg.evaluator, "env.evaluator")
    for key in _VARIATION:
        if source[key]:
            raise EnvError(
                f"{where}.{key}: {source[key]!r}. Only env.backend='engine' varies battles; use {type(source[key])()}."
            )
