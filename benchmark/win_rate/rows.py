"""Raw data: one JSON file per finished run, so that copying files merges the results of several machines.

A row holds:

- ``cell``: the fields of a `MapCell` or `ConfigCell` (see `benchmark.win_rate.cells`);
- ``files``: the zoo files of the config; ``config``: the resolved config, flat. On disk: its differences from
  ``config.json`` next to this module, and ``config_without``: keys of that file that it lacks;
- ``code``: git revisions that trained it, in order (``+``: changed code); ``versions``; ``machine``; ``jobs``: runs at
  a time; ``finished``: date; the engine's version is a digest of its sources;
- ``training``: reason of its end, env_steps, updates, episodes, seconds, cpu_seconds, env_steps_per_s, replay_ratio,
  start_up_s: seconds from the start of its process to the start of ``seconds``, null if it was resumed;
- ``evaluations``: a list per column of `COLUMNS`, one entry per evaluation, oldest first;
- ``final``: separate games of the final policy: ``greedy``, ``epsilon`` (0.05) and ``jitter`` (0.5 cells), or
  ``random`` if an environment has no jitter, on SMACv2's tasks also ``near`` (against that opponent), each with the
  figures of `dimix.worker.EvalResult`; rows of 0.2.0 and before have no ``by_label``.

Runs measured before rows existed (the ways, other environments) hold what was recorded then: no code,
config or final games.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import RESULTS
from benchmark.win_rate.cells import Cell, ConfigCell, MapCell
from dimix.errors import OutputError
from dimix.machine.files import written_whole
from dimix.machine.plain import flat
from dimix.plot import read_run

RUNS = RESULTS / "runs"
#: Common values of most configs, by key. Must not change: all rows are read with it.
USUAL: dict[str, Any] = json.loads(Path(__file__).with_name("config.json").read_text("utf-8"))

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
    "std_ep_reward": "eval/std_ep_reward",
    "ep_length": "eval/ep_length",
}
#: Config keys that do not affect training.
_FREE = ("exp_name", "seed", "run.checkpoint_interval_s", "run.progress_interval_s", "run.tensorboard")
#: Branches that do not either as long as one of their keys is 0.
_SWITCHED = {"env.backplay.": "env.backplay.share"}


def path_of(cell: Cell, folder: Path) -> Path:
    """Return the path of a cell's row."""
    return folder / f"{cell.name}.json"


def cell_of(row: Mapping[str, Any]) -> Cell:
    """Return the cell that a row belongs to."""
    fields = {**row["cell"], "options": tuple(row["cell"]["options"])}
    return ConfigCell(**fields) if "config" in fields else MapCell(**fields)


def write_row(row: Mapping[str, Any], folder: Path) -> Path:
    """Write a row, completely or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    path, config = path_of(cell_of(row), folder), row["config"]
    differs = {key: value for key, value in config.items() if key not in USUAL or value != USUAL[key]}
    stored = {**row, "config": differs, "config_without": [key for key in USUAL if key not in config]}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as file:
            file.write(f"{json.dumps(stored, separators=(',', ':'))}\n".replace('],"', '],\n"').encode())
    except OSError as e:
        raise OutputError(f"{path}: cannot be written ({e.strerror}).") from e
    return path


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """Read all rows of a folder, sorted by file name.

    Raises:
        OutputError: a file is not a row.
    """
    return [read_row(path) for path in sorted(folder.glob("*.json"))]


def read_row(path: Path) -> dict[str, Any]:
    """Read one row.

    Raises:
        OutputError: the file is not a row.
    """
    try:
        row = json.loads(path.read_text("utf-8"))
        cell_of(row), row["evaluations"]["env_step"], row["final"], row["training"]
        usual = USUAL.keys() - row.pop("config_without")
        row["config"] = {**{key: USUAL[key] for key in usual}, **row["config"]}
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise OutputError(f"{path}: not a benchmark row ({type(e).__name__}: {e}). Delete it and run it again.") from e
    return row


def flat_config(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Return what affects training, by dotted key, except the seed."""
    return {key: value for key, value in flat(cfg) if not key.startswith(_FREE)}


def config_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return keys of both flat configs whose values differ; new keys' defaults and disabled branches do not count."""
    off = tuple(branch for branch, switch in _SWITCHED.items() if not old.get(switch) and not new.get(switch))
    return sorted(key for key in old.keys() & new.keys() if old[key] != new[key] and not key.startswith(off))


def read_metrics(run_folder: Path) -> tuple[dict[str, list[float]], float]:
    """Read the evaluations in a run's ``metrics.csv``, and its final replay ratio (0 if it never learned)."""
    recorded = read_run(run_folder).columns
    evaluated = np.isfinite(recorded["eval/games_played"])
    columns = {name: recorded[metric][evaluated] for name, metric in COLUMNS.items() if metric in recorded}
    ratios = recorded["train/replay_ratio"][np.isfinite(recorded["train/replay_ratio"])]
    evaluations = {name: [_number(v) for v in values if np.isfinite(v)] for name, values in columns.items()}
    return {name: values for name, values in evaluations.items() if values}, _number(ratios[-1]) if len(ratios) else 0.0


def _number(value: float) -> float:
    value = round(float(value), 3)
    return int(value) if value == int(value) else value
