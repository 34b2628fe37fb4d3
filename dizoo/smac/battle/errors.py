"""Errors of the battle engine; every message names the thing, what was found and what would be right."""

from __future__ import annotations


class BattleError(ValueError):
    """Base class of the engine's errors: bad options, a damaged state or trace."""


class MapError(BattleError):
    """A map, unit or terrain that is unknown, damaged or contradictory."""


class ActionError(BattleError):
    """Actions of a wrong shape or type, or an action that its agent may not take now."""
