"""Convert values to Python's own types, and find values that cannot be saved."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

#: How to convert a subclass's value to the base type; bool comes before int, its base.
_OWN: dict[type, Callable[[Any], Any]] = {bool: bool, int: int.__int__, float: float.__float__, str: str.__str__}


def plain(value: Any) -> Any:
    """Copy a tree into Python's own dicts, lists, numbers and strings; nothing is shared.

    Numbers and arrays of numpy and torch become numbers and lists. Subclasses of int, float and str (such as some
    enums) become the base type, and paths become strings. Anything else is kept as it is.
    """
    if isinstance(value, Mapping):
        return {plain(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    for kind, own in _OWN.items():
        if isinstance(value, kind):
            return own(value)
    if isinstance(value, os.PathLike):
        return plain(os.fspath(value))
    if isinstance(value, type) or not hasattr(value, "tolist"):
        return value
    listed = value.tolist()
    return listed if type(listed) is type(value) else plain(listed)  # numpy's longdouble has no Python equivalent


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a nested dict by dotted key, in order; empty dicts are leaves, and tuples become lists."""
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, list(value) if isinstance(value, tuple) else value


def unwritable(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Find values in a plain tree that a config file or checkpoint would not restore unchanged.

    Yields:
        Dotted key and ``<found>. <what is right>.`` for each.
    """
    if isinstance(value, dict):
        for name, item in value.items():
            where = f"{key}.{name}" if key else str(name)
            if not isinstance(name, str) or hasattr(dict, name):
                yield where, f"the key {name!r} cannot be saved. Use a text that is no method of a dict."
            else:
                yield from unwritable(item, where)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from unwritable(item, f"{key}[{i}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield key, f"{value!r} cannot be saved. Use a finite number."
    elif value is not None and type(value) not in _OWN:
        what = type(value).__name__
        yield (
            key,
            f"{value!r} ({what}) cannot be saved. Use numbers, texts, True, False, None, lists and dicts of them.",
        )
