"""What can go wrong, one class per kind; every message names the thing, what was found and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DimixError(Exception):
    """Base of all errors that dimix raises on purpose; the command line prints them without a traceback."""


class ConfigError(DimixError):
    """A config file, key or value that cannot be used."""


class RegistryError(ConfigError):
    """A policy, model or environment name that nobody registered, or that is registered twice."""


class EnvError(DimixError):
    """An environment that cannot be built, or was used against its contract."""


class BatchError(DimixError):
    """Training data whose fields, shapes or types do not fit together."""


class CheckpointError(DimixError):
    """A checkpoint that is missing, damaged, foreign, or belongs to another map or config."""


class TrainingError(DimixError):
    """Training that cannot go on, for example a loss that is not a number."""


class OutputError(DimixError):
    """A folder or file that cannot be written."""


def first_line(text: object) -> str:
    """First line of a docstring or of an error's text, for a message; empty when there is none."""
    return str(text or "").strip().partition("\n")[0]


def nearest(name: str, known: Iterable[str], *, count: int = 3) -> str:
    """The known names closest to a wrong one, as the end of an error message.

    Args:
        name: what was asked for.
        known: the names that exist.
        count: how many to show at most.

    Returns:
        `` Did you mean 'a'?`` (or a short list), or an empty string when nothing is close.
    """
    by_lower = {k.lower(): k for k in known}
    hits = [by_lower[h] for h in difflib.get_close_matches(name.lower(), by_lower, n=count, cutoff=0.6)]
    if not hits:
        return ""
    if len(hits) == 1:
        return f" Did you mean '{hits[0]}'?"
    return " Nearest: " + ", ".join(f"'{h}'" for h in hits) + "."
