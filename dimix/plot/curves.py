"""Learning curves: one row of panels per metric, one column per kind of time."""

from __future__ import annotations

import importlib
import io
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dimix.errors import OutputError, nearest
from dimix.plot.bands import BANDS, band, running_mean
from dimix.plot.figures import new_figure, plain_text, style
from dimix.plot.runs import Run

#: Default panels: a title, and candidate metrics of which the first recorded one is drawn.
CURVES = (
    ("games won", ("eval/battle_won",)),
    ("games won, jittered starts", ("eval/battle_won_jitter",)),
    ("return", ("eval/ep_reward", "rollout/ep_reward")),
    ("loss", ("train/loss",)),
)
#: File extensions of figures, and the matplotlib format for each.
FIGURES = {".png": "png", ".svg": "svg", ".pdf": "pdf", ".html": "svg"}
#: X axes by name: the columns of panels.
X_AXES = {"both": ("env_step", "time"), "env_step": ("env_step",), "time": ("time",)}
_CUT = 0.05  # share of the longest run that a line may omit without a message
_CHARS_PER_INCH = 13  # in the legend's small print

Groups = Mapping[str, Sequence[Run]]
Panel = tuple[str, tuple[str, ...]]  # a title, and candidate metrics of which the first recorded one is drawn


@dataclass(frozen=True)
class Look:
    """What a figure shows.

    Attributes:
        metrics: columns of ``metrics.csv``, one row of panels each; empty: win rate, return and loss.
        title: title above the figure.
        band: how to show several seeds, one of `BANDS`.
        smooth: width of the running mean, in evaluations (rows with the metric), >= 1; 1 draws the recorded values.
        x_axis: one of `X_AXES`.

    Raises:
        OutputError: no such band or axis.
    """

    metrics: tuple[str, ...] = ()
    title: str | None = None
    band: str = "minmax"
    smooth: int = 1
    x_axis: str = "both"

    def __post_init__(self) -> None:
        for option, value, known in (("--band", self.band, BANDS), ("--x-axis", self.x_axis, X_AXES)):
            if value not in known:
                hint = nearest(value, known)
                raise OutputError(f"{option} {value}: there is none. Right is one of {', '.join(known)}.{hint}")


def figure_file(groups: Groups, look: Look, file_format: str) -> bytes:
    """The figure as a file in one of the formats of `FIGURES`; see `draw`."""
    figure = draw(groups, look)
    picture = io.BytesIO()
    with importlib.import_module("matplotlib").rc_context({"pdf.fonttype": 42}):  # font type that journals accept
        figure.savefig(picture, format=file_format, dpi=130)
    return picture.getvalue()


def draw(groups: Groups, look: Look) -> Any:
    """Draw the figure.

    Raises:
        OutputError: matplotlib is not installed, or the metrics were not recorded.
    """
    runs = [run for group in groups.values() for run in group]
    panels, columns = _panels(runs, look), _columns(runs, look)
    legend = _Legend(groups, width=6.5 if len(columns) == 1 else 11.0)
    figure = new_figure(figsize=(legend.width, 2.6 * len(panels) + 0.6 + legend.height + 0.3 * bool(look.title)))
    axes = figure.subplots(len(panels), len(columns), squeeze=False)
    unit, per_hour = _time_unit(runs)
    for row, panel in zip(axes, panels, strict=True):
        for axis, column in zip(row, columns, strict=True):
            _draw_panel(axis, groups, panel, look, column, per_hour)
    for axis, column in zip(axes[-1], columns, strict=True):
        axis.set_xlabel("env steps" if column == "env_step" else unit)
    if look.title:
        figure.suptitle(plain_text(textwrap.fill(look.title, int(legend.width * 8))))
    legend.add(figure, look)
    return figure


def say_where_cut(groups: Groups, out: Callable[[str], None]) -> None:
    """Report experiments whose line ends at the shortest seed, one line each."""
    for label, runs in groups.items():
        if _is_cut(runs):
            shortest, longest = (find(runs, key=lambda run: run.env_steps) for find in (min, max))
            out(
                f"{label}: drawn up to env step {shortest.env_steps}, where {shortest.folder} ends; "
                f"{longest.folder} has {longest.env_steps}"
            )


def _is_cut(runs: Sequence[Run]) -> bool:
    steps = [run.env_steps for run in runs]
    return min(steps) < (1 - _CUT) * max(steps)


def _panels(runs: Sequence[Run], look: Look) -> list[Panel]:
    """Rows of the figure."""
    known = dict.fromkeys(name for run in runs for name in run.columns)
    for name in look.metrics:
        if name not in known:
            hint = nearest(name, known) or " The first line of a metrics.csv names all."
            raise OutputError(f"--metric {name}: no run has such a column.{hint}")
    titles = {names[0]: title for title, names in CURVES}
    wanted: Sequence[Panel] = [(titles.get(name, name), (name,)) for name in look.metrics] or CURVES
    shown = [panel for panel in wanted if any(_recorded(run, panel) for run in runs)]
    missing = [name for panel in wanted if panel not in shown for name in panel[1]]
    if not shown or look.metrics and missing:
        raise OutputError(f"{runs[0].folder}: none of {', '.join(missing)} was recorded.")
    return shown


def _columns(runs: Sequence[Run], look: Look) -> tuple[str, ...]:
    """Columns of the figure: wall time only if speed was recorded."""
    if any(np.isfinite(run.hours).any() for run in runs):
        return X_AXES[look.x_axis]
    if look.x_axis == "time":
        raise OutputError(f"--x-axis time: {runs[0].folder} holds no speed/env_steps_per_s. Use --x-axis env_step.")
    return X_AXES["env_step"]


def _time_unit(runs: Sequence[Run]) -> tuple[str, float]:
    """Unit of wall time for runs of this length, and how many fit in an hour."""
    longest = max((hours for run in runs if np.isfinite(hours := run.hours[-1])), default=0.0)
    return ("minutes", 60.0) if longest < 2 else ("hours", 1.0)


def _recorded(run: Run, panel: Panel) -> str | None:
    """The metric that a panel draws for a run."""
    return next((name for name in panel[1] if len(run.curve(name)[2])), None)


def _draw_panel(axis: Any, groups: Groups, panel: Panel, look: Look, column: str, per_hour: float) -> None:
    for number, runs in enumerate(groups.values()):
        curves = [curve for run in runs if (curve := _curve(run, panel, look, column, per_hour)) is not None]
        if not curves:
            continue
        time, centre, low, high = band(curves, look.band)
        line = style(number)
        axis.plot(time, centre, **line, linewidth=1.6)
        if len(curves) > 1 and look.band != "none":
            axis.fill_between(time, low, high, color=line["color"], alpha=0.2, linewidth=0)
    axis.set_ylabel(plain_text(panel[0]))
    axis.grid(alpha=0.3)
    if panel[0].startswith("games won"):
        axis.set_ylim(-0.03, 1.03)
    if column == "env_step":
        axis.xaxis.set_major_formatter(importlib.import_module("matplotlib.ticker").EngFormatter(sep=""))


def _curve(run: Run, panel: Panel, look: Look, column: str, per_hour: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Time and smoothed value of a run; None if it has no such metric or no time."""
    name = _recorded(run, panel)
    if name is None:
        return None
    step, hours, value = run.curve(name)
    time = step if column == "env_step" else hours * per_hour
    return (time, running_mean(value, look.smooth)) if np.isfinite(time).all() else None


class _Legend:
    """One legend for all panels, below them; long labels are wrapped. Width and height are in inches."""

    def __init__(self, groups: Groups, width: float) -> None:
        self.width = width
        chars = int(width * _CHARS_PER_INCH)
        self._several = any(len(runs) > 1 for runs in groups.values())
        texts = [label.lstrip("_") + _seeds(runs) for label, runs in groups.items()]
        self._across = min(max(1, chars // (max(map(len, texts)) + 8)), len(texts))
        self._texts = ["\n".join(textwrap.wrap(text, chars - 8)) for text in texts]
        lines = sum(text.count("\n") + 1 for text in self._texts) / self._across
        self.height = 0.17 * (lines + self._several)

    def add(self, figure: Any, look: Look) -> None:
        make_line = importlib.import_module("matplotlib.lines").Line2D
        figure.legend(
            [make_line([], [], linewidth=1.6, **style(number)) for number in range(len(self._texts))],
            [plain_text(text) for text in self._texts],
            loc="outside lower center",
            ncols=self._across,
            fontsize="small",
            title=BANDS[look.band][0] if self._several else None,
            title_fontsize="small",
        )


def _seeds(runs: Sequence[Run]) -> str:
    if len(runs) == 1:
        return ""
    return f" ({len(runs)} seeds, cut to the shortest)" if _is_cut(runs) else f" ({len(runs)} seeds)"
