"""dimix: QMIX-family agents for cooperative multi-agent micromanagement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dimix.machine.moved import keep_old_names

if TYPE_CHECKING:
    from dimix.team import load_team

__version__ = "0.2.0"
__all__ = ["load_team"]

keep_old_names()


def __getattr__(name: str) -> Any:
    """Import what needs torch only when it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module 'dimix' has no attribute '{name}'")
    from dimix import team

    return getattr(team, name)
