"""SMAC battles as environments for dimix and, as drop-ins, for other code.

Importing this package registers ``gymnasium.make("dimix/MMM-v0")`` and the like if gymnasium is installed. Nothing else
here needs gymnasium or pettingzoo: the names below are loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import Any

from dizoo.smac.envs.registration import register_envs

_LAZY = {
    "BattleEnv": "dropin.gymnasium_env",
    "BattleParallelEnv": "dropin.pettingzoo_env",
    "parallel_env": "dropin.pettingzoo_env",
    "StarCraft2Env": "dropin.starcraft2_env",
    "StarCraftCapabilityEnvWrapper": "dropin.smacv2_env",
    "SingleBattle": "dropin.single_battle",
    "stand_in": "dropin.stand_in",
}

__all__ = [*_LAZY, "register_envs"]  # noqa: PLE0604

try:
    register_envs()
except ModuleNotFoundError as e:
    if e.name is None or e.name.partition(".")[0] != "gymnasium":
        raise


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
