"""From the names in a config to the registered classes."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from dimix.config.file import import_modules
from dimix.config.merge import Findings, OptionText, literal
from dimix.errors import ConfigError, RegistryError
from dimix.registry import CALLBACK_REGISTRY, ENV_REGISTRY, MODEL_REGISTRY, POLICY_REGISTRY, Registry

#: Modules that register what dimix ships, and the entry-point group through which installed packages add to it.
BUILT_IN = ("dimix.policy", "dimix.model", "dimix.callbacks")
ENTRY_POINTS = "dimix.envs"


def import_known(env_type: str | None = None) -> None:
    """Fill the registries: import what dimix ships and what installed packages announce.

    Args:
        env_type: import only the announced environment of this name; None imports all.

    Raises:
        ConfigError: an installed package announces an environment that cannot be imported.
    """
    for name in BUILT_IN:
        importlib.import_module(name)
    for point in entry_points(group=ENTRY_POINTS):
        if env_type in (None, point.name):
            try:
                point.load()
            except ImportError as e:
                raise ConfigError(
                    f"environment '{point.name}' ({point.value}): import failed: {e}. Install it anew."
                ) from e


def default_model_of(policy_class: Any) -> str:
    """Registered name of the model that a policy class uses if the config names none."""
    # A method in DI-engine; class and static methods work too. Called without running the policy's constructor.
    name, modules = object.__new__(policy_class).default_model()
    for module in modules:
        importlib.import_module(module)
    return name


def find_classes(create: Mapping[str, Any], model_type: Any, found: Findings) -> tuple[Any, Any, Any]:
    """Environment, policy and model class; None for each that was not found."""
    for branch in ("env", "policy", "callback"):
        found.problems += import_modules(
            create[branch]["import_names"], f"create_config.{branch}.import_names", found.file
        )
    env_type = create["env"]["type"]
    import_known(env_type if env_type not in ENV_REGISTRY.names() else "")
    if env_type not in ENV_REGISTRY.names():
        import_known()  # so that the message can list the known names
    env_class = find_class(ENV_REGISTRY, env_type, "create_config.env.type", found)
    policy_class = find_class(POLICY_REGISTRY, create["policy"]["type"], "create_config.policy.type", found)
    model_class = None
    if policy_class is not None:
        model_class = find_class(
            MODEL_REGISTRY, model_type or default_model_of(policy_class), "policy.model.type", found
        )
    return env_class, policy_class, model_class


def find_callbacks(given: dict[str, Any], found: Findings) -> dict[str, type]:
    """The classes of ``run.callbacks``; unregistered names are reported and removed."""
    run = given.get("run")
    named = run.get("callbacks") if isinstance(run, dict) else None
    if isinstance(named, OptionText):
        named = literal(named)
    if not isinstance(named, Mapping):
        return {}  # the merge reports that it is not a dict
    classes = {name: find_class(CALLBACK_REGISTRY, name, f"run.callbacks.{name}", found) for name in named}
    given["run"]["callbacks"] = {name: named[name] for name, cls in classes.items() if cls is not None}
    return {name: cls for name, cls in classes.items() if cls is not None}


def find_class(registry: Registry, name: str, key: str, found: Findings) -> Any:
    """The class of a name; None if there is none, or an incomplete one, which is reported under the key."""
    try:
        return registry.get(name)
    except RegistryError as e:
        found.report(key, str(e))
        return None
