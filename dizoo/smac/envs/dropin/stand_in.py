"""Stand in for the packages ``smac`` and ``smacv2``, which other libraries import where you cannot edit them."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from dizoo.smac.battle.errors import BattleError
from dizoo.smac.battle.maps.scenario import load_scenario, map_names, task_names
from dizoo.smac.envs.dropin.smacv2_env import StarCraftCapabilityEnvWrapper
from dizoo.smac.envs.dropin.starcraft2_env import StarCraft2Env


def stand_in(package: str) -> None:
    """Make ``import smac`` or ``import smacv2`` find the environments of this package, from now on in this process.

    Call it before importing the library that needs them. A package of that name that is installed is not used.

    Args:
        package: ``"smac"`` or ``"smacv2"``.

    Raises:
        BattleError: another name.
    """
    if package not in ("smac", "smacv2"):
        raise BattleError(f"package: {package!r}. Right is 'smac' or 'smacv2'.")
    classes: dict[str, Any] = {"StarCraft2Env": StarCraft2Env}
    if package == "smacv2":
        classes["StarCraftCapabilityEnvWrapper"] = StarCraftCapabilityEnvWrapper
    modules = [
        _module(package),
        _module(f"{package}.env", **classes),
        _module(f"{package}.env.starcraft2"),
        _module(f"{package}.env.starcraft2.starcraft2", StarCraft2Env=StarCraft2Env),
        _module(f"{package}.env.starcraft2.wrapper", **classes),
        _module(f"{package}.env.starcraft2.maps", get_map_params=_params),
        _module(f"{package}.env.starcraft2.maps.smac_maps", get_smac_map_registry=_registry),
    ]
    sys.modules.update({module.__name__: module for module in modules})
    for module in modules[1:]:
        parent, _, name = module.__name__.rpartition(".")
        setattr(sys.modules[parent], name, module)


def _module(name: str, **contents: Any) -> ModuleType:
    module = ModuleType(name, __doc__)
    module.__spec__, module.__path__ = ModuleSpec(name, None, is_package=True), []
    vars(module).update(contents)
    return module


def _registry() -> dict[str, dict[str, int]]:
    """The maps by name, with what SMAC's registry tells of each."""
    return {name: _params(name) for name in (*map_names(), *task_names())}


def _params(map_name: str) -> dict[str, int]:
    found = load_scenario(map_name)
    return {"n_agents": found.n_agents, "n_enemies": found.n_enemies, "limit": found.episode_limit}
