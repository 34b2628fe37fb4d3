"""Registries: the names that config files use for policies, models, mixers, environments and callbacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from dimix.envs.family import EnvFamily, as_family
from dimix.errors import RegistryError, nearest

T = TypeVar("T", bound=type)


class Registry:
    """A table from names to classes.

    Args:
        kind: what the table holds, for error messages (``"policy"``).
        branch: branch of ``create_config`` whose ``import_names`` registers such classes; None: the one named `kind`.
    """

    _base = ""  # the class that says what those in the table must define

    def __init__(self, kind: str, branch: str | None = None) -> None:
        self.kind = kind
        self._branch = branch or kind
        self._classes: dict[str, type] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Class decorator that registers a class under a name.

        Raises:
            RegistryError: another class has the name already (importing the same file twice is fine).
        """

        def file(cls: T) -> T:
            old = self._classes.get(name)
            if old is not None and (old.__module__, old.__qualname__) != (cls.__module__, cls.__qualname__):
                raise RegistryError(
                    f"{self.kind} name '{name}': already taken by {old.__module__}.{old.__qualname__}. "
                    f"Give {cls.__module__}.{cls.__qualname__} another name."
                )
            self._classes[name] = cls
            return cls

        return file

    def get(self, name: str) -> type:
        """The class registered under a name.

        Raises:
            RegistryError: no such name; the message suggests the nearest ones and how to register your own. Or the
                class lacks methods.
        """
        if name not in self._classes:
            known = ", ".join(self.names()) or "none"
            raise RegistryError(
                f"no {self.kind} '{name}'.{nearest(name, self._classes)} Known: {known}. A class in a file of your own "
                f"must be named by module in create_config.{self._branch}.import_names."
            )
        return self._complete(name, self._classes[name])

    def _complete(self, name: str, cls: type) -> type:
        if lacking := sorted(getattr(cls, "__abstractmethods__", ())):
            see = f" See {self._base} for what it must define." if self._base else ""
            raise RegistryError(
                f"{self.kind} '{name}': {cls.__module__}.{cls.__qualname__} has no {' and no '.join(lacking)}.{see}"
            )
        return cls

    def name_of(self, cls: type) -> str | None:
        """The name under which a class is registered; None if it is not."""
        return next((name for name, filed in self._classes.items() if filed is cls), None)

    def names(self) -> list[str]:
        """All registered names, sorted."""
        return sorted(self._classes)


class EnvRegistry(Registry):
    """The registry of environment families."""

    _base = "dimix.envs.family.EnvFamily"

    def get(self, name: str) -> type[EnvFamily]:
        """The family registered under a name; raises as `Registry.get`."""
        return super().get(name)

    def _complete(self, name: str, cls: type) -> type[EnvFamily]:
        return super()._complete(name, as_family(cls))


POLICY_REGISTRY = Registry("policy")
MODEL_REGISTRY = Registry("model", branch="policy")
MIXER_REGISTRY = Registry("mixer", branch="policy")
ENV_REGISTRY = EnvRegistry("env")
CALLBACK_REGISTRY = Registry("callback")


def mixer_name(mixer: str | bool, own: object = None) -> str:
    """Registered name of a mixer; DI-engine's configs give a bool, where True is QMIX's network.

    Args:
        mixer: name or bool; False is the policy's own mixer, or the sum if that is QMIX's network.
        own: mixer in the policy's defaults, if they name one.
    """
    if isinstance(mixer, str):
        return mixer
    return "qmix" if mixer else own if isinstance(own, str) and own != "qmix" else "sum"
