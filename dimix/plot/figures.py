"""Empty matplotlib figures that need no display, and line styles."""

from __future__ import annotations

import importlib
import math
from typing import Any

from dimix.errors import OutputError

#: Colours for colour-blind readers (Okabe and Ito 2008), black last; dashes distinguish lines in black-and-white print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)))


def style(number: int) -> dict[str, Any]:
    """Colour and dashes of line ``number``, as matplotlib options."""
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": DASHES[number % len(DASHES)]}


def new_figure(**options: Any) -> Any:
    """An empty matplotlib figure that needs no display.

    Raises:
        OutputError: matplotlib is not installed.
    """
    try:
        return importlib.import_module("matplotlib.figure").Figure(layout="constrained", **options)
    except ImportError as error:
        raise OutputError("curves: no matplotlib here. Install it with: pip install 'dimix[plot]'.") from error


def panel_grid(count: int, width: float, height: float, across: int = 4, **options: Any) -> tuple[Any, list[Any]]:
    """A figure of small panels, and its panels row by row.

    Args:
        count: number of panels.
        width: width of a panel in inches.
        height: height of a panel in inches.
        across: maximum panels in a row.
        options: options of matplotlib's ``subplots``.

    Raises:
        OutputError: matplotlib is not installed.
    """
    across = min(across, count)
    down = math.ceil(count / across)
    figure = new_figure(figsize=(width * across, height * down))
    panels = list(figure.subplots(down, across, squeeze=False, **options).flat)
    for panel in panels[count:]:
        panel.remove()
    return figure, panels[:count]


def plain_text(text: str) -> str:
    """Escape a label, because matplotlib reads text between dollar signs as mathematics."""
    return text.replace("$", r"\$")
