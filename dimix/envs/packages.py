"""Packages that only some environments need: whether they are there, and what installs them."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from types import ModuleType

from dimix.errors import EnvError


@dataclass(frozen=True)
class Package:
    """A package that an environment is played with. Environment classes list theirs in a class attribute ``packages``.

    Attributes:
        module: what is imported.
        install: the command that installs it.
        choice: the config key that asks for it, ``env.backend='smaclite'``; empty when the environment always needs it.
        needs: other modules without which the environments that are meant cannot be imported.
    """

    module: str
    install: str
    choice: str = ""
    needs: tuple[str, ...] = ()

    @property
    def installed(self) -> bool:
        """Whether the module and its needs are there; they are not imported."""
        return all(importlib.util.find_spec(name.partition(".")[0]) for name in (self.module, *self.needs))

    def load(self, submodule: str = "") -> ModuleType:
        """The module, or the named one below it.

        Raises:
            EnvError: it is not installed, or one of its own needs is not.
        """
        try:
            return importlib.import_module(f"{self.module}.{submodule}" if submodule else self.module)
        except ImportError as e:
            missing = f"{self.module} is not installed"
            if self.installed:
                missing = f"{self.module} is installed, but importing it failed: {e}"
            raise EnvError(f"{missing}. Install it with: {self.install}") from e
