"""Unit types: the standard tables of both profiles, and types from a user's JSON in this schema or SMAClite's.

Schema of a unit (lengths in cells, times in seconds, speeds in cells per second; optional fields with their default)::

    hp, damage, cooldown, speed, range, radius, targets [planes], attributes [names]
    shield 0, armor 0, attacks 1, energy 0 (maximum), starting_energy 0, scan_range 5, hp_regen 0 (per second),
    separation_radius = radius, plane "GROUND", bonus {attribute: damage}, weapon "direct" | "heal" | "blast" | "beam",
    blast_radius 0, beam_width 0, beam_height 0, explodes_on_death false, max_cooldown_in_state null (ticks)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dizoo.smac.battle.errors import MapError
from dizoo.smac.battle.text import nearest

GROUND, AIR, COLOSSUS_PLANE = 0, 1, 2
PLANES = {"GROUND": GROUND, "AIR": AIR, "COLOSSUS": COLOSSUS_PLANE}

DIRECT, HEAL, BLAST, BEAM = 0, 1, 2, 3
WEAPONS = {"direct": DIRECT, "heal": HEAL, "blast": BLAST, "beam": BEAM}

MELEE_RANGE = 0.1


@dataclass(frozen=True)
class UnitType:
    """What is fixed for a type of unit. Lengths in cells, times in seconds.

    Attributes:
        name: upper-case name.
        hp: hit points at full health.
        shield: shield points, 0 for none.
        energy_max: largest energy (healers).
        energy_start: energy at the start.
        armor: taken off each hit that passes the shield.
        damage: of one hit.
        attacks: hits per use of the weapon.
        cooldown: seconds between two uses of the weapon.
        speed: cells per second.
        attack_range: from edge to edge.
        scan_range: how far an enemy without a target looks for one.
        radius: for weapon ranges, placement and area damage.
        separation_radius: for collision avoidance.
        hp_regen: hit points per second.
        plane: GROUND, AIR or COLOSSUS_PLANE.
        can_hit: planes the weapon reaches, as bits ``1 << plane``.
        attributes: upper-case names that bonuses refer to.
        bonus: extra damage against an attribute.
        weapon: DIRECT, HEAL, BLAST or BEAM.
        blast_radius: BLAST: reach around the unit.
        beam_width: BEAM: extent across the line of fire.
        beam_height: BEAM: extent along the line of fire.
        explodes_on_death: BLAST: goes off when it is killed too.
        max_cooldown_in_state: ticks that the state of the ``smac`` profile divides the cooldown (or energy) by.
    """

    name: str
    hp: float
    shield: float
    energy_max: float
    energy_start: float
    armor: float
    damage: float
    attacks: int
    cooldown: float
    speed: float
    attack_range: float
    scan_range: float
    radius: float
    separation_radius: float
    hp_regen: float
    plane: int
    can_hit: int
    attributes: tuple[str, ...]
    bonus: Mapping[str, float]
    weapon: int
    blast_radius: float = 0.0
    beam_width: float = 0.0
    beam_height: float = 0.0
    explodes_on_death: bool = False
    max_cooldown_in_state: float | None = None

    @property
    def is_healer(self) -> bool:
        """Whether the weapon heals."""
        return self.weapon == HEAL


_REQUIRED = ("hp", "damage", "cooldown", "speed", "range", "radius", "targets", "attributes")
_NUMBERS = {  # field: (default, smallest allowed)
    "hp": (None, 1e-9),
    "shield": (0.0, 0.0),
    "armor": (0.0, 0.0),
    "energy": (0.0, 0.0),
    "starting_energy": (0.0, 0.0),
    "damage": (None, 0.0),
    "attacks": (1, 1),
    "cooldown": (None, 0.0),
    "speed": (None, 0.0),
    "range": (None, 0.0),
    "scan_range": (5.0, 0.0),
    "radius": (None, 1e-9),
    "separation_radius": (None, 1e-9),
    "hp_regen": (0.0, 0.0),
    "blast_radius": (0.0, 0.0),
    "beam_width": (0.0, 0.0),
    "beam_height": (0.0, 0.0),
    "max_cooldown_in_state": (None, 1e-9),
}
_OTHERS = ("plane", "targets", "attributes", "bonus", "weapon", "explodes_on_death")

_SMACLITE_NAMES = {  # SMAClite's unit files: field there -> field here (None: read elsewhere)
    "hp": "hp",
    "armor": "armor",
    "damage": "damage",
    "cooldown": "cooldown",
    "speed": "speed",
    "attack_range": "range",
    "size": None,
    "attributes": "attributes",
    "valid_targets": "targets",
    "shield": "shield",
    "energy": "energy",
    "starting_energy": "starting_energy",
    "attacks": "attacks",
    "combat_type": None,
    "minimum_scan_range": "scan_range",
    "bonuses": "bonus",
    "plane": "plane",
    "hp_regen": "hp_regen",
    "targeter": None,
    "targeter_kwargs": None,
    "name": None,
}
_SMACLITE_WEAPONS = {"STANDARD": "direct", "KAMIKAZE": "blast", "LASER_BEAM": "beam", "HEAL": "heal"}


def parse_unit(name: str, data: Any, source: str = "") -> UnitType:
    """A unit type from its JSON object, in the schema above or in SMAClite's (recognised by its field names).

    Args:
        name: the type's name; stored in upper case.
        data: the JSON object.
        source: the file it comes from, for messages.

    Raises:
        MapError: one line that names the unit, the field, what was found and what would be right.
    """
    where = f"unit {name} (in {source})" if source else f"unit {name}"
    if not isinstance(data, Mapping):
        raise MapError(f"{where}: found {type(data).__name__}. A unit is a JSON object of fields.")
    if "attack_range" in data or "size" in data or "valid_targets" in data:
        data = _from_smaclite(where, data)
    for key in data:
        if key not in _NUMBERS and key not in _OTHERS:
            known = (*_NUMBERS, *_OTHERS)
            raise MapError(f"{where}: unknown field '{key}'.{nearest(key, known)} Known: {', '.join(known)}.")
    for key in _REQUIRED:
        if key not in data:
            raise MapError(f"{where}: field '{key}' is missing. Needed: {', '.join(_REQUIRED)}.")
    n = {key: _number(where, key, data.get(key, default), low) for key, (default, low) in _NUMBERS.items()}
    if n["attacks"] != int(n["attacks"]):
        raise MapError(f"{where}: attacks is {n['attacks']}. It is a whole number of hits.")
    weapon = _choice(where, "weapon", data.get("weapon", "direct"), WEAPONS)
    if weapon == HEAL and n["energy"] == 0:
        raise MapError(f"{where}: a healer with energy 0. Give 'energy' (its maximum) above 0.")
    if weapon not in (HEAL, BLAST) and n["cooldown"] == 0:
        raise MapError(f"{where}: cooldown is 0. A weapon needs a cooldown above 0 seconds.")
    can_hit = sum({1 << _choice(where, "targets", p, PLANES) for p in _strings(where, "targets", data["targets"])})
    bonus = data.get("bonus", {})
    if not isinstance(bonus, Mapping):
        raise MapError(f"{where}: bonus is {bonus!r}. It is an object {{attribute: extra damage}}.")
    explodes = data.get("explodes_on_death", False)
    if not isinstance(explodes, bool):
        raise MapError(f"{where}: explodes_on_death is {explodes!r}. It is true or false.")
    return UnitType(
        name=name.upper(),
        hp=n["hp"],
        shield=n["shield"],
        energy_max=n["energy"],
        energy_start=n["starting_energy"],
        armor=n["armor"],
        damage=n["damage"],
        attacks=int(n["attacks"]),
        cooldown=n["cooldown"],
        speed=n["speed"],
        attack_range=n["range"],
        scan_range=n["scan_range"],
        radius=n["radius"],
        separation_radius=n["separation_radius"] or n["radius"],
        hp_regen=n["hp_regen"],
        plane=_choice(where, "plane", data.get("plane", "GROUND"), PLANES),
        can_hit=can_hit,
        attributes=tuple(a.upper() for a in _strings(where, "attributes", data["attributes"])),
        bonus={str(k).upper(): _number(where, f"bonus.{k}", v, -math.inf) for k, v in bonus.items()},
        weapon=weapon,
        blast_radius=n["blast_radius"],
        beam_width=n["beam_width"],
        beam_height=n["beam_height"],
        explodes_on_death=explodes,
        max_cooldown_in_state=n["max_cooldown_in_state"] or None,
    )


def _from_smaclite(where: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """A unit in SMAClite's field names, rewritten in ours."""
    for key in data:
        if key not in _SMACLITE_NAMES:
            raise MapError(
                f"{where}: unknown field '{key}' for a SMAClite unit.{nearest(key, _SMACLITE_NAMES)} "
                f"Known: {', '.join(_SMACLITE_NAMES)}."
            )
    out = {ours: data[theirs] for theirs, ours in _SMACLITE_NAMES.items() if ours and theirs in data}
    if out.get("range") == "MELEE":
        out["range"] = MELEE_RANGE
    if "size" in data:
        out["radius"] = _number(where, "size", data["size"], 1e-9) / 2
    targeter = data.get("targeter", "HEAL" if data.get("combat_type") == "HEALING" else "STANDARD")
    out["weapon"] = _SMACLITE_WEAPONS[_choice(where, "targeter", targeter, {k: k for k in _SMACLITE_WEAPONS})]
    kwargs = data.get("targeter_kwargs", {})
    fields = {"blast": {"radius": "blast_radius"}, "beam": {"width": "beam_width", "height": "beam_height"}}
    for theirs, ours in fields.get(out["weapon"], {}).items():
        if theirs not in kwargs:
            raise MapError(f"{where}: targeter_kwargs has no '{theirs}'. The targeter {targeter} needs it.")
        out[ours] = kwargs[theirs]
    return out


def _number(where: str, key: str, value: Any, low: float) -> float:
    if value is None and key in ("separation_radius", "max_cooldown_in_state"):
        return 0.0  # absent: the caller falls back
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < low:
        at_least = "" if low == -math.inf else " above 0" if low == 1e-9 else f" of at least {low:g}"
        raise MapError(f"{where}: {key} is {value!r}. It is a finite number{at_least}.")
    return float(value)


def _choice(where: str, key: str, value: Any, known: Mapping[str, Any]) -> Any:
    if not isinstance(value, str) or value not in known:
        raise MapError(f"{where}: {key} is {value!r}. Known: {', '.join(known)}.")
    return known[value]


def _strings(where: str, key: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise MapError(f"{where}: {key} is {value!r}. It is a list of names.")
    return value
