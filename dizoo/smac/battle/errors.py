"""What can go wrong in the battle engine; every message names the thing, what was found and what would be right."""

from __future__ import annotations


class BattleError(ValueError):
    """Base of the errors raised by the battle engine: bad options, a damaged state or trace."""


class MapError(BattleError):
    """A map, unit or terrain that is unknown, damaged or contradicts itself."""


class ActionError(BattleError):
    """Actions with a wrong shape or type, or an action that its agent may not take now."""
