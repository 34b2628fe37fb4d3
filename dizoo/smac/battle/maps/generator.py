"""Generators: maps whose teams and starts are drawn anew for every battle, as in SMACv2.

Schema of a generator, the field ``generator`` of a map file, in place of its ``groups``::

    {"n_agents": 5, "n_enemies": 5,
     "types": {"MARINE": 0.45, "MARAUDER": 0.45, "MEDIVAC": 0.1},     weights, which sum to 1
     "exceptions": ["MEDIVAC"],           a team of these alone is drawn again; default: none
     "enemies_copy_allies": true,         enemy i has the type of ally i, and only further enemies are drawn (again, if
                                          all of them are exceptions); false: the enemies are drawn like the allies
     "starts": {"surrounded": 0.5, "reflect": 0.5},     shares of `STARTS`, which sum to 1
     "formation": {"allies": [[9, 16], ...], "enemies": [[23, 16], ...]}}     a point per unit for this start

Starts, on a map of W x H cells: ``reflect`` spreads the allies over the left half, up to a cell from the middle; each
enemy mirrors an ally, and further ones are spread over the right half. ``surrounded`` puts the allies in the middle and
the enemies in one to four groups, each anywhere on another diagonal. ``formation`` has fixed points. A unit whose point
is taken starts as close to it as there is room.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dizoo.smac.battle.errors import MapError
from dizoo.smac.battle.maps.fields import flag, known_fields, number, pair, strings, table, whole

STARTS = ("reflect", "surrounded", "formation")
MIDDLE = 1.0  # cells between the middle line and the allies' half, so that the sides do not start on each other
INNER = 2.0  # cells from the centre along each axis to the inner end of a diagonal

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Generator:
    """How the battles of a map are drawn.

    Attributes:
        n_agents: allies.
        n_enemies: how many.
        weights: probability of each type.
        exceptions: types that are drawn again where a team has no other.
        enemies_copy_allies: enemy i has the type of ally i.
        starts: share of each of `STARTS`.
        formation: the points of the start ``"formation"``: the allies', then the enemies'; empty if there is none.
    """

    n_agents: int
    n_enemies: int
    weights: Mapping[str, float]
    exceptions: tuple[str, ...]
    enemies_copy_allies: bool
    starts: Mapping[str, float]
    formation: Points = ()


def parse_generator(where: str, data: Any) -> Generator:
    """Read a generator from its JSON object.

    Raises:
        MapError: one line that names the field, what was found and what would be right.
    """
    where = f"{where}: generator"
    needed = ("n_agents", "n_enemies", "types", "starts")
    known_fields(where, data, (*needed, "exceptions", "enemies_copy_allies", "formation"), needed)
    n_agents, n_enemies = (whole(where, key, data[key], 1) for key in ("n_agents", "n_enemies"))
    weights = {name.upper(): share for name, share in _shares(where, "types", data["types"], "{TYPE: weight}").items()}
    exceptions = tuple(name.upper() for name in strings(where, "exceptions", data.get("exceptions", [])))
    for name in exceptions:
        if name not in weights:
            raise MapError(f"{where}: exceptions names '{name}'. Types: {', '.join(weights)}.")
    if not any(weight > 0 for name, weight in weights.items() if name not in exceptions):
        raise MapError(f"{where}: exceptions leave no type. A team needs a type that is drawn and is no exception.")
    starts = _shares(where, "starts", data["starts"], "{start: share}")
    known_fields(f"{where}: starts", starts, STARTS)
    if starts.get("formation") and "formation" not in data:
        raise MapError(f"{where}: starts has 'formation', but there is none. Give its points in the field 'formation'.")
    return Generator(
        n_agents=n_agents,
        n_enemies=n_enemies,
        weights=weights,
        exceptions=exceptions,
        enemies_copy_allies=flag(where, "enemies_copy_allies", data.get("enemies_copy_allies", True)),
        starts=starts,
        formation=_formation(where, data["formation"], n_agents, n_enemies) if "formation" in data else (),
    )


def _shares(where: str, key: str, value: Any, form: str) -> dict[str, float]:
    """Check for numbers by name that are not negative and sum to 1."""
    shares = {
        name: number(where, f"{key}.{name}", share, 0.0) for name, share in table(where, key, value, form).items()
    }
    if not math.isclose(sum(shares.values()), 1.0, abs_tol=1e-6):
        raise MapError(f"{where}: {key} sum to {sum(shares.values()):g}. They sum to 1.")
    return shares


def _formation(where: str, data: Any, n_agents: int, n_enemies: int) -> Points:
    where = f"{where}: formation"
    known_fields(where, data, ("allies", "enemies"), ("allies", "enemies"))
    points: list[tuple[float, float]] = []
    for side, count in (("allies", n_agents), ("enemies", n_enemies)):
        if not isinstance(data[side], list) or len(data[side]) != count:
            found = f"{len(data[side])} points" if isinstance(data[side], list) else repr(data[side])
            raise MapError(f"{where}: {side} has {found}. It is a list of {count} points [x, y], one per unit.")
        points += [pair(where, f"{side}[{i}]", point) for i, point in enumerate(data[side])]
    return tuple(points)
