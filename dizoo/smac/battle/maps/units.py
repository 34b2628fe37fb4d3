"""Unit types: the standard tables of both profiles, and types from a user's JSON in this schema or SMAClite's.

Schema of a unit (lengths in cells, times in seconds, speeds in cells per second; optional fields with their default)::

    hp, damage, cooldown, speed, range, radius, targets [planes], attributes [names]
    shield 0, armor 0, attacks 1, energy 0 (maximum), starting_energy 0, scan_range 5, hp_regen 0 (per second),
    sight 9, target_range = range but at least 2 (both for the ``smacv2`` profile)
    separation_radius = radius, plane "GROUND", bonus {attribute: damage}, weapon "direct" | "heal" | "blast" | "beam",
    blast_radius 0, beam_width 0, beam_height 0, explodes_on_death false, max_cooldown_in_state null (ticks)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dizoo.smac.battle.errors import MapError
from dizoo.smac.battle.maps.fields import ABOVE_ZERO, choice, flag, known_fields, number, strings, table, whole
from dizoo.smac.battle.maps.rules import SIGHT_RANGE

GROUND, AIR, COLOSSUS_PLANE = 0, 1, 2
PLANES = {"GROUND": GROUND, "AIR": AIR, "COLOSSUS": COLOSSUS_PLANE}

DIRECT, HEAL, BLAST, BEAM = 0, 1, 2, 3
WEAPONS = {"direct": DIRECT, "heal": HEAL, "blast": BLAST, "beam": BEAM}

MELEE_RANGE = 0.1
LEAST_TARGET_RANGE = 2.0


@dataclass(frozen=True)
class UnitType:
    """Fixed numbers of a type of unit. Lengths in cells, times in seconds.

    Attributes:
        name: upper-case name.
        hp: hit points at full health.
        shield: shield points, 0 for none.
        energy_max: maximum energy (healers).
        energy_start: energy at the start.
        armor: subtracted from each hit that gets past the shield.
        damage: of one hit.
        attacks: hits per use of the weapon.
        cooldown: seconds between two uses of the weapon.
        speed: cells per second.
        attack_range: from edge to edge.
        scan_range: how far an enemy without a target searches for one.
        sight: how far an agent sees (``smacv2`` profile).
        target_range: how far, between centres, an agent may be told to act on a target (``smacv2`` profile).
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
        explodes_on_death: BLAST: also explodes when killed.
        max_cooldown_in_state: ticks by which the ``smac`` profile's state divides the cooldown (or energy).
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
    sight: float
    target_range: float
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
#: Field: default and smallest allowed value; default None: needed, or in `_OPTIONAL`.
_NUMBERS: dict[str, tuple[float | None, float]] = {
    "hp": (None, ABOVE_ZERO),
    "shield": (0.0, 0.0),
    "armor": (0.0, 0.0),
    "energy": (0.0, 0.0),
    "starting_energy": (0.0, 0.0),
    "damage": (None, 0.0),
    "cooldown": (None, 0.0),
    "speed": (None, 0.0),
    "range": (None, 0.0),
    "scan_range": (5.0, 0.0),
    "sight": (SIGHT_RANGE, ABOVE_ZERO),
    "target_range": (None, ABOVE_ZERO),
    "radius": (None, ABOVE_ZERO),
    "separation_radius": (None, ABOVE_ZERO),
    "hp_regen": (0.0, 0.0),
    "blast_radius": (0.0, 0.0),
    "beam_width": (0.0, 0.0),
    "beam_height": (0.0, 0.0),
    "max_cooldown_in_state": (None, ABOVE_ZERO),
}
_KNOWN = (*_NUMBERS, "attacks", "plane", "targets", "attributes", "bonus", "weapon", "explodes_on_death")
_OPTIONAL = ("separation_radius", "target_range", "max_cooldown_in_state")
_ATTRIBUTES = {"energy": "energy_max", "starting_energy": "energy_start", "range": "attack_range"}  # of `UnitType`

_AS_HERE = (
    "hp", "armor", "damage", "cooldown", "speed", "attributes", "shield", "energy", "starting_energy", "attacks",
    "plane", "hp_regen",
)  # fmt: skip
_SMACLITE_NAMES: dict[str, str | None] = {  # SMAClite's field -> field here
    **{name: name for name in _AS_HERE},
    "attack_range": "range",
    "valid_targets": "targets",
    "minimum_scan_range": "scan_range",
    "bonuses": "bonus",
    **dict.fromkeys(("size", "combat_type", "targeter", "targeter_kwargs", "name")),  # read elsewhere or not at all
}
_SMACLITE_WEAPONS = {"STANDARD": "direct", "KAMIKAZE": "blast", "LASER_BEAM": "beam", "HEAL": "heal"}


def parse_unit(name: str, data: Any, source: str = "") -> UnitType:
    """Read a unit type from its JSON object, in the schema above or SMAClite's (recognised by its field names).

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
    known_fields(where, data, _KNOWN, _REQUIRED)
    n = _numbers(where, data)
    weapon = choice(where, "weapon", data.get("weapon", "direct"), WEAPONS)
    if weapon == HEAL and n["energy_max"] == 0:
        raise MapError(f"{where}: a healer with energy 0. Give 'energy' (its maximum) above 0.")
    if weapon not in (HEAL, BLAST) and n["cooldown"] == 0:
        raise MapError(f"{where}: cooldown is 0. A weapon needs a cooldown above 0 seconds.")
    bonus = table(where, "bonus", data.get("bonus", {}), "{attribute: extra damage}")
    return UnitType(
        name=name.upper(),
        attacks=whole(where, "attacks", data.get("attacks", 1), 1),
        plane=choice(where, "plane", data.get("plane", "GROUND"), PLANES),
        can_hit=sum({1 << choice(where, "targets", p, PLANES) for p in strings(where, "targets", data["targets"])}),
        attributes=tuple(a.upper() for a in strings(where, "attributes", data["attributes"])),
        bonus={str(k).upper(): number(where, f"bonus.{k}", v) for k, v in bonus.items()},
        weapon=weapon,
        explodes_on_death=flag(where, "explodes_on_death", data.get("explodes_on_death", False)),
        **n,
    )


def _numbers(where: str, data: Mapping[str, Any]) -> dict[str, Any]:
    n = {}
    for key, (default, low) in _NUMBERS.items():
        value = data.get(key, default)
        if value is not None or key not in _OPTIONAL:
            n[_ATTRIBUTES.get(key, key)] = number(where, key, value, low)
    return {"separation_radius": n["radius"], "target_range": max(n["attack_range"], LEAST_TARGET_RANGE), **n}


def _from_smaclite(where: str, data: Mapping[str, Any]) -> dict[str, Any]:
    known_fields(where, data, _SMACLITE_NAMES, of=" for a SMAClite unit")
    out = {ours: data[theirs] for theirs, ours in _SMACLITE_NAMES.items() if ours and theirs in data}
    if out.get("range") == "MELEE":
        out["range"] = MELEE_RANGE
    if "size" in data:
        out["radius"] = number(where, "size", data["size"], ABOVE_ZERO) / 2
    targeter = data.get("targeter", "HEAL" if data.get("combat_type") == "HEALING" else "STANDARD")
    out["weapon"] = choice(where, "targeter", targeter, _SMACLITE_WEAPONS)
    kwargs = data.get("targeter_kwargs", {})
    fields = {"blast": {"radius": "blast_radius"}, "beam": {"width": "beam_width", "height": "beam_height"}}
    for theirs, ours in fields.get(out["weapon"], {}).items():
        if theirs not in kwargs:
            raise MapError(f"{where}: targeter_kwargs has no '{theirs}'. The targeter {targeter} needs it.")
        out[ours] = kwargs[theirs]
    return out
