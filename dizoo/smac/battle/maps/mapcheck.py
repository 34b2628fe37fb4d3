"""Checks of a whole map: errors, which make it unplayable, and doubts, which are probably mistakes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from dizoo.smac.battle.maps.generator import MIDDLE, Generator
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
    for name in spec.type_names:
        if name not in table:
            out.append(f"unknown unit '{name}'.{nearest(name, table)} Known: {', '.join(sorted(table))}.")
    out += _slot_errors(spec)
    if spec.generator is not None:
        out += generator_errors(spec, spec.generator, [table[name] for name in spec.type_names if name in table])
    elif all(name in table for name in spec.type_names):
        for unit, (x, y) in enumerate(start_positions(spec, table).tolist()):
            if not _inside(spec, x, y):
                out.append(f"{_unit(spec, unit, x, y)} is outside the map of {spec.width} x {spec.height} cells.")
    if not _inside(spec, *spec.attack_point):
        x, y = spec.attack_point
        out.append(f"attack_point ({x:g}, {y:g}) is outside the map of {spec.width} x {spec.height} cells.")
    return out


def find_doubts(spec: MapSpec, table: Mapping[str, UnitType]) -> list[str]:
    """List probable mistakes in a valid map: blocked starts, overlaps, an unreachable attack point.

    A generator places nobody on blocked ground or on each other.
    """
    if spec.generator is not None:
        return []
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
        by = "groups place"
        if spec.generator is not None:
            placed, by = spec.generator.n_agents if is_ally else spec.generator.n_enemies, "generator draws"
        if placed == 0:
            out.append(f"no {side} units. Give at least one {side} group.")
        elif stated is not None and stated != placed:
            out.append(f"the number of {side} units is stated as {stated}. The {by} {placed}.")
    return out


def generator_errors(spec: MapSpec, generator: Generator, types: list[UnitType]) -> list[str]:
    """List what makes a generator unusable: too little room, points outside, slots that do not tell types apart."""
    out = []
    slots = [spec.type_slots.get(name) for name in spec.type_names]
    if len(set(slots)) < len(slots):
        out.append("type_slots: two types share a slot. With a generator each type needs its own.")
    if spec.enemy_type_slots:
        out.append("smac.enemy_type_slots: not with a generator, whose sides have the same types.")
    left = spec.open_cells[:, : max(0, math.floor(spec.width / 2 - MIDDLE))]
    regions = [("surrounded", spec.open_cells, generator.n_agents + generator.n_enemies)]
    regions += [("formation", *regions[0][1:]), ("reflect", left, max(generator.n_agents, generator.n_enemies))]
    for start, region, units in regions:
        most = _room(region, max((t.radius for t in types), default=0.0))
        if generator.starts.get(start) and units > most:
            out.append(
                f"generator: starts.{start} has to place {units} units in {region.shape[1]} x {region.shape[0]} cells. "
                f"There is surely room for {most}: use fewer units, or a larger map."
            )
    for x, y in generator.formation:
        if not _inside(spec, x, y):
            size = f"{spec.width} x {spec.height}"
            out.append(f"generator: formation has the point ({x:g}, {y:g}), outside the map of {size} cells.")
    return out


def _room(region: np.ndarray, radius: float) -> int:
    """Number of units that find a place in a region (H, W) bool of open cells, wherever the others stand.

    Every unit keeps others' centres out of twice its radius.
    """
    height, width = region.shape
    centres = max(0.0, width - 2 * radius) * max(0.0, height - 2 * radius) * (region.mean() if region.size else 0.0)
    return int(centres / (math.pi * (2 * radius) ** 2)) if radius else region.size


def _slot_errors(spec: MapSpec) -> list[str]:
    out = []
    for slots, key, own_side in (
        (spec.type_slots, "type_slots", None),
        (spec.enemy_type_slots or {}, "smac.enemy_type_slots", False),
    ):
        if not slots:
            continue
        placed = [n for n, ally, _ in spec.roster() if own_side in (None, ally)]
        for name in dict.fromkeys(placed or spec.type_names):
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
