"""Read run folders: each run's config and metrics."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dimix.config.file import read_written_config
from dimix.errors import ConfigError, OutputError
from dimix.machine.plain import flat

METRICS_FILE = "log/metrics.csv"


@dataclass(frozen=True, eq=False)  # runs are compared by identity
class Run:
    """The metrics of one run.

    Attributes:
        folder: run folder.
        columns: (rows,) float64 by column of ``metrics.csv``, NaN for empty cells.
        config: resolved config by dotted key, None if the folder has no readable one.
    """

    folder: Path
    columns: dict[str, np.ndarray]
    config: Mapping[str, Any] | None = None

    @property
    def seed(self) -> int | None:
        """Its seed from the config, or else from the folder's name; None if neither gives one."""
        if self.config is not None:
            return self.config.get("seed")
        match = _SEED.search(self.folder.resolve().name)
        return int(match[1]) if match else None

    @property
    def experiment_path(self) -> tuple[str, ...]:
        """The parts of its path without ``seed<number>`` (and a suffix ``_2``), shared by the seeds of one folder."""
        path = self.folder.resolve()
        last = _SEED.sub("", path.name)
        return (*path.parent.parts, last) if last else path.parent.parts

    @property
    def env_steps(self) -> int:
        """Env steps at its last row."""
        return int(self.columns["env_step"][-1])

    def curve(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Env steps, hours and values of the rows with a metric; all empty if there are none."""
        values = self.columns.get(name, np.full(len(self.hours), np.nan))
        rows = np.isfinite(values)
        return self.columns["env_step"][rows], self.hours[rows], values[rows]

    @property
    def hours(self) -> np.ndarray:
        """(rows,) wall time of each row, summed from the recorded speed; NaN if none was recorded."""
        step = self.columns["env_step"]
        speed = self.columns.get("speed/env_steps_per_s", np.full(len(step), np.nan))
        timed = np.flatnonzero(np.isfinite(speed) & (speed > 0))
        seconds = np.cumsum(np.diff(step[timed], prepend=0.0) / speed[timed])
        hours = np.full(len(step), np.nan)
        if len(timed):
            hours = np.interp(np.arange(len(step)), timed, seconds) / 3600.0
            hours[: timed[0]] = 0.0
        return hours


def read_runs(folders: Sequence[str | Path], out: Callable[[str], None]) -> list[Run]:
    """Read run folders, and all runs below other folders, once each and sorted by path.

    Args:
        folders: run folders (see `read_run`), or folders that contain some.
        out: called with a line about each unreadable run below a folder, which is skipped.

    Raises:
        OutputError: a folder has no runs, or a run given directly cannot be read.
    """
    runs: dict[Path, Run] = {}
    for given in map(Path, folders):
        below = [] if _metrics_file(given) else sorted(given.rglob(METRICS_FILE), key=_in_reading_order)
        found = _read_readable([path.parent.parent for path in below], out) if below else [read_run(given)]
        runs |= {run.folder.resolve(): run for run in found if run.folder.resolve() not in runs}
    if not runs:
        raise OutputError(f"{folders[0]}: no run there can be read. Give folders of runs that have evaluated.")
    return list(runs.values())


def read_run(folder: str | Path) -> Run:
    """Read a run's ``log/metrics.csv``, and its ``total_config.py`` as data.

    ``folder`` is the run folder, its ``log`` folder, or the CSV file itself.

    Raises:
        OutputError: the file does not exist, or is not a metrics file.
    """
    path = _metrics_file(Path(folder))
    if path is None:
        raise OutputError(
            f"{folder}: no {METRICS_FILE} there. Give the run folder that a training printed, or a parent."
        )
    try:
        with open(path, newline="", encoding="utf-8") as file:
            head, *rows = list(csv.reader(file))
        rows = [row for row in rows if len(row) == len(head)]  # a training in progress may be writing the last one
        table = np.array([[float(c) if c else np.nan for c in row] for row in rows], np.float64)
    except (ValueError, UnicodeDecodeError, csv.Error) as e:
        raise OutputError(f"{path}: not a metrics file ({e}). It is the log/metrics.csv of a run.") from e
    except OSError as e:
        raise OutputError(f"{path}: cannot be read ({e.strerror}).") from e
    if "env_step" not in head or not len(table):
        what = "has no rows yet" if "env_step" in head else "has no column env_step"
        raise OutputError(f"{path}: {what}. It is the log/metrics.csv of a run that has evaluated or collected.")
    home = path.parent.parent if path.parent.name == "log" else path.parent
    return Run(home, dict(zip(head, table.T, strict=True)), _config(home))


_SEED = re.compile(r"[_-]?seed[_-]?(\d+)(?:_\d+)?$")


def _metrics_file(given: Path) -> Path | None:
    places = (given / METRICS_FILE, given / "metrics.csv", given)
    return next((path for path in places if path.is_file()), None)


def _read_readable(folders: Sequence[Path], out: Callable[[str], None]) -> list[Run]:
    runs = []
    for folder in folders:
        try:
            runs.append(read_run(folder))
        except OutputError as e:  # for example a run that has only just begun
            out(f"left out: {e}")
    return runs


def _config(folder: Path) -> dict[str, Any] | None:
    try:
        main, create = read_written_config(folder / "total_config.py")
    except ConfigError:
        return None
    return dict(flat({**main, "create_config": create}))


def _in_reading_order(path: Path) -> list[tuple[str, int]]:
    """Sort key that puts ``seed10`` after ``seed2``."""
    return [(text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", str(path))]
