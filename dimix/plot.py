"""Learning curves from the metrics of run folders: several seeds of one experiment as a band."""

from __future__ import annotations

import base64
import csv
import html
import importlib
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dimix.errors import OutputError

#: What is drawn, by the metric's name; the first that a run has stands for each group.
CURVES = (
    ("games won", ("eval/battle_won",)),
    ("games won, jittered starts", ("eval/battle_won_jitter",)),
    ("return", ("eval/ep_reward", "rollout/ep_reward")),
    ("loss", ("train/loss",)),
)
ENDINGS = (".png", ".svg", ".html")
_POINTS = 200  # of a band's time axis
#: Colours that colour-blind readers tell apart (Okabe and Ito 2008), black last; the dashes do it in a black-and-white
#: print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)))


@dataclass(frozen=True)
class Run:
    """The metrics of one run.

    Attributes:
        folder: where they come from.
        columns: (rows,) float64 by column of ``metrics.csv``, NaN where a row holds nothing.
    """

    folder: Path
    columns: dict[str, np.ndarray]

    def curve(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Env steps, hours and values of the rows that hold a metric; all empty when there is none."""
        values = self.columns.get(name, np.full(len(self.hours), np.nan))
        rows = np.isfinite(values)
        return self.columns["env_step"][rows], self.hours[rows], values[rows]

    @property
    def hours(self) -> np.ndarray:
        """(rows,) wall time of each row, summed from the recorded speed; NaN where none was recorded before it."""
        step = self.columns["env_step"]
        speed = self.columns.get("speed/env_steps_per_s", np.full(len(step), np.nan))
        timed = np.flatnonzero(np.isfinite(speed) & (speed > 0))
        seconds = np.cumsum(np.diff(step[timed], prepend=0.0) / speed[timed])
        hours = np.full(len(step), np.nan)
        if len(timed):
            hours = np.interp(np.arange(len(step)), timed, seconds) / 3600.0
            hours[: timed[0]] = 0.0
        return hours

    def evaluations(self, metrics: Sequence[str]) -> list[dict[str, float]]:
        """Its evaluations (rows with the first metric), oldest first: ``env_step``, and ``eval/<metric>`` by metric."""
        rows = np.flatnonzero(np.isfinite(self.columns[f"eval/{metrics[0]}"]))
        return [
            {
                "env_step": int(self.columns["env_step"][row]),
                **{name: round(float(self.columns[f"eval/{name}"][row]), 4) for name in metrics},
            }
            for row in rows
        ]


def read_run(folder: str | Path) -> Run:
    """Read a run folder's ``log/metrics.csv``.

    Args:
        folder: the run folder, its ``log`` folder, or the file itself.

    Raises:
        OutputError: there is none, or it is not a metrics file.
    """
    given = Path(folder)
    places = [given / "log" / "metrics.csv", given / "metrics.csv", given]
    path = next((p for p in places if p.is_file()), None)
    if path is None:
        raise OutputError(f"{folder}: no log/metrics.csv there. Give the run folder that a training printed.")
    try:
        with open(path, newline="", encoding="utf-8") as file:
            head, *rows = list(csv.reader(file))
        rows = [row for row in rows if len(row) == len(head)]  # a running training may be writing the last one
        table = np.array([[float(c) if c else np.nan for c in row] for row in rows], np.float64)
    except (ValueError, UnicodeDecodeError, csv.Error) as e:
        raise OutputError(f"{path}: not a metrics file ({e}). It is the log/metrics.csv of a run.") from e
    except OSError as e:
        raise OutputError(f"{path}: cannot be read ({e.strerror}).") from e
    if "env_step" not in head or not len(table):
        what = "has no rows yet" if "env_step" in head else "has no column env_step"
        raise OutputError(f"{path}: {what}. It is the log/metrics.csv of a run that has evaluated or collected.")
    return Run(path.parent.parent if path.parent.name == "log" else path.parent, dict(zip(head, table.T, strict=True)))


def group_runs(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs by experiment: folders that differ only in ``seed<number>`` (and a suffix ``_2``) are its seeds.

    Returns:
        Runs by a name that is as short as tells the experiments apart.
    """
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        path = run.folder.resolve()
        last = re.sub(r"[_-]?seed[_-]?\d+(_\d+)?$", "", path.name)
        key = (*path.parent.parts, last) if last else path.parent.parts
        groups.setdefault(key, []).append(run)
    for length in range(1, max(map(len, groups)) + 1):
        names = {"/".join(key[-length:]): found for key, found in groups.items()}
        if len(names) == len(groups):
            return names
    return names


def band(curves: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Several runs on one time axis, as far as all of them reach.

    Args:
        curves: time (ascending) and value of each run, at least one row each.

    Returns:
        Time, mean, smallest and largest value; one run keeps its own points.
    """
    if len(curves) == 1:
        time, value = curves[0]
        return time, value, value, value
    time, values = on_one_axis(curves)
    return time, values.mean(0), values.min(0), values.max(0)


def on_one_axis(curves: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Several runs read off at the same times, as far as all of them reach.

    Args:
        curves: time (ascending) and value of each run, at least one row each.

    Returns:
        Time (P,) and values (runs, P).
    """
    first, last = max(t[0] for t, _ in curves), min(t[-1] for t, _ in curves)
    time = np.linspace(first, max(first, last), _POINTS)
    return time, np.stack([np.interp(time, t, v) for t, v in curves])


def style(number: int) -> dict[str, Any]:
    """Colour and dashes of line ``number`` of a figure, as matplotlib's options."""
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
    """A figure of small panels, and these, row by row.

    Args:
        count: panels.
        width: inches of one.
        height: inches of one.
        across: panels in a row at most.
        options: of matplotlib's ``subplots``.

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


def plot(folders: Sequence[str | Path], out: str | Path) -> None:
    """Draw the curves of runs against env steps and, where speed was recorded, against wall time.

    Args:
        folders: run folders; seeds of one experiment become one line, their mean, in a band from worst to best.
        out: a .png, .svg or .html file.

    Raises:
        OutputError: a folder without metrics, another ending, no matplotlib, or a file that cannot be written.
    """
    target = Path(out)
    ending = target.suffix.lower()
    if ending not in ENDINGS:
        raise OutputError(f"-o {out}: ending '{target.suffix}'. Right is one of {', '.join(ENDINGS)}.")
    groups = group_runs([read_run(folder) for folder in folders])
    picture = io.BytesIO()
    figure = draw(groups)
    figure.savefig(picture, format="png" if ending == ".png" else "svg", dpi=130)
    content = picture.getvalue()
    if ending == ".html":
        content = _page(content, list(groups)).encode()
    try:
        target.write_bytes(content)
    except OSError as e:
        raise OutputError(f"{out}: cannot be written ({e.strerror}).") from e


def draw(groups: dict[str, list[Run]]) -> Any:
    """The figure: a row per metric, a column per kind of time.

    Args:
        groups: runs by experiment.

    Raises:
        OutputError: matplotlib is not installed.
    """
    runs = [run for group in groups.values() for run in group]
    shown = [(title, names) for title, names in CURVES if any(_curve(run, names) is not None for run in runs)]
    if not shown:
        wanted = ", ".join(name for _, names in CURVES for name in names)
        raise OutputError(f"{runs[0].folder}: none of {wanted} was recorded.")
    timed = any(np.isfinite(run.hours).any() for run in runs)
    in_minutes = np.nanmax([run.hours.max() for run in runs], initial=0.0) < 2 if timed else False
    figure = new_figure(figsize=(11 if timed else 6.5, 2.6 * len(shown) + 0.6))
    axes = figure.subplots(len(shown), 2 if timed else 1, squeeze=False)
    for row, (title, names) in zip(axes, shown, strict=True):
        for column, axis in enumerate(row):
            _draw_metric(axis, groups, names, column, 60.0 if in_minutes and column else 1.0)
            axis.set_ylabel(title)
            axis.grid(alpha=0.3)
            if title.startswith("games won"):
                axis.set_ylim(-0.03, 1.03)
    for axis, label in zip(axes[-1], ("env steps", "minutes" if in_minutes else "hours"), strict=False):
        axis.set_xlabel(label)
    axes[0][0].legend(fontsize="small")
    return figure


def _draw_metric(axis: Any, groups: dict[str, list[Run]], names: Sequence[str], column: int, unit: float) -> None:
    for number, (label, runs) in enumerate(groups.items()):
        found = [curve for run in runs if (curve := _curve(run, names)) is not None]
        curves = [(c[column] * unit, c[2]) for c in found if np.isfinite(c[column]).all()]
        if not curves:
            continue
        time, mean, low, high = band(curves)
        line = style(number)
        seeds = f" ({len(runs)} seeds)" if len(runs) > 1 else ""
        axis.plot(time, mean, **line, label=_no_formula(label) + seeds, linewidth=1.6)
        if len(curves) > 1:
            axis.fill_between(time, low, high, color=line["color"], alpha=0.2, linewidth=0)


def _curve(run: Run, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    curves = (run.curve(name) for name in names)
    return next((curve for curve in curves if len(curve[2])), None)


def _no_formula(label: str) -> str:
    """A folder's name as plain text: matplotlib would read what stands between dollar signs as mathematics."""
    return label.replace("$", r"\$").lstrip("_")


def _page(svg: bytes, names: Sequence[str]) -> str:
    title = html.escape(f"curves: {', '.join(names)}")
    data = base64.b64encode(svg).decode()
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>\n'
        f'<body><img alt="{title}" style="width:100%;max-width:1400px" src="data:image/svg+xml;base64,{data}"></body>\n'
        "</html>\n"
    )
