"""Values as Python's own: what numbers, texts and arrays of other packages stand for, and what a file can hold."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

#: How a subclass's value becomes the base's own; bool has no subclasses and comes before int.
_OWN: dict[type, Callable[[Any], Any]] = {bool: bool, int: int.__int__, float: float.__float__, str: str.__str__}


def plain(value: Any) -> Any:
    """The same tree in Python's own dicts, lists, numbers and texts, nothing shared.

    Numbers and arrays of numpy and torch become numbers and lists, a subclass of int, float or str (the members of some
    enums, say) the number or text that it is, a path its text. What is none of these stays as it is.
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
    return listed if type(listed) is type(value) else plain(listed)  # numpy's long numbers have no twin in Python


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a nested dict by dotted key, in its order; empty dicts are leaves, tuples come as lists."""
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, list(value) if isinstance(value, tuple) else value


def unwritable(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """What a plain tree holds that no config file or checkpoint would give back as it is.

    Args:
        value: the tree.
        key: its dotted key, empty at the top.

    Yields:
        Dotted key and ``<found>. <what is right>.`` of each.
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
