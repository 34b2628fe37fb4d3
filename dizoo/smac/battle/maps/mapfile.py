"""Map files: reads a map's JSON, in this package's schema or SMAClite's, into one checked form.

Schema of a map (cells, origin bottom left; optional fields with their default)::

    {"name": "bridge",                    default: name of the file without extension
     "size": [32, 32],                    width, height
     "episode_limit": 150,                steps; DEFAULT_EPISODE_LIMIT
     "terrain": "SIMPLE",                 a preset's name, or rows, TOP row first, '.' walkable and '#' blocked
     "attack_point": [9, 16],             the point that the enemies are sent to
     "groups": [{"side": "ally", "at": [9, 16], "units": {"MARINE": 3}}, ...],
                                          placed in this order, units of a group in the order of its keys
     "n_agents": 3, "n_enemies": 3,       optional: checked against the groups
     "type_slots": {"MARINE": 0},         {}: no one-hot of types in observation and state
     "ally_shields": false,               whether shields are shown; default: whether any unit of the side has one
     "enemy_shields": false,
     "units": {"TYPE": {...}},            your own types, schema in units.py; they override standard ones
     "smac": {"agent_order": ["TYPE", ...], "enemy_type_slots": {"TYPE": 0}}}     used only by the smac profiles

A map may have a ``generator`` in place of ``groups``, which draws teams and starts for every battle; see
``generator.py``. Its terrain is then open ground by default, its attack point the centre, and each type has a slot.

A SMAClite map file (its groups have ``faction``) is recognised and read by its own rules: terrain rows bottom first,
``terrain_preset``, ``custom_unit_path`` (looked up from the map file's folder, then from the working directory; a type
found in neither is looked up beside the map file).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from dizoo.smac.battle.errors import MapError
from dizoo.smac.battle.maps.fields import flag, known_fields, pair, table, whole
from dizoo.smac.battle.maps.generator import Generator, parse_generator
from dizoo.smac.battle.maps.terrain import BLOCKED, SMACLITE_BLOCKED, SMACLITE_WALKABLE, WALKABLE, parse_rows
from dizoo.smac.battle.maps.units import UnitType, parse_unit
from dizoo.smac.battle.text import nearest

DEFAULT_EPISODE_LIMIT = 200
"""Steps of a map that states none: SMAClite's own files have no limit. The SMAC maps have 60 to 400."""

_SIDES = ("ally", "enemy")
_MAP_FIELDS = (
    "name", "size", "episode_limit", "terrain", "attack_point", "groups", "n_agents", "n_enemies", "type_slots",
    "ally_shields", "enemy_shields", "units", "smac", "generator",
)  # fmt: skip
_SMACLITE_FIELDS = (
    "name", "num_allied_units", "num_enemy_units", "groups", "attack_point", "terrain_preset", "terrain",
    "num_unit_types", "unit_type_ids", "ally_has_shields", "enemy_has_shields", "width", "height",
    "custom_unit_path", "episode_limit",
)  # fmt: skip


@dataclass(frozen=True)
class Group:
    """Units placed together around one point: (type, count) in placement order."""

    is_ally: bool
    x: float
    y: float
    units: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class MapSpec:
    """A map as written in its file, before unit types are looked up and units are placed.

    It has either groups or a generator.
    """

    name: str
    source: str
    width: int
    height: int
    episode_limit: int
    open_cells: np.ndarray
    attack_point: tuple[float, float]
    groups: tuple[Group, ...]
    type_slots: Mapping[str, int]
    num_type_slots: int
    ally_shields: bool | None
    enemy_shields: bool | None
    stated_agents: int | None = None
    stated_enemies: int | None = None
    own_units: Mapping[str, UnitType] = field(default_factory=dict)
    agent_order: tuple[str, ...] | None = None
    enemy_type_slots: Mapping[str, int] | None = None
    unit_files: tuple[Path, ...] = ()
    generator: Generator | None = None

    @property
    def rules(self) -> str:
        """The rule profile that the map is meant for."""
        return "smaclite" if self.generator is None else "smacv2"

    @property
    def type_names(self) -> list[str]:
        """Names of the types that occur, in order of first appearance."""
        if self.generator is not None:
            return list(self.generator.weights)
        return list(dict.fromkeys(name for name, _, _ in self.roster()))

    def roster(self) -> list[tuple[str, bool, int]]:
        """Return every unit of the groups in placement order: (type name, is an ally, index of its group)."""
        return [(n, g.is_ally, i) for i, g in enumerate(self.groups) for n, count in g.units for _ in range(count)]


@functools.cache
def _package_data(name: str) -> dict[str, Any]:
    data = json.loads((resources.files("dizoo.smac.battle.maps") / "data" / name).read_text(encoding="utf-8"))
    data.pop("schema")
    return data


@functools.cache
def standard_units(profile: str) -> dict[str, UnitType]:
    """Return the unit table of a profile (``"smaclite"`` or ``"smac"``)."""
    return {name: parse_unit(name, data) for name, data in _package_data("units.json")[profile].items()}


def standard_maps() -> dict[str, Any]:
    """Return the JSON objects of the shipped maps by name: SMAC's, then SMACv2's tasks."""
    return {**_package_data("maps.json"), **smacv2_tasks()}


@functools.cache
def smacv2_tasks() -> dict[str, Any]:
    """Return the JSON objects of SMACv2's tasks by name."""
    data = _package_data("smacv2.json")
    tasks = {}
    for name, race in data["races"].items():
        for n_agents, n_enemies in data["sizes"]:
            drawn = {"types": race["types"], "exceptions": race["exceptions"], "starts": data["starts"]}
            tasks[f"{name}_{n_agents}_vs_{n_enemies}"] = {
                "generator": {"n_agents": n_agents, "n_enemies": n_enemies, **drawn},
                "type_slots": race["type_slots"],
                "smac": {"agent_order": race["agent_order"]},
            }
    return tasks


def terrain_presets() -> list[str]:
    """Return the names of the shipped terrains."""
    return list(_package_data("terrains.json"))


def terrain_grid(where: str, preset: Any, profile: str) -> np.ndarray:
    """Return a shipped terrain, (H, W) bool with row y = 0 first; ``smac`` uses StarCraft II's where confirmed.

    Raises:
        MapError: no such preset.
    """
    table = _package_data("terrains.json")
    key = preset.upper() if isinstance(preset, str) else preset
    if key not in table:
        raise MapError(f"{where}: no terrain {preset!r}.{nearest(str(preset), table)} Known: {', '.join(table)}.")
    rows = table[key].get("smac_rows" if profile == "smac" else "rows") or table[key]["rows"]
    return parse_rows(where, rows, len(rows[0]), len(rows), top_first=True, walkable=WALKABLE, blocked=BLOCKED)


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        MapError: the file cannot be read or is not JSON; the message gives the line.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise MapError(f"{path}: cannot be read ({e.strerror}).") from e
    except UnicodeDecodeError as e:
        raise MapError(f"{path}: not a text file in UTF-8.") from e
    except json.JSONDecodeError as e:
        raise MapError(f"{path}: not valid JSON: {e.msg} at line {e.lineno}, column {e.colno}.") from e


def parse_map(data: Any, name: str, source: str, profile: str, folder: Path | None = None) -> MapSpec:
    """Read a map from its JSON object, in either schema.

    Args:
        data: the JSON object.
        name: the map's name if the object has none.
        source: origin of the object, for messages.
        profile: ``"smaclite"`` or ``"smac"``; decides the grid of terrain presets.
        folder: folder of the map file, where ``custom_unit_path`` starts.

    Raises:
        MapError: one line that names the map, the field, what was found and what would be right.
    """
    if not isinstance(data, Mapping):
        raise MapError(f"{source}: found {type(data).__name__}. A map is a JSON object.")
    groups = data.get("groups")
    if isinstance(groups, list) and any(isinstance(g, Mapping) and "faction" in g for g in groups):
        return _parse_smaclite(data, name, source, profile, folder or Path())
    return _parse_own(data, name, source, profile)


def _parse_own(data: Mapping[str, Any], name: str, where: str, profile: str) -> MapSpec:
    drawn = "generator" in data
    known_fields(where, data, _MAP_FIELDS, needed=() if drawn else ("terrain", "attack_point", "groups"))
    width, height = (whole(where, "size", v, 1) for v in pair(where, "size", data.get("size", [32, 32])))
    smac = data.get("smac", {})
    known_fields(f"{where}: smac", smac, ("agent_order", "enemy_type_slots"))
    if drawn:
        data = _with_generator_defaults(data, where, width, height)
    groups = () if drawn else _groups(where, data["groups"])
    slots = _slots(where, "type_slots", data.get("type_slots", {}))
    units = table(where, "units", data.get("units", {}), "{TYPE: {...}}")
    stated = [whole(where, k, data[k], 0) if k in data else None for k in ("n_agents", "n_enemies")]
    return MapSpec(
        name=str(data.get("name", name)),
        source=where,
        width=width,
        height=height,
        episode_limit=whole(where, "episode_limit", data.get("episode_limit", DEFAULT_EPISODE_LIMIT), 1),
        open_cells=_terrain(where, data["terrain"], width, height, profile),
        attack_point=pair(where, "attack_point", data["attack_point"]),
        groups=groups,
        type_slots=slots,
        num_type_slots=max(slots.values(), default=-1) + 1,
        ally_shields=_shown(where, "ally_shields", data.get("ally_shields")),
        enemy_shields=_shown(where, "enemy_shields", data.get("enemy_shields")),
        stated_agents=stated[0],
        stated_enemies=stated[1],
        own_units={n.upper(): parse_unit(n, u) for n, u in units.items()},
        agent_order=tuple(t.upper() for t in smac["agent_order"]) if "agent_order" in smac else None,
        enemy_type_slots=_slots(where, "smac.enemy_type_slots", smac.get("enemy_type_slots", {})) or None,
        generator=parse_generator(where, data["generator"]) if drawn else None,
    )


def _with_generator_defaults(data: Mapping[str, Any], where: str, width: int, height: int) -> dict[str, Any]:
    """Add what a map with a generator need not state."""
    if "groups" in data:
        raise MapError(f"{where}: groups and a generator. A map has one of them.")
    weights = parse_generator(where, data["generator"]).weights
    open_ground = [WALKABLE * width] * height
    slots = {name: i for i, name in enumerate(weights)}
    return {"terrain": open_ground, "attack_point": [width / 2, height / 2], "type_slots": slots, **data}


def _groups(where: str, data: Any) -> tuple[Group, ...]:
    groups = []
    for i, g in enumerate(_list(where, "groups", data)):
        here = f"{where}: groups[{i}]"
        known_fields(here, g, ("side", "at", "units"), needed=("side", "at", "units"))
        if g["side"] not in _SIDES:
            raise MapError(f"{here}: side is {g['side']!r}. It is 'ally' or 'enemy'.")
        groups.append(_group(here, g["side"] == "ally", pair(here, "at", g["at"]), g["units"]))
    return tuple(groups)


def _parse_smaclite(data: Mapping[str, Any], name: str, where: str, profile: str, folder: Path) -> MapSpec:
    known_fields(where, data, _SMACLITE_FIELDS, needed=("num_allied_units", "num_enemy_units", "attack_point"))
    width = whole(where, "width", data.get("width", 32), 1)
    height = whole(where, "height", data.get("height", 32), 1)
    groups = []
    for i, g in enumerate(data["groups"]):
        here = f"{where}: groups[{i}]"
        known_fields(here, g, ("x", "y", "faction", "units"), needed=("x", "y", "faction", "units"))
        if g["faction"] not in ("ALLY", "ENEMY"):
            raise MapError(f"{here}: faction is {g['faction']!r}. It is 'ALLY' or 'ENEMY'.")
        groups.append(_group(here, g["faction"] == "ALLY", pair(here, "x, y", [g["x"], g["y"]]), g["units"]))
    if "terrain_preset" in data:
        open_cells = _terrain(where, data["terrain_preset"], width, height, profile)
    elif "terrain" in data:
        open_cells = parse_rows(
            where, data["terrain"], width, height, top_first=False, walkable=SMACLITE_WALKABLE, blocked=SMACLITE_BLOCKED
        )
    else:
        raise MapError(f"{where}: no terrain. Give 'terrain_preset' (a name) or 'terrain' (rows, bottom first).")
    num_slots = whole(where, "num_unit_types", data.get("num_unit_types", 0), 0)
    num_slots = 0 if num_slots == 1 else num_slots
    slots = _slots(where, "unit_type_ids", data.get("unit_type_ids") or {}) if num_slots else {}
    if max(slots.values(), default=-1) >= num_slots > 0:
        raise MapError(
            f"{where}: unit_type_ids has {max(slots.values())}. Ids go to num_unit_types - 1 = {num_slots - 1}."
        )
    unit_files = _units_of_folder(groups, folder, str(data.get("custom_unit_path", ".")))
    return MapSpec(
        name=str(data.get("name", name)),
        source=where,
        width=width,
        height=height,
        episode_limit=whole(where, "episode_limit", data.get("episode_limit", DEFAULT_EPISODE_LIMIT), 1),
        open_cells=open_cells,
        attack_point=pair(where, "attack_point", data["attack_point"]),
        groups=tuple(groups),
        type_slots=slots,
        num_type_slots=num_slots,
        ally_shields=_shown(where, "ally_has_shields", data.get("ally_has_shields", False)),
        enemy_shields=_shown(where, "enemy_has_shields", data.get("enemy_has_shields", False)),
        stated_agents=whole(where, "num_allied_units", data["num_allied_units"], 0),
        stated_enemies=whole(where, "num_enemy_units", data["num_enemy_units"], 0),
        own_units={name: parse_unit(name, read_json(path), str(path)) for name, path in unit_files.items()},
        unit_files=tuple(unit_files.values()),
    )


def _units_of_folder(groups: list[Group], folder: Path, custom_path: str) -> dict[str, Path]:
    """Find types that are not standard but have a file ``<type>.json`` in the custom folder or beside the map."""
    found: dict[str, Path] = {}
    for name in {name for g in groups for name, _ in g.units} - set(standard_units("smaclite")):
        for base in (folder / custom_path, Path(custom_path), folder):
            hits = [p for p in sorted(base.glob("*.json")) if p.stem.upper() == name]
            if hits:
                found[name] = hits[0]
                break
    return found


def _terrain(where: str, value: Any, width: int, height: int, profile: str) -> np.ndarray:
    if not isinstance(value, str):
        return parse_rows(where, value, width, height, top_first=True, walkable=WALKABLE, blocked=BLOCKED)
    grid = terrain_grid(where, value, profile)
    if grid.shape != (height, width):
        raise MapError(
            f"{where}: terrain '{value}' is {grid.shape[1]} x {grid.shape[0]}. The map is {width} x {height}; "
            "give rows of your own."
        )
    return grid


def _group(where: str, is_ally: bool, at: tuple[float, float], units: Any) -> Group:
    if not isinstance(units, Mapping) or not units:
        raise MapError(f"{where}: units is {units!r}. It is an object {{TYPE: count}} with at least one type.")
    counts = tuple((name.upper(), whole(where, f"units.{name}", count, 1)) for name, count in units.items())
    return Group(is_ally, at[0], at[1], counts)


def _list(where: str, key: str, value: Any) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise MapError(f"{where}: {key} is {value!r}. It is a list with at least one entry.")
    return value


def _shown(where: str, key: str, value: Any) -> bool | None:
    return None if value is None else flag(where, key, value)


def _slots(where: str, key: str, value: Any) -> dict[str, int]:
    return {
        str(k).upper(): whole(where, f"{key}.{k}", v, 0) for k, v in table(where, key, value, "{TYPE: slot}").items()
    }
