"""Optional packages that some environments need: whether they are installed, and how to install them."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from types import ModuleType

from dimix.errors import EnvError


@dataclass(frozen=True)
class Package:
    """A package that an environment needs. Environment classes list theirs in a class attribute ``packages``.

    Attributes:
        module: module to import.
        install: command that installs it.
        choice: config key that selects it, ``env.backend='smaclite'``; empty if the environment always needs it.
        needs: other modules that its environments need in order to be imported.
    """

    module: str
    install: str
    choice: str = ""
    needs: tuple[str, ...] = ()

    @property
    def installed(self) -> bool:
        """Whether the module and its needs are installed, without importing them."""
        return all(importlib.util.find_spec(name.partition(".")[0]) for name in (self.module, *self.needs))

    def load(self, submodule: str = "") -> ModuleType:
        """Import the module, or a submodule of it.

        Raises:
            EnvError: it is not installed, or importing it failed.
        """
        try:
            return importlib.import_module(f"{self.module}.{submodule}" if submodule else self.module)
        except ImportError as e:
            missing = f"{self.module} is not installed"
            if self.installed:
                missing = f"{self.module} is installed, but importing it failed: {e}"
            raise EnvError(f"{missing}. Install it with: {self.install}") from e
