"""Merging what the user wrote into a schema: every key checked, every problem collected."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dimix.config.schema import Key, Schema, defaults, walk
from dimix.errors import ConfigError, nearest
from dimix.machine.plain import plain


class OptionText(str):
    """Text of a ``-o`` option: becomes what the type of its key asks for."""


@dataclass
class Findings:
    """Problems and notes of one config.

    Attributes:
        file: the config's name, for messages.
        origins: dotted key or branch -> the option that set it, for those that did not come from the file.
        problems: one line each.
        notes: one line for each key that was accepted although it means nothing here.
    """

    file: str
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def report(self, key: str, text: str) -> None:
        """Add a problem with a dotted key."""
        self.problems.append(f"{key} (in {self.origin(key)}): {text}")

    def origin(self, key: str) -> str:
        """Where a key's value came from: the option that set it or a branch above it, the file, or both."""
        above = [option for name, option in self.origins.items() if f"{key}.".startswith(f"{name}.")]
        below = [option for name, option in self.origins.items() if name.startswith(f"{key}.")]
        return above[-1] if above else " and ".join(dict.fromkeys([self.file, *below]))

    def raise_all(self) -> None:
        """Raise all problems together, when there are any.

        Raises:
            ConfigError: one line per problem.
        """
        problems = list(dict.fromkeys(self.problems))
        if len(problems) == 1:
            raise ConfigError(problems[0])
        if problems:
            raise ConfigError("\n".join([f"{len(problems)} problems with this config:", *("  " + p for p in problems)]))


def set_option(given: dict[str, Any], key: str, value: Any, option: str, found: Findings) -> None:
    """Put a value at a dotted key of what the user gave, and note which option it came from; None is no branch yet."""
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
    """The schema's defaults with the user's values in them.

    Args:
        schema: keys that exist.
        given: what the user wrote for this branch.
        prefix: dotted name of the branch, with a dot at its end; empty at the top.
        ignored: dotted key -> why it means nothing here; such a key (or branch) becomes a note.
        found: takes problems and notes. A value that does not fit is replaced by the default, so that checking goes on.
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
    """Add to each unknown key without a hint the place where a key of that name does exist."""
    places: dict[str, str] = {key.rpartition(".")[2]: key for key, _ in walk(schema)}
    for i, problem in enumerate(found.problems):
        key, _, rest = problem.partition(" (in ")
        name = key.rpartition(".")[2]
        if rest.endswith("unknown key.") and name in places:
            found.problems[i] = f"{problem} It belongs at {places[name]}."


def literal(text: str) -> Any:
    """What a text stands for: a Python literal, true, false, none, or else itself."""
    words = {"true": True, "false": False, "none": None, "null": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return plain(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return str(text)


def _read_options(value: Any) -> Any:
    """A value in which every text of an option, at any depth, is what it stands for."""
    if isinstance(value, Mapping):
        return {name: _read_options(item) for name, item in value.items()}
    return literal(value) if isinstance(value, OptionText) else value


def _read_option(given: Any, key: Key) -> Any:
    """A key's value as its reader wants it; where a text fits, an option that does not fit otherwise is one."""
    value = _read_options(given)
    if not isinstance(given, OptionText):
        return key.coerce(value)
    if key.kinds == ("str",):
        return key.coerce(str(given))
    try:
        return key.coerce(value)
    except ValueError:
        if "str" in key.kinds and not isinstance(value, str):
            return key.coerce(str(given))
        raise
