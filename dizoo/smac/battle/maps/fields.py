"""Checks of single fields of map and unit files; each raises a MapError that names the field and a valid value."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from dizoo.smac.battle.errors import MapError
from dizoo.smac.battle.text import nearest

ABOVE_ZERO = 1e-9


def known_fields(where: str, data: Any, known: Collection[str], needed: Collection[str] = (), of: str = "") -> None:
    """Refuse anything but an object, unknown fields, and missing needed ones."""
    if not isinstance(data, Mapping):
        raise MapError(f"{where}: found {data!r}. It is a JSON object.")
    for key in data:
        if key not in known:
            raise MapError(f"{where}: unknown field '{key}'{of}.{nearest(key, known)} Known: {', '.join(known)}.")
    for key in needed:
        if key not in data:
            raise MapError(f"{where}: field '{key}' is missing. Needed: {', '.join(needed)}.")


def number(where: str, key: str, value: Any, low: float = -math.inf) -> float:
    """Check for a finite number of at least ``low``."""
    if not _is_number(value) or value < low:
        at_least = "" if low == -math.inf else " above 0" if low == ABOVE_ZERO else f" of at least {low:g}"
        raise MapError(f"{where}: {key} is {value!r}. It is a finite number{at_least}.")
    return float(value)


def whole(where: str, key: str, value: Any, low: int) -> int:
    """Check for a whole number of at least ``low``."""
    if not _is_number(value) or value != int(value) or value < low:
        raise MapError(f"{where}: {key} is {value!r}. It is a whole number of at least {low}.")
    return int(value)


def pair(where: str, key: str, value: Any) -> tuple[float, float]:
    """Check for two finite numbers."""
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(_is_number(v) for v in value):
        raise MapError(f"{where}: {key} is {value!r}. It is two finite numbers [x, y].")
    return float(value[0]), float(value[1])


def flag(where: str, key: str, value: Any) -> bool:
    """Check for true or false."""
    if not isinstance(value, bool):
        raise MapError(f"{where}: {key} is {value!r}. It is true or false.")
    return value


def choice(where: str, key: str, value: Any, known: Mapping[str, Any]) -> Any:
    """Return the value that a known name stands for."""
    if not isinstance(value, str) or value not in known:
        raise MapError(f"{where}: {key} is {value!r}. Known: {', '.join(known)}.")
    return known[value]


def strings(where: str, key: str, value: Any) -> list[str]:
    """Check for a list of names."""
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise MapError(f"{where}: {key} is {value!r}. It is a list of names.")
    return value


def table(where: str, key: str, value: Any, form: str) -> Mapping[str, Any]:
    """Check for an object; the message describes its ``form``."""
    if not isinstance(value, Mapping):
        raise MapError(f"{where}: {key} is {value!r}. It is an object {form}.")
    return value


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
