"""Checks of a whole map: errors, which make it unplayable, and doubts, which are probably mistakes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from dizoo.smac.battle.maps.mapfile import MapSpec, standard_units
from dizoo.smac.battle.maps.placement import place_group
from dizoo.smac.battle.maps.terrain import reachable
from dizoo.smac.battle.maps.units import GROUND, UnitType
from dizoo.smac.battle.text import nearest

MAX_LINES = 8
"""Lines about one kind of doubt before the rest is only counted."""


def unit_table(spec: MapSpec, profile: str) -> dict[str, UnitType]:
    """Return all types that a map may use: the profile's and its own, which take precedence."""
    return {**standard_units(profile), **spec.own_units}


def start_positions(spec: MapSpec, table: Mapping[str, UnitType]) -> np.ndarray:
    """(U, 2) float32: the nominal start of every unit in placement order; all types must be known."""
    return np.concatenate(
        [place_group(g.x, g.y, g.is_ally, [table[n].radius for n, k in g.units for _ in range(k)]) for g in spec.groups]
    )


def find_errors(spec: MapSpec, table: Mapping[str, UnitType]) -> list[str]:
    """List why a map cannot be played, one line each; empty if it can."""
    out = _count_errors(spec)
    for name in dict.fromkeys(name for name, _, _ in spec.roster()):
        if name not in table:
            out.append(f"unknown unit '{name}'.{nearest(name, table)} Known: {', '.join(sorted(table))}.")
    out += _slot_errors(spec)
    if all(name in table for name, _, _ in spec.roster()):
        for unit, (x, y) in enumerate(start_positions(spec, table).tolist()):
            if not _inside(spec, x, y):
                out.append(f"{_unit(spec, unit, x, y)} is outside the map of {spec.width} x {spec.height} cells.")
    if not _inside(spec, *spec.attack_point):
        x, y = spec.attack_point
        out.append(f"attack_point ({x:g}, {y:g}) is outside the map of {spec.width} x {spec.height} cells.")
    return out


def find_doubts(spec: MapSpec, table: Mapping[str, UnitType]) -> list[str]:
    """List probable mistakes in a valid map: blocked starts, overlaps, an unreachable attack point."""
    pos = start_positions(spec, table).tolist()
    types = [table[name] for name, _, _ in spec.roster()]
    blocked = [
        f"{_unit(spec, unit, x, y)} stands on blocked ground, cell ({int(x)}, {int(y)})."
        for unit, (t, (x, y)) in enumerate(zip(types, pos, strict=True))
        if t.plane == GROUND and not spec.open_cells[int(y), int(x)]
    ]
    overlaps = []
    for a in range(len(types)):
        for b in range(a + 1, len(types)):
            if types[a].plane != types[b].plane:
                continue
            depth = types[a].radius + types[b].radius - math.dist(pos[a], pos[b])
            if depth > 1e-5:  # starts are rounded to single precision
                overlaps.append(
                    f"{_unit(spec, a, *pos[a])} and {_unit(spec, b, *pos[b])} overlap by {depth:.2f} cells."
                )
    return _cut(blocked) + _cut(overlaps) + _attack_point_doubts(spec, types, pos)


def _count_errors(spec: MapSpec) -> list[str]:
    out = []
    for is_ally, side, stated in ((True, "allied", spec.stated_agents), (False, "enemy", spec.stated_enemies)):
        placed = sum(ally == is_ally for _, ally, _ in spec.roster())
        if placed == 0:
            out.append(f"no {side} units. Give at least one {side} group.")
        elif stated is not None and stated != placed:
            out.append(f"the number of {side} units is stated as {stated}. The groups place {placed}.")
    return out


def _slot_errors(spec: MapSpec) -> list[str]:
    out = []
    for slots, key, own_side in (
        (spec.type_slots, "type_slots", None),
        (spec.enemy_type_slots or {}, "smac.enemy_type_slots", False),
    ):
        if not slots:
            continue
        for name in dict.fromkeys(n for n, ally, _ in spec.roster() if own_side in (None, ally)):
            if name not in slots:
                out.append(f"type '{name}' has no place in {key}. It has: {', '.join(slots)}.")
            elif slots[name] >= spec.num_type_slots:
                out.append(f"{key}.{name} is {slots[name]}. Slots go from 0 to {spec.num_type_slots - 1}.")
    if spec.num_type_slots and not spec.type_slots:
        out.append(f"{spec.num_type_slots} type slots, but no table of types. Give each type its slot.")
    return out


def _attack_point_doubts(spec: MapSpec, types: list[UnitType], pos: list[list[float]]) -> list[str]:
    x, y = spec.attack_point
    cell = (int(x), int(y))
    seen = reachable(spec.open_cells, cell)
    cut_off = [
        unit
        for unit, (_, ally, _) in enumerate(spec.roster())
        if not ally and types[unit].plane == GROUND and types[unit].speed > 0
        if not seen[int(pos[unit][1]), int(pos[unit][0])]
    ]
    if not cut_off:
        return []
    first = _unit(spec, cut_off[0], *pos[cut_off[0]])
    why = "" if spec.open_cells[cell[1], cell[0]] else ", it is on blocked ground"
    return [f"attack_point ({x:g}, {y:g}) cannot be reached by {len(cut_off)} walking enemies (first: {first}){why}."]


def _inside(spec: MapSpec, x: float, y: float) -> bool:
    return 0 <= x < spec.width and 0 <= y < spec.height


def _unit(spec: MapSpec, unit: int, x: float, y: float) -> str:
    name, is_ally, group = spec.roster()[unit]
    return f"{'allied' if is_ally else 'enemy'} {name} (unit {unit}, group {group}) at ({x:.2f}, {y:.2f})"


def _cut(lines: list[str]) -> list[str]:
    if len(lines) <= MAX_LINES:
        return lines
    return [*lines[:MAX_LINES], f"... and {len(lines) - MAX_LINES} more like the line above."]
