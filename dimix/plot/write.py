"""Plot run folders to a file, or write their table."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Sequence
from pathlib import Path

from dimix.errors import OutputError
from dimix.plot.curves import FIGURES, Groups, Look, figure_file, say_where_cut
from dimix.plot.experiments import read_experiments
from dimix.plot.table import TABLES, table

ENDINGS = (*FIGURES, *TABLES)


def plot(
    folders: Sequence[str | Path], target: str | Path, look: Look | None = None, out: Callable[[str], None] = print
) -> None:
    """Draw the curves of runs, or write their table.

    Args:
        folders: run folders, or folders that contain some; the seeds of one experiment become one line or one row.
        target: a figure (.png, .svg, .pdf, .html) or a table (.csv, .md, .tex).
        look: what a figure shows; None uses the defaults.
        out: called with a line about each run left out, each line cut short, and the file written.

    Raises:
        OutputError: a folder without metrics, an unknown extension, no matplotlib, a file that cannot be written, or a
            look given for a table.
    """
    ending = Path(target).suffix.lower()
    if ending not in ENDINGS:
        raise OutputError(f"-o {target}: ending '{Path(target).suffix}'. Right is one of {', '.join(ENDINGS)}.")
    if ending in TABLES and look not in (None, Look()):
        raise OutputError(f"-o {target}: a table has no metric, title, band, smoothing or axis. Leave them out.")
    groups = read_experiments(folders, out)
    content = table(groups, ending).encode() if ending in TABLES else _figure(groups, look or Look(), ending, out)
    try:
        Path(target).write_bytes(content)
    except OSError as e:
        raise OutputError(f"{target}: cannot be written ({e.strerror}).") from e
    runs = sum(map(len, groups.values()))
    out(f"{target}: {_count(runs, 'run')} of {_count(len(groups), 'experiment')}")


def _figure(groups: Groups, look: Look, ending: str, out: Callable[[str], None]) -> bytes:
    picture = figure_file(groups, look, FIGURES[ending])
    say_where_cut(groups, out)
    return _page(picture, look.title or f"curves: {', '.join(groups)}").encode() if ending == ".html" else picture


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'s' if number != 1 else ''}"


def _page(svg: bytes, title: str) -> str:
    title = html.escape(title)
    data = base64.b64encode(svg).decode()
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>\n'
        f'<body><img alt="{title}" style="width:100%;max-width:1400px" src="data:image/svg+xml;base64,{data}"></body>\n'
        "</html>\n"
    )
