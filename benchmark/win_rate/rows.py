"""The raw data: one JSON file per finished run, so that results of several machines are merged by copying files.

A row holds:

- ``cell``: map, algo, rules, train_jitter, env_steps, seed, options, until_won (see `benchmark.win_rate.cells.Cell`);
- ``files``: the zoo files behind the config; ``config``: the resolved config, flat; ``config_hash``: its digest;
- ``code``: git revisions that trained it, in order (``+``: changed code); ``versions``; ``machine``; ``jobs``: runs at
  a time; ``finished``: date; the engine's version is a digest of its sources;
- ``training``: reason of its end, env_steps, updates, episodes, seconds, cpu_seconds, env_steps_per_s, replay_ratio;
- ``evaluations``: a list per column of `COLUMNS`, one entry per evaluation, oldest first;
- ``final``: the policy at the end in games of its own: ``greedy``, ``epsilon`` (0.05) and ``jitter`` (0.5 cells), each
  with games_won, games_played, distinct_games, ep_reward, ep_length.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmark.win_rate.cells import Cell
from dimix.errors import OutputError
from dimix.machine.plain import flat

RESULTS = Path(__file__).resolve().parents[1] / "results"
RUNS = RESULTS / "runs"

#: Columns of an evaluation, and their metrics.
COLUMNS = {
    "env_step": "env_step",
    "seconds": "speed/seconds",
    "cpu_seconds": "speed/cpu_seconds",
    "games_won": "eval/games_won",
    "games_played": "eval/games_played",
    "distinct_games": "eval/distinct_games",
    "games_won_jitter": "eval/games_won_jitter",
    "games_played_jitter": "eval/games_played_jitter",
    "ep_reward": "eval/ep_reward",
    "ep_length": "eval/ep_length",
}
#: Config keys that do not touch a training's course.
_FREE = ("exp_name", "seed", "run.checkpoint_interval_s", "run.progress_interval_s", "run.tensorboard")
#: Branches that do not either while a key of theirs is 0.
_SWITCHED = {"env.backplay.": "env.backplay.share"}


def path_of(cell: Cell, folder: Path) -> Path:
    """Where a cell's row is."""
    return folder / f"{cell.name}.json"


def cell_of(row: Mapping[str, Any]) -> Cell:
    """The cell that a row belongs to."""
    return Cell(**{**row["cell"], "options": tuple(row["cell"]["options"])})


def write_row(row: Mapping[str, Any], folder: Path) -> Path:
    """Write a row, whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    path = path_of(cell_of(row), folder)
    part = path.with_suffix(".json.part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(row, separators=(",", ":")).replace('],"', '],\n"') + "\n", "utf-8")
        part.replace(path)
    except OSError as e:
        raise OutputError(f"{path}: cannot be written ({e.strerror}).") from e
    return path


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """All rows of a folder, sorted by file name.

    Raises:
        OutputError: a file that is no row.
    """
    return [read_row(path) for path in sorted(folder.glob("*.json"))]


def read_row(path: Path) -> dict[str, Any]:
    """One row.

    Raises:
        OutputError: it is none.
    """
    try:
        row = json.loads(path.read_text("utf-8"))
        cell_of(row), row["evaluations"]["env_step"], row["final"], row["training"]
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise OutputError(f"{path}: not a benchmark row ({type(e).__name__}: {e}). Delete it and run it again.") from e
    return row


def cell_json(cell: Cell) -> dict[str, Any]:
    """A cell as it stands in a row."""
    return {**asdict(cell), "options": list(cell.options)}


def flat_config(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """What decides a training's course, by dotted key; the seed apart."""
    return {key: value for key, value in flat(cfg) if not key.startswith(_FREE)}


def config_hash(flat: Mapping[str, Any]) -> str:
    """Digest of a flat config."""
    return hashlib.sha256(json.dumps(flat, sort_keys=True).encode()).hexdigest()[:12]


def config_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Keys that both flat configs have, with other values: a new key's default changes nothing, nor what is off."""
    off = tuple(branch for branch, switch in _SWITCHED.items() if not old.get(switch) and not new.get(switch))
    return sorted(key for key in old.keys() & new.keys() if old[key] != new[key] and not key.startswith(off))


def read_metrics(run_folder: Path) -> tuple[dict[str, list[float]], float]:
    """The evaluations in a run's ``metrics.csv``, and the replay ratio at its end (0 if it never learned)."""
    with open(run_folder / "log" / "metrics.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    ratios = [_number(row["train/replay_ratio"]) for row in rows if row["train/replay_ratio"]]
    evaluated = [row for row in rows if row["eval/games_played"]]
    columns = {c: [_number(row[m]) for row in evaluated if row[m]] for c, m in COLUMNS.items()}
    return {c: values for c, values in columns.items() if values}, ratios[-1] if ratios else 0.0


def _number(text: str) -> float:
    value = round(float(text), 3)
    return int(value) if value == int(value) else value
