"""Small helpers for texts: ends of error messages, files of numbers."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


def nearest(name: str, known: Iterable[str], *, count: int = 3) -> str:
    """The known names closest to a wrong one, as the end of a message, or an empty string.

    Args:
        name: what was asked for.
        known: the names that exist.
        count: how many to show at most.
    """
    by_lower = {k.lower(): k for k in known}
    hits = [by_lower[h] for h in difflib.get_close_matches(str(name).lower(), by_lower, n=count, cutoff=0.5)]
    return " Nearest: " + ", ".join(f"'{h}'" for h in hits) + "." if hits else ""


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write what was measured as a JSON list; the folder is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
