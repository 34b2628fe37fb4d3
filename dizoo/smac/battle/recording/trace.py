"""Episodes recorded from the reference, and engines restored to the recorded states."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dizoo.smac.battle.engine import BattleEngine
from dizoo.smac.battle.errors import BattleError
from dizoo.smac.battle.kernels.state import NO_ACTION, Array
from dizoo.smac.battle.maps.scenario import Scenario, load_scenario, map_names

#: Fields of a trace (after ``h_`` or ``tick_``) and the fields of UNIT that they restore.
UNIT_FIELDS = {
    "hp": "hp",
    "shield": "shield",
    "energy": "energy",
    "cooldown": "cooldown",
    "shield_cooldown": "shield_cooldown",
    "healing_available": "healing",
    "target": "target",
    "attacking": "attacking",
    "alive": "in_play",
}
#: The same for pairs of numbers.
PAIR_FIELDS = {"pos": ("x", "y"), "vel": ("vx", "vy")}
TICKS = 8


@dataclass(frozen=True)
class Trace:
    """One recorded episode: T steps, A agents, U units.

    Attributes:
        path: the file.
        scenario: its map.
        arrays: content of the file, by key.
    """

    path: Path
    scenario: Scenario
    arrays: dict[str, Array]

    @property
    def steps(self) -> int:
        """Number of steps T."""
        return len(self.arrays["actions"])

    @property
    def has_ticks(self) -> bool:
        """Whether the state after every tick is recorded as well."""
        return "tick_pos" in self.arrays

    def actions(self) -> Array:
        """(T, A) int64."""
        return self.arrays["actions"].astype(np.int64)

    def orders(self) -> Array:
        """(T, 8, U) orders of execution, padded with -1."""
        return self.arrays["order"].reshape(self.steps, TICKS, -1)

    def last_actions(self) -> Array:
        """(T + 1, A) the last actions at each row."""
        return np.concatenate([np.full_like(self.arrays["actions"][:1], NO_ACTION), self.arrays["actions"]])

    def rows(self, prefix: str) -> dict[str, Array]:
        """Return unit states by the engine's names: ``"h"`` (T + 1 rows) or ``"tick"`` (8 T rows)."""
        rows = {ours: self.arrays[f"{prefix}_{theirs}"] for theirs, ours in UNIT_FIELDS.items()}
        for theirs, pair in PAIR_FIELDS.items():
            rows |= {ours: self.arrays[f"{prefix}_{theirs}"][..., i] for i, ours in enumerate(pair)}
        return rows


def load_trace(path: Path) -> Trace:
    """Read and check a trace.

    Args:
        path: an .npz file as described in TRACES.md; a map that is not shipped is read from ``<map>.json`` beside it.

    Raises:
        BattleError: one line about what is wrong with the file or its map.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {key: data[key] for key in data.files}
        meta = json.loads(str(arrays.pop("meta")))
        map_name = str(meta["map"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as e:
        raise BattleError(f"{path.name}: not a readable trace ({type(e).__name__}: {str(e).splitlines()[0]}).") from e
    scenario = load_scenario(_map_source(path, map_name))
    trace = Trace(path, scenario, arrays)
    _check_shapes(trace)
    return trace


def _map_source(path: Path, map_name: str) -> str | Path:
    for candidate in (path.with_name(f"{map_name}.json"), path.parent / "maps" / f"{map_name}.json"):
        if candidate.is_file():
            return candidate
    if map_name.lower() not in {name.lower() for name in map_names()}:
        raise BattleError(
            f"{path.name}: its map '{map_name}' is not a shipped one and there is no {map_name}.json beside the trace."
        )
    return map_name


def _check_shapes(trace: Trace) -> None:
    """Refuse arrays that are missing or do not fit the map, before they are indexed."""
    s, arrays = trace.scenario, trace.arrays
    n_units = s.n_agents + s.n_enemies
    if "actions" not in arrays or arrays["actions"].ndim != 2 or len(arrays["actions"]) == 0:
        raise BattleError(f"{trace.path.name}: 'actions' is missing or not of shape (steps, agents).")
    t = trace.steps
    shapes = {
        "actions": (t, s.n_agents),
        "reward": (t,),
        "terminated": (t,),
        "battle_won": (t,),
        "obs": (t + 1, s.n_agents, s.obs_size),
        "state": (t + 1, s.state_size),
        "avail": (t + 1, s.n_agents, s.n_actions),
        "order": (TICKS * t, n_units),
        "tick_reward": (TICKS * t,),
    }
    for prefix, n_rows in (("h", t + 1), ("tick", TICKS * t)) if trace.has_ticks else (("h", t + 1),):
        shapes |= {f"{prefix}_{name}": (n_rows, n_units) for name in UNIT_FIELDS}
        shapes |= {f"{prefix}_{name}": (n_rows, n_units, 2) for name in PAIR_FIELDS}
    for key, shape in shapes.items():
        if key not in arrays:
            raise BattleError(f"{trace.path.name}: '{key}' is missing.")
        if arrays[key].shape != shape:
            raise BattleError(
                f"{trace.path.name}: '{key}' has shape {arrays[key].shape}. On {s.name} with {t} steps it is {shape}."
            )
    if "unit_is_ally" in arrays and not np.array_equal(arrays["unit_is_ally"], s.is_ally):
        raise BattleError(f"{trace.path.name}: the sides of its units are not those of {s.name}. Is it the same map?")


def engine_at(scenario: Scenario, rows: dict[str, Array], last_actions: Array) -> BattleEngine:
    """Create an engine with a battle per row, restored to (n, U) unit states by name and (n, A) last actions."""
    engine = BattleEngine(scenario, len(last_actions))
    restore(engine, rows, last_actions)
    return engine


def restore(engine: BattleEngine, rows: dict[str, Array], last_actions: Array | None = None) -> None:
    """Restore the units of all battles of an engine to (E, U) unit states by name of UNIT.

    Everything else is unchanged, except the last actions (E, A) if given.

    Raises:
        BattleError: an impossible value.
    """
    state = engine.get_state()
    for name, value in rows.items():
        state[name] = value.astype(state[name].dtype)
    if last_actions is not None:
        state["last_action"] = last_actions
    engine.set_state(state)
