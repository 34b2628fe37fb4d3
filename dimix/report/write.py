"""Writes the report of runs as one self-contained page."""

from __future__ import annotations

import base64
import html
import math
import re
from collections.abc import Callable, Iterable, Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from dimix import __version__
from dimix.errors import OutputError
from dimix.machine.intervals import wilson_interval
from dimix.machine.text import duration, short
from dimix.plot.curves import Groups, Look, figure_file
from dimix.plot.experiments import read_experiments
from dimix.plot.runs import Run
from dimix.plot.table import shown, summarise, table
from dimix.report.findings import FINDINGS, Evidence, find_all
from dimix.report.gather import RunReport, gather


def report(folders: Sequence[str | Path], target: str | Path, out: Callable[[str], None] = print) -> None:
    """Write a page that explains runs.

    Args:
        folders: run folders, or folders that contain some.
        target: the page, ``.html``.
        out: called with a line about everything left out, each finding's title, and the file written.

    Raises:
        OutputError: a folder without metrics, another ending, or a file that cannot be written.
    """
    target = Path(target)
    if target.suffix.lower() != ".html":
        raise OutputError(f"-o {target}: ending '{target.suffix}'. Right is .html; -m plot writes tables and figures.")
    groups = read_experiments(folders, out)
    runs = gather([run for group in groups.values() for run in group], out)
    found = sum(len(find_all(each.evidence)) for each in runs)
    try:
        target.write_text(page(groups, runs, out), "utf-8")
    except OSError as e:
        raise OutputError(f"{target}: cannot be written ({e.strerror}).") from e
    out(f"{target}: {len(runs)} run{'s' if len(runs) > 1 else ''}, {found} finding{'s' if found != 1 else ''}")


def page(groups: Groups, runs: Sequence[RunReport], out: Callable[[str], None]) -> str:
    """The report as HTML."""
    title = f"dimix report: {', '.join(groups)}"
    parts = {
        "TITLE": html.escape(title),
        "STYLE": (resources.files("dimix.report") / "page.css").read_text("utf-8"),
        "FINDINGS": _findings([each.evidence for each in runs]),
        "RESULTS": _results(groups, runs),
        "CURVES": _curves(groups, out),
        "GAMES": _games(runs),
        "SPEED": _table(
            ["run", "minutes", "env steps/s", "slowest tenth", "evaluating", "computing"], map(_speed, runs)
        ),
        "SETTINGS": _settings(runs),
        "VERSION": __version__,
    }
    text = (resources.files("dimix.report") / "page.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], text)


def _findings(runs: Sequence[Evidence]) -> str:
    """Each kind of finding once, with what it says of each run."""
    by_title: dict[str, list[str]] = {}
    for evidence in runs:
        for found in find_all(evidence):
            who = f"<b>{html.escape(_name(evidence.run))}</b>: " if len(runs) > 1 else ""
            by_title.setdefault(found.title, []).append(f"<p>{who}{html.escape(found.text)}</p>")
    looked = "; ".join((look.__doc__ or "").strip().rstrip(".") for look in FINDINGS)
    note = f"<details><summary>What was looked for</summary><p>{html.escape(looked)}.</p></details>"
    if not by_title:
        return f'<p class="fine">Nothing looks wrong.</p>{note}'
    return "".join(f"<section><h3>{title}</h3>{''.join(texts)}</section>" for title, texts in by_title.items()) + note


def _results(groups: Groups, runs: Sequence[RunReport]) -> str:
    rows = [summarise(label, group) for label, group in groups.items()]
    head, *lines = shown(rows)
    labels = list(dict.fromkeys(label for each in runs for label in _labels(each.run)))
    won = ["won", "won, moved starts", *(f"won, {label}" for label in labels)]
    last = _table(
        ["run", "env steps", *won, "return", "steps", "different games"],
        (_last_evaluation(each.run, labels) for each in runs),
    )
    known = {name: rate for each in runs for name, rate in each.evidence.floors.items()}
    floors = _table(["learns or sees nothing", "won"], ([name, f"{rate:.0%}"] for name, rate in known.items()))
    copies = "".join(
        f"<details><summary>The table as {kind}</summary><pre>{html.escape(table(groups, ending))}</pre></details>"
        for kind, ending in (("LaTeX", ".tex"), ("CSV", ".csv"))
    )
    return (
        f"<p>Means over each seed's last ten evaluations, ± half the 95 % interval over seeds (Student's t).</p>"
        f"{_table(head, lines)}<p>The last evaluation of each run, with 95 % intervals (Wilson).</p>{last}"
        f"{'<p>For comparison, games from the map’s own start.</p>' + floors if known else ''}{copies}"
    )


def _labels(run: Run) -> list[str]:
    """Those that tell a run's games apart."""
    before = "eval/games_won_"
    return [name.removeprefix(before) for name in run.columns if name.startswith(before) and name != f"{before}jitter"]


def _last_evaluation(run: Run, labels: Sequence[str]) -> list[str]:
    def value(name: str) -> float:
        values = run.curve(f"eval/{name}")[2]
        return float(values[-1]) if len(values) else math.nan

    def won(suffix: str) -> str:
        wins, games = value(f"games_won{suffix}"), value(f"games_played{suffix}")
        if not games >= 1:
            return "-"
        low, high = wilson_interval(int(wins), int(games))
        return f"{wins:.0f} of {games:.0f} ({low:.0%} to {high:.0%})"

    half = 1.96 * value("std_ep_reward") / math.sqrt(max(value("games_played"), 1))
    reward = f"{value('ep_reward'):.2f} ± {half:.2f}"
    numbers = (f"{value(name):.0f}" for name in ("ep_length", "distinct_games"))
    rates = (won(suffix) for suffix in ("", "_jitter", *(f"_{label}" for label in labels)))
    return [_name(run), short(run.env_steps), *rates, reward, *numbers]


def _curves(groups: Groups, out: Callable[[str], None]) -> str:
    try:
        picture = figure_file(groups, Look(), "svg")
    except OutputError as e:
        out(f"left out: {e}")
        return f"<p>{html.escape(str(e))}</p>"
    data = base64.b64encode(picture).decode()
    return f'<img class="curves" alt="learning curves" src="data:image/svg+xml;base64,{data}">'


def _games(runs: Sequence[RunReport]) -> str:
    recorded = [(_name(each.run), each.replays) for each in runs if each.replays]
    if not recorded:
        return "<p>None were recorded. <code>-o env.replay.every=10</code> records some while training.</p>"
    return "".join(
        f"<details{'' if number else ' open'}><summary>{html.escape(name)}: the first, a middle and the last evaluation"
        f'</summary><iframe title="games" sandbox="allow-scripts" srcdoc="{html.escape(games)}"></iframe></details>'
        for number, (name, games) in enumerate(recorded)
    )


def _speed(report: RunReport) -> list[str]:
    run = report.run
    speed, wall, cpu = (run.curve(f"speed/{name}")[2] for name in ("env_steps_per_s", "seconds", "cpu_seconds"))
    if not len(speed):
        return [_name(run), *["-"] * 5]
    total = wall[-1] if len(wall) else 3600 * run.hours[-1]
    return [
        _name(run),
        duration(total),
        short(float(np.median(speed))),
        short(float(np.percentile(speed, 10))),
        f"{evaluation_share(run):.0%}",
        f"{cpu[-1] / wall[-1]:.0%}" if len(wall) and len(cpu) else "-",
    ]


def evaluation_share(run: Run) -> float:
    """Estimated share of the time that evaluations took: what rounds after one took longer than the others' median."""
    step, speed = run.columns["env_step"], run.columns.get("speed/env_steps_per_s", np.zeros(0))
    rows = np.flatnonzero(np.isfinite(speed) & (speed > 0)) if len(speed) else np.zeros(0, int)
    if len(rows) < 4:
        return 0.0
    steps = np.diff(step[rows], prepend=0.0)
    seconds = steps / speed[rows]
    evaluated = np.isin(rows - 1, np.flatnonzero(np.isfinite(run.columns.get("eval/ep_reward", step * np.nan))))
    if evaluated.all() or not evaluated.any():
        return 0.0
    usual = float(np.median(seconds[~evaluated] / np.maximum(steps[~evaluated], 1)))
    return float(np.maximum(seconds[evaluated] - usual * steps[evaluated], 0).sum() / seconds.sum())


def _settings(runs: Sequence[RunReport]) -> str:
    """Every changed key, with its default and its value in each experiment."""
    columns = {str(each.settings): each for each in runs if each.settings}
    keys = {key: usual for each in columns.values() for key, _, usual in each.settings}
    if not keys:
        return "<p>All are the defaults, or they cannot be read here.</p>"
    mine = [{key: value for key, value, _ in each.settings} for each in columns.values()]
    lines = ([key, repr(usual), *(repr(own.get(key, usual)) for own in mine)] for key, usual in sorted(keys.items()))
    return _table(["key", "default", *(_name(each.run) for each in columns.values())], lines)


def _name(run: Run) -> str:
    """A run by the last two parts of its folder."""
    return "/".join(run.folder.resolve().parts[-2:])


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"

    return f'<div class="wide"><table>{row(head, "th")}{"".join(row(line, "td") for line in lines)}</table></div>'
