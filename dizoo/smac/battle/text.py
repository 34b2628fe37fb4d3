"""Small text helpers: suggestions for error messages, files of numbers."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


def nearest(name: str, known: Iterable[str], *, count: int = 3) -> str:
    """Suggest up to ``count`` known names close to a wrong one, as the end of a message; empty if none is close."""
    by_lower = {k.lower(): k for k in known}
    hits = [by_lower[h] for h in difflib.get_close_matches(str(name).lower(), by_lower, n=count, cutoff=0.5)]
    return " Nearest: " + ", ".join(f"'{h}'" for h in hits) + "." if hits else ""


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write measured rows as a JSON list; creates the folder if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
