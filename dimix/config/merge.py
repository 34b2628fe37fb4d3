"""Merge the user's values into a schema, checking every key and collecting every problem."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dimix.config.schema import Key, Schema, defaults, walk
from dimix.errors import ConfigError, nearest
from dimix.machine.plain import plain


class OptionText(str):
    """Text of a ``-o`` option, to be converted to the type of its key."""


@dataclass
class Findings:
    """Problems and notes about one config.

    Attributes:
        file: the config's name, for messages.
        origins: the option that set a dotted key or branch, for those that did not come from the file.
        problems: one line each.
        notes: one line for each key that was accepted but has no meaning here.
    """

    file: str
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def report(self, key: str, text: str) -> None:
        """Add a problem with a dotted key."""
        self.problems.append(f"{key} (in {self.origin(key)}): {text}")

    def origin(self, key: str) -> str:
        """Where a key's value came from: an option that set it or a branch above it, the file, or both."""
        above = [option for name, option in self.origins.items() if f"{key}.".startswith(f"{name}.")]
        below = [option for name, option in self.origins.items() if name.startswith(f"{key}.")]
        return above[-1] if above else " and ".join(dict.fromkeys([self.file, *below]))

    def raise_all(self) -> None:
        """Raise all problems together as a ConfigError, one per line, if there are any."""
        problems = list(dict.fromkeys(self.problems))
        if len(problems) == 1:
            raise ConfigError(problems[0])
        if problems:
            raise ConfigError("\n".join([f"{len(problems)} problems with this config:", *("  " + p for p in problems)]))


def set_option(given: dict[str, Any], key: str, value: Any, option: str, found: Findings) -> None:
    """Set a dotted key in the user's config and record which option set it. A branch that is None is created."""
    *branches, leaf = key.split(".")
    tree = given
    for depth, name in enumerate(branches):
        where = ".".join(branches[: depth + 1])
        branch = tree.get(name)
        if branch is None:
            branch, found.origins[where] = {}, option
        elif isinstance(branch, OptionText):
            branch = literal(branch)
        if not isinstance(branch, dict):
            found.problems.append(
                f"{key} (in {option}): {where} is {branch!r} in {found.origin(where)}, not a branch with keys."
            )
            return
        tree[name] = tree = branch
    tree[leaf] = value
    found.origins[key] = option


def merge(
    schema: Schema, given: Mapping[str, Any], prefix: str, ignored: Mapping[str, str], found: Findings
) -> dict[str, Any]:
    """Merge the user's values into the schema's defaults.

    Args:
        schema: the keys that exist.
        given: the user's values for this branch.
        prefix: dotted name of the branch with a trailing dot; empty at the top.
        ignored: keys (or branches) that have no meaning here, with the reason; each becomes a note.
        found: collects problems and notes. An invalid value is replaced by the default, so that checking can continue.
    """
    out = defaults(schema)
    for name, value in given.items():
        key = f"{prefix}{name}"
        rule = schema.get(name)
        if rule is None and key in ignored:
            found.notes.append(f"{key}: has no meaning here and is ignored ({ignored[key]})")
        elif rule is None:
            found.report(key, f"unknown key.{nearest(str(name), schema)}")
        elif isinstance(rule, dict):
            value = literal(value) if isinstance(value, OptionText) else value
            if isinstance(value, Mapping):
                out[name] = merge(rule, value, key + ".", ignored, found)
            else:
                found.report(key, f"{value!r} is not a branch. Use a dict with some of: {', '.join(rule)}.")
        else:
            try:
                out[name] = _read_option(value, rule)
            except ValueError as e:
                found.report(key, str(e))
    return out


def suggest_places(schema: Schema, found: Findings) -> None:
    """Add a hint to each unknown key that exists elsewhere in the schema."""
    places: dict[str, str] = {key.rpartition(".")[2]: key for key, _ in walk(schema)}
    for i, problem in enumerate(found.problems):
        key, _, rest = problem.partition(" (in ")
        name = key.rpartition(".")[2]
        if rest.endswith("unknown key.") and name in places:
            found.problems[i] = f"{problem} It belongs at {places[name]}."


def literal(text: str) -> Any:
    """Interpret a text: a Python literal, true, false or none; otherwise the text itself."""
    words = {"true": True, "false": False, "none": None, "null": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return plain(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return str(text)


def _read_options(value: Any) -> Any:
    """Replace every option text in a value, at any depth, by its literal."""
    if isinstance(value, Mapping):
        return {name: _read_options(item) for name, item in value.items()}
    return literal(value) if isinstance(value, OptionText) else value


def _read_option(given: Any, key: Key) -> Any:
    """Convert a value for a key. An option is read as a literal first and as text if only that fits."""
    value = _read_options(given)
    if not isinstance(given, OptionText):
        return key.coerce(value)
    if key.kinds == ("str",):
        return key.coerce(str(given))
    try:
        return key.coerce(value)
    except ValueError:
        meant = isinstance(value, str) or (isinstance(value, list) and "list" in key.kinds)
        if "str" in key.kinds and not meant:
            return key.coerce(str(given))
        raise
