"""``python -m benchmark run``: trains cells in parallel until each has its row; continues where it was stopped."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from shutil import get_terminal_size
from typing import Any

from benchmark.arithmetic import KINDS
from benchmark.provenance import revision
from benchmark.win_rate.cells import Cell, MapCell
from benchmark.win_rate.job import train_cell
from benchmark.win_rate.rows import config_changes, flat_config, path_of, read_row
from dimix.entry.rooms import compile_once
from dimix.errors import first_line
from dimix.machine.cores import usable_cores
from dimix.machine.processes import Child, Job, Watcher, run_jobs
from dimix.machine.ray_jobs import RayCluster, below_here
from dimix.machine.signals import say
from dimix.machine.text import duration

#: Seconds between two displays of the queue, in a terminal (redrawn in place) and in a file.
TERMINAL_S, FILE_S = 1.0, 60.0


def run_cells(
    cells: Sequence[Cell],
    *,
    work: Path,
    rows: Path,
    jobs: int | None = None,
    ray: str | None = None,
    final_games: int = 128,
    anew: str = "",
    out: Callable[[str], None] = say,
    terminal: bool | None = None,
) -> int:
    """Train every cell that has no row yet.

    Args:
        cells: in the order of training.
        work: run folders; a stopped run is resumed from there.
        rows: finished rows.
        jobs: runs at a time; None: the number of cores, or what the cluster has room for.
        ray: address of a Ray cluster whose nodes train the cells; None: the cores of this machine.
        final_games: games of each kind that a trained team plays.
        anew: hint on how to retrain cells that have their rows, shown if all of them do.
        out: called with lines for the user.
        terminal: whether ``out`` can be redrawn; None checks the standard output.

    Returns:
        Exit status: 0 if every cell has its row, 1 if one failed, 130 if a signal stopped the queue, 2 if another
        queue is still working on some of them.
    """
    if ray is None:
        jobs = min(jobs or usable_cores(), max(len(cells), 1))
    missing = [cell for cell in cells if not path_of(cell, rows).exists()]
    finished = len(cells) - len(missing)
    out(f"{len(cells)} cells, {finished} of them finished before; {jobs or 'many'} at a time; rows in {rows}/")
    for line in _outdated([cell for cell in cells if cell not in missing], rows):
        out(line)
    if not missing:
        out(f"{len(cells)} of {len(cells)} rows are there already; {anew}")
        return 0
    if ray is None:
        compile_once(next((cell for cell in missing if isinstance(cell, MapCell)), missing[0]).compile(), out)
    else:  # the nodes have the same paths, below folders of their own
        work, rows = Path(below_here("--work", work)), Path(below_here("--rows", rows))
    same = dict(work=work, rows=rows, jobs=jobs or 1, final_games=final_games)
    due = _still_missing(missing, rows)
    queue = (
        Job(
            c.name,
            train_cell,
            {"cell": c, "started": time.time(), "code": revision(), **same},
            sends=(f"{work}/{c.name}/**/*",),
            environment=KINDS[c.arithmetic],
        )
        for c in due
    )
    display = Display(len(missing), jobs or 1, out, sys.stdout.isatty() if terminal is None else terminal)
    launch: Callable[..., list[Child]] = run_jobs
    if ray is not None:
        launch = RayCluster(ray, ("dimix", "dizoo", "benchmark")).run_jobs
    children = launch(queue, jobs, display)
    display.close()
    return _status(cells, children, rows, out)


def compare_rows(cells: Sequence[Cell], before: Path, again: Path) -> list[str]:
    """Describe each cell with a row in both folders in one line: its final games, then and now."""
    lines = []
    for cell in cells:
        old, new = path_of(cell, before), path_of(cell, again)
        if old.exists() and new.exists():
            then, now = read_row(old)["final"], read_row(new)["final"]
            lines.append(f"{cell.name}: {_won(now)}; before: " + ("the same" if now == then else _won(then)))
    return lines


def _still_missing(cells: Sequence[Cell], rows: Path) -> Iterator[Cell]:
    """Yield the cells that no other queue has finished by the time it is their turn."""
    return (cell for cell in cells if not path_of(cell, rows).exists())


def _outdated(cells: Sequence[Cell], rows: Path) -> list[str]:
    """Return a line for each row whose config has changed since."""
    lines = []
    for cell in cells:
        old, new = read_row(path_of(cell, rows))["config"], flat_config(cell.compile().cfg)
        if changed := config_changes(old, new):
            what = ", ".join(f"{k} was {old[k]!r}, now {new[k]!r}" for k in changed[:3])
            lines.append(f"note: {path_of(cell, rows).name}: {what}. --again trains it anew.")
    return lines


def _status(cells: Sequence[Cell], children: Sequence[Child], rows: Path, out: Callable[[str], None]) -> int:
    states = [child.result["state"] for child in children if child.result]
    failed = [child for child in children if child.error]
    done = sum(path_of(cell, rows).exists() for cell in cells)
    out(f"{done} of {len(cells)} cells have their row")
    if failed:
        out("\n".join(["failed:", *(f"  {c.job.name}: {first_line(c.error)}" for c in failed)]))
        return 1
    if "stopped" in states or any(child.signalled for child in children):
        out("stopped; the same command goes on")
        return 130
    if done < len(cells):
        out("another queue is training the others; the same command waits for nothing and takes what is left")
        return 2
    return 0


class Display(Watcher):
    """Displays the whole queue: how much is done, how long it will take, the last line of every running cell.

    Args:
        total: cells to train.
        jobs: cells trained at a time.
        out: called with text.
        terminal: redraw in place; else print now and then.
        clock: returns seconds.
    """

    def __init__(
        self,
        total: int,
        jobs: int,
        out: Callable[[str], None],
        terminal: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total, self._jobs, self._out, self._terminal, self._clock = total, jobs, out, terminal, clock
        self._started = self._drawn_at = clock()
        self._seconds: list[float] = []  # of the finished cells
        self._failed = 0
        self._last: dict[str, str] = {}  # last line by cell
        self._height = 0

    def line(self, child: Child, text: str) -> None:
        """Keep the last line; print everything but progress at once."""
        last = text.splitlines()[-1] if text else ""
        self._last[child.job.name] = last
        if not last.startswith(("env_step", "result:", "stopped by", "playing")):
            self._say("\n".join(f"{child.job.name}: {line}" for line in text.splitlines()))

    def ended(self, child: Child) -> None:
        """Report what became of a cell."""
        self._last.pop(child.job.name, None)
        if child.error:
            self._failed += 1
            self._say(f"{child.job.name}: failed: {child.error}")
        elif child.result is None:
            self._say(f"{child.job.name}: stopped")
        elif child.result["state"] == "finished":
            self._seconds.append(child.result["seconds"])
            self._say(f"{child.job.name}: {_won(child.result['final'])} in {duration(child.result['seconds'])}")
        else:
            why = {"busy": "another queue has it", "stopped": "stopped"}[child.result["state"]]
            self._say(f"{child.job.name}: {why}")

    def tick(self, running: list[Child]) -> None:
        """Redraw the display when it is due."""
        if self._clock() - self._drawn_at >= (TERMINAL_S if self._terminal else FILE_S):
            self._drawn_at = self._clock()
            self._draw([child.job.name for child in running])

    def close(self) -> None:
        """Leave the last display in place."""
        self._height = 0

    def _draw(self, running: list[str]) -> None:
        done = len(self._seconds)
        head = f"{done} of {self._total} done" + (f", {self._failed} failed" if self._failed else "")
        head += f", {duration(self._clock() - self._started)}"
        if done:
            left = max(self._total - done - self._failed, 0)
            head += f", about {duration(sum(self._seconds) / done * left / self._jobs)} to go"
        lines = [head, *(f"  {name}: {self._last.get(name, 'starts')}" for name in running)]
        if self._terminal:  # a wrapped line would take two lines to redraw
            lines = [line[: get_terminal_size().columns] for line in lines]
        self._say("\n".join(lines))
        self._height = len(lines) if self._terminal else 0

    def _say(self, text: str) -> None:
        if self._height:
            text = f"\x1b[{self._height}F\x1b[J{text}"
            self._height = 0
        self._out(text)


def _won(final: dict[str, Any]) -> str:
    parts = [f"{kind} {r['games_won']}/{r['games_played']}" for kind, r in final.items()]
    return "won " + ", ".join(parts)
