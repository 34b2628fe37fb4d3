"""Numbers and tables formatted for people."""

from __future__ import annotations

from collections.abc import Sequence


def short(number: float) -> str:
    """A number in at most five characters: ``950``, ``9.8k``, ``120k``, ``2.0M``."""
    for limit, divisor, unit in ((1e3, 1.0, ""), (1e6, 1e3, "k"), (1e9, 1e6, "M")):
        if abs(number) < limit:
            scaled = number / divisor
            return f"{scaled:.0f}{unit}" if not unit or scaled >= 99.95 else f"{scaled:.1f}{unit}"
    return f"{number / 1e9:.1f}G"


def duration(seconds: float) -> str:
    """A duration: ``12s``, ``3m12s``, ``2h05m``."""
    minutes, rest = divmod(int(round(seconds)), 60)
    if minutes == 0:
        return f"{rest}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s"


def format_bytes(size: float) -> str:
    """A size with a unit: ``1.9 GB`` (decimal)."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """A table for the terminal: columns as wide as their longest cell, separated by two spaces."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)
