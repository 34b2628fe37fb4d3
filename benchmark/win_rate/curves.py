"""Curves of the report: win rates against env steps, median and quartiles over seeds, as PNG and SVG."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.win_rate.summary import Experiment, spread, win_rates
from dimix.errors import OutputError
from dimix.plot import new_figure, on_one_axis, style
from dimix.plot.table import IN_A_ROW
from dizoo.smac.battle.maps.scenario import map_names, task_names

#: Line styles by algorithm; the same on every map.
LINES = ("qmix", "published", "vdn", "ow_qmix", "cw_qmix", "qtran", "open_loop", "nominal", "net_reward")
#: Lines of the picture of all maps.
OVERVIEW = ("qmix", "published", "nominal", "open_loop", "net_reward")
WIDTH = 4  # pictures in a row of the overview

Found = Mapping[tuple[str, str, str], Experiment]


def curve_file(rules: str, map_name: str | None = None) -> str:
    """Return the PNG file name of a map's curves, or of all maps'."""
    return f"{rules}_{map_name}.png" if map_name else f"{rules}.png"


def draw_all(found: Found, folder: Path) -> None:
    """Draw each map's curves, and QMIX's of all maps or tasks in one picture, into ``folder``, created if needed.

    Raises:
        OutputError: no matplotlib, or a file that cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for rules in sorted({key[0] for key in found}):
        by_map: dict[str, list[Experiment]] = {}
        for name in (*map_names(), *task_names()):
            mine = [e for (r, m, _), e in found.items() if (r, m) == (rules, name)]
            if mine:
                by_map[name] = sorted(mine, key=_order)
                if name in map_names():  # a task has no moved starts, and nothing that the picture of all does not show
                    save(_map_figure(name, rules, by_map[name]), folder / curve_file(rules, name))
        save(_overview(by_map), folder / curve_file(rules))


def smoothed(experiment: Experiment, jitter: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """Return env steps, median, 25 % and 75 % quantile over seeds of the win rate, each averaged over five evaluations.

    None if there are no evaluations of that kind.
    """
    curves = []
    for row in experiment.rows:
        rates = win_rates(row, jitter)
        width = min(IN_A_ROW, len(rates))
        mean = np.convolve(rates, np.full(width, 1 / width), mode="valid")
        curves.append((np.array(row["evaluations"]["env_step"], float)[width - 1 :], mean))
    if not all(np.isfinite(rate).all() for _, rate in curves):
        return None
    step, values = on_one_axis(curves)
    median, low, high = np.array([spread(column) for column in values.T]).T
    return step, median, low, high


def _map_figure(name: str, rules: str, mine: Sequence[Experiment]) -> Any:
    figure = new_figure(figsize=(8, 3.4))
    axes = figure.subplots(1, 2, sharey=True)
    for axis, title, jitter in zip(axes, ("nominal start", "starts moved by 0.5"), (False, True), strict=True):
        for experiment in mine:
            _draw(axis, experiment, jitter)
        _dress(axis, f"{name}, {title}")
        axis.set_xlabel(f"million env steps, rules {rules}")
    axes[0].set_ylabel("games won")
    _legend(figure)
    return figure


def _overview(by_map: Mapping[str, Sequence[Experiment]]) -> Any:
    rows = math.ceil(len(by_map) / WIDTH)
    figure = new_figure(figsize=(2.6 * min(WIDTH, len(by_map)), 1.9 * rows + 0.5))
    axes = figure.subplots(rows, min(WIDTH, len(by_map)), squeeze=False, sharey=True)
    cells = list(axes.flat)
    for axis, (name, mine) in zip(cells, by_map.items(), strict=False):
        for experiment in mine:
            if experiment.cell.algo in OVERVIEW:
                _draw(axis, experiment, jitter=False)
        _dress(axis, name)
        axis.tick_params(labelsize="x-small")
        axis.locator_params(axis="x", nbins=5)
    for axis in cells[len(by_map) :]:
        axis.set_axis_off()
    for axis in axes[-1]:
        axis.set_xlabel("million env steps", fontsize="small")
    figure.supylabel("games won", fontsize="small")
    _legend(figure)
    return figure


def _legend(figure: Any) -> None:
    lines = {label: line for a in figure.axes for line, label in zip(*a.get_legend_handles_labels(), strict=True)}
    figure.legend(list(lines.values()), list(lines), loc="outside lower center", ncols=4, fontsize="x-small")


def _draw(axis: Any, experiment: Experiment, jitter: bool) -> None:
    curve = smoothed(experiment, jitter)
    if curve is None:
        return
    step, median, low, high = curve
    line = style(_number(experiment))
    step = step / 1e6
    axis.plot(step, median, **line, linewidth=1.5, label=experiment.cell.algo.replace("_", "-"))
    axis.fill_between(step, low, high, color=line["color"], alpha=0.2, linewidth=0)


def _dress(axis: Any, title: str) -> None:
    axis.set_title(title, fontsize="small")
    axis.set_ylim(-0.03, 1.03)
    axis.grid(alpha=0.3)


def _number(experiment: Experiment) -> int:
    """Return a line's position among all lines; unknown ones come last."""
    line = experiment.cell.algo
    return LINES.index(line) if line in LINES else len(LINES)


def _order(experiment: Experiment) -> tuple[int, str]:
    return _number(experiment), experiment.cell.algo


def save(figure: Any, path: Path) -> None:
    """Write a PNG and an SVG.

    The same rows give the same bytes; an SVG's paths are rounded to a tenth of a point.

    Raises:
        OutputError: the files cannot be written.
    """
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "dimix", "svg.fonttype": "none"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    short = re.sub(r' d="[^"]*"', lambda d: re.sub(r"(\.\d)\d+", r"\1", d.group()), text.getvalue())
    try:
        path.with_suffix(".svg").write_text(short, "utf-8")
        figure.savefig(path, dpi=80, metadata={"Software": None})
    except OSError as e:
        raise OutputError(f"{path}: cannot be written ({e.strerror}).") from e
