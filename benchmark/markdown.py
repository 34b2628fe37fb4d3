"""Markdown tables and texts for their cells."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence


def table(names: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """Format a table with its first ``left`` columns aligned left, the others right."""
    rule = "|" + " --- |" * left + " ---: |" * (len(names) - left)
    return "\n".join([line(names), rule, *map(line, rows)])


def line(cells: Sequence[str]) -> str:
    """Format a line of a table."""
    return f"| {' | '.join(cells)} |"


def paragraph(text: str) -> str:
    """Wrap text into lines of at most 120 characters."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def percent(share: float) -> str:
    """Format a share in percent, with one decimal where needed, so that 99.7 does not become 100."""
    return f"{100 * share:.1f}".removesuffix(".0")


def span(values: Sequence[float | None], shown: Callable[[float], str]) -> str:
    """Format ``lowest - highest``; adds the number of values if some are None."""
    found = [value for value in values if value is not None]
    if not found:
        return "never"
    text = f"{shown(min(found))} - {shown(max(found))}"
    return text if len(found) == len(values) else f"{text} ({len(found)} of {len(values)})"
