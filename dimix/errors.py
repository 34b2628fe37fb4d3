"""Exceptions, one class per kind. Every message says what was found, where, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DimixError(Exception):
    """Base class of all errors that dimix raises on purpose; the command line prints them without a traceback."""


class ConfigError(DimixError):
    """A config file, key or value that cannot be used."""


class RegistryError(ConfigError):
    """A policy, model or environment name that is not registered, or is registered twice."""


class EnvError(DimixError):
    """An environment that cannot be built, or that breaks its contract."""


class BatchError(DimixError):
    """Training data whose fields, shapes or types do not fit together."""


class CheckpointError(DimixError):
    """A checkpoint that is missing, damaged, not from dimix, or of another map or config."""


class TrainingError(DimixError):
    """Training that cannot continue, for example because the loss is not a number."""


class RankError(DimixError):
    """A process of a training that several processes share is gone, or cannot be reached."""


class OutputError(DimixError):
    """A folder or file that cannot be written."""


def first_line(text: object) -> str:
    """First line of a docstring or an error's text; empty if there is none."""
    return str(text or "").strip().partition("\n")[0]


def nearest(name: str, known: Iterable[str], *, count: int = 3) -> str:
    """Suggest the known names closest to a wrong one, as the end of an error message.

    Args:
        name: the wrong name.
        known: the names that exist.
        count: maximum number of suggestions.

    Returns:
        `` Did you mean 'a'?`` (or a short list), or an empty string if nothing is close.
    """
    by_lower = {k.lower(): k for k in known}
    hits = [by_lower[h] for h in difflib.get_close_matches(name.lower(), by_lower, n=count, cutoff=0.6)]
    if not hits:
        return ""
    if len(hits) == 1:
        return f" Did you mean '{hits[0]}'?"
    return " Nearest: " + ", ".join(f"'{h}'" for h in hits) + "."
