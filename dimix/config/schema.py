"""Config schemas, read from the commented default dicts next to the classes that use them.

A default dict is a schema: every key has a default and a comment above it::

    config = dict(
        # (int | None) Steps of a sampled window; None samples whole episodes, >= 1.
        unroll_len=None,
        learn=dict(
            # (float) Discount of future reward, in [0, 1].
            discount_factor=0.99,
            # (str) Optimizer, one of "adam", "rmsprop".
            optimizer="adam",
        ),
    )

The type in brackets, the range (``>= 1``, ``> 0``, ``<= 1``, ``in [0, 1)``) and the choices (``one of "a", "b"``) are
enforced, and docs/config.md prints the same comment. If the source of a class cannot be read (a class typed at a
prompt), only the type of the default is enforced. A subclass lists only the keys that it adds or changes.
"""

from __future__ import annotations

import ast
import functools
import inspect
import io
import math
import re
import textwrap
import tokenize
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Union

from dimix.errors import nearest
from dimix.machine.plain import plain

Schema = dict[str, Union["Key", "Schema"]]

_TYPES: dict[str, type | tuple[type, ...]] = {
    "bool": bool,
    "int": int,
    "float": float,
    "str": str,
    "list": (list, tuple),
    "dict": Mapping,
    "None": type(None),
}
_NUMBER = r"(-?(?:\d+\.?\d*(?:e[+-]?\d+)?|inf))"
_INTERVAL = re.compile(rf"([\[(])\s*{_NUMBER}\s*,\s*{_NUMBER}\s*([\])])")
_BOUND = re.compile(rf"(>=|<=|>|<)\s*{_NUMBER}")
_CHOICES = re.compile(r"one of ((?:['\"][^'\"]*['\"](?:,\s*|\s+or\s+)?)+)")


@dataclass(frozen=True)
class Key:
    """One key of a config.

    Attributes:
        default: value used if the config does not set the key.
        kinds: accepted types, from ``bool, int, float, str, list, dict, None``.
        text: the comment after the type.
        bounds: (relation, number) pairs that a number must satisfy.
        choices: accepted strings; empty if any string is accepted.
        item: type of a list's items, or an empty string for any.
    """

    default: Any
    kinds: tuple[str, ...]
    text: str = ""
    bounds: tuple[tuple[str, float], ...] = ()
    choices: tuple[str, ...] = ()
    item: str = ""

    @property
    def expected(self) -> str:
        """The accepted values, in words."""
        chosen = ("str", "list") if self.item == "str" else ("str",)
        listed = [k for k in self.kinds if k != "None" and not (k in chosen and self.choices)]
        names = [k if k != "list" or not self.item else f"list of {self.item}" for k in listed]
        words = " or ".join(f"{'an' if n[0] in 'aeiou' else 'a'} {n}" for n in names)
        if self.bounds:
            words += " " + " and ".join(f"{relation} {number:g}" for relation, number in self.bounds)
        if self.choices:
            words += (" or " if words else "") + "one of " + ", ".join(f"'{c}'" for c in self.choices)
            words += " or a list of them" if "list" in self.kinds and self.item == "str" else ""
        return words + (" or None" if "None" in self.kinds and words else "None" if "None" in self.kinds else "")

    def coerce(self, value: Any) -> Any:
        """Convert a value to the key's type: 3 for a float becomes 3.0, 1e9 for an int becomes 1000000000.

        Raises:
            ValueError: the value does not fit; the message is ``<found>. Use <what is right>.``
        """
        fitted = self._fit(value)
        if fitted is _MISFIT:
            raise ValueError(f"{value!r} is {_article(value)}. Use {self.expected}.")
        for text in fitted if isinstance(fitted, list) else [fitted]:
            if self.choices and isinstance(text, str) and text not in self.choices:
                raise ValueError(f"{value!r}. Use {self.expected}.{nearest(text, self.choices)}")
        if isinstance(fitted, int | float) and not isinstance(fitted, bool) and not self._in_range(fitted):
            raise ValueError(f"{value!r} is out of range. Use {self.expected}.")
        return fitted

    def _fit(self, value: Any) -> Any:
        for kind in self.kinds:
            fitted = _fit_kind(kind, value)
            if fitted is _MISFIT:
                continue
            if kind == "list" and self.item:
                fitted = [_fit_kind(self.item, v) for v in fitted]
                if _MISFIT in fitted:
                    continue
            return fitted
        return _MISFIT

    def _in_range(self, number: float) -> bool:
        holds = {">=": number.__ge__, "<=": number.__le__, ">": number.__gt__, "<": number.__lt__}
        return math.isfinite(number) and all(holds[relation](type(number)(b)) for relation, b in self._finite_bounds())

    def _finite_bounds(self) -> Iterator[tuple[str, float]]:
        return ((relation, number) for relation, number in self.bounds if math.isfinite(number))


_MISFIT: Any = object()


def _fit_kind(kind: str, value: Any) -> Any:
    """The value converted to one kind, or `_MISFIT`."""
    if kind == "int" and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, bool) and kind != "bool":
        return _MISFIT
    if not isinstance(value, _TYPES[kind]):
        return _MISFIT
    return list(value) if isinstance(value, list | tuple) else value


def _article(value: Any) -> str:
    name = type(value).__name__
    return ("an " if name[0] in "aeiou" else "a ") + name if value is not None else "not set"


def make_key(default: Any, comment: str = "") -> Key:
    """Build a key from its default and its comment (without ``#``)."""
    default = plain(default)
    match = re.match(r"\(([^()]*(?:\[[^]]*\])?[^()]*)\)\s*(.*)", comment, re.DOTALL)
    tag, text = match.groups() if match else ("", comment)
    kinds, item = _parse_tag(tag)
    own = _kind_of(default)
    if not kinds:
        kinds = tuple(_TYPES) if own == "None" else (own,)
        text = comment
    elif own not in kinds and not (own == "int" and "float" in kinds):
        kinds = (*kinds, own)
    if own == "list" and not item and default and len({_kind_of(v) for v in default}) == 1:
        item = _kind_of(default[0])
    bounds = [(">=" if a == "[" else ">", float(low)) for a, low, _, _ in _INTERVAL.findall(text)]
    bounds += [("<=" if b == "]" else "<", float(high)) for _, _, high, b in _INTERVAL.findall(text)]
    bounds += [(relation, float(number)) for relation, number in _BOUND.findall(text)]
    numeric = bool({"int", "float"} & set(kinds))
    found = _CHOICES.search(text)
    choices = tuple(re.findall(r"['\"]([^'\"]*)['\"]", found.group(1))) if found and "str" in kinds else ()
    return Key(default, kinds, text, tuple(bounds) if numeric else (), choices, item)


def _parse_tag(tag: str) -> tuple[tuple[str, ...], str]:
    """Types and item type of ``int | None``, ``list[int]``, ``list of int``, ``str or None``."""
    item = ""
    kinds = []
    for part in re.split(r"\s*\|\s*|\s+or\s+", tag.strip()):
        match = re.fullmatch(r"(\w+)(?:(?:\[| of )(\w+?)s?\]?)?", part)
        if match is None or match.group(1) not in _TYPES:
            return (), ""
        kinds.append(match.group(1))
        item = match.group(2) or item
    return tuple(kinds), item if item in _TYPES else ""


def _kind_of(value: Any) -> str:
    return next((name for name, cls in _TYPES.items() if isinstance(value, cls)), "str")


def class_schema(cls: type) -> Schema:
    """Schema of a class: its bases' ``config`` dicts and its own, merged from base to derived."""
    schema: Schema = {}
    for base in reversed(cls.__mro__):
        defaults = base.__dict__.get("config")
        if isinstance(defaults, Mapping):
            merge_schema(schema, dict_schema(defaults, source_comments(base)))
    return schema


def class_ignored(cls: type) -> dict[str, str]:
    """Keys that a class and its bases accept although they have no meaning, with the reason."""
    bases = [base.__dict__.get("config_ignored", {}) for base in reversed(cls.__mro__)]
    return {key: reason for ignored in bases for key, reason in ignored.items()}


def dict_schema(defaults: Mapping[str, Any], comments: Mapping[str, str], prefix: str = "") -> Schema:
    """Build a schema from nested defaults and comments by dotted key. An empty dict accepts any dict."""
    schema: Schema = {}
    for name, value in defaults.items():
        dotted = prefix + name
        if isinstance(value, Mapping) and value:
            schema[name] = dict_schema(value, comments, dotted + ".")
        else:
            schema[name] = make_key(value, comments.get(dotted, ""))
    return schema


def merge_schema(into: Schema, new: Schema) -> None:
    """Merge a derived class's keys into its base's; a key without a comment keeps the base's comment and type."""
    for name, value in new.items():
        old = into.get(name)
        if isinstance(value, dict) and isinstance(old, dict):
            merge_schema(old, value)
        elif isinstance(value, Key) and isinstance(old, Key) and not value.text:
            kinds = old.kinds if _kind_of(value.default) in old.kinds else (*old.kinds, _kind_of(value.default))
            into[name] = Key(value.default, kinds, old.text, old.bounds, old.choices, old.item)
        else:
            into[name] = value


def walk(schema: Schema, prefix: str = "") -> Iterator[tuple[str, Key]]:
    """All keys with their dotted names, in the order written."""
    for name, value in schema.items():
        if isinstance(value, dict):
            yield from walk(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def defaults(schema: Schema) -> dict[str, Any]:
    """A fresh nested dict of defaults."""
    out: dict[str, Any] = {}
    for name, value in schema.items():
        if isinstance(value, dict):
            out[name] = defaults(value)
        else:
            plain = value.default
            out[name] = list(plain) if isinstance(plain, list | tuple) else dict(plain) if plain == {} else plain
    return out


@functools.cache  # parsing sources again for every config of a queue would dominate its start-up time
def source_comments(owner: type | Callable[..., Any] | Any, name: str = "config") -> Mapping[str, str]:
    """Comments of ``name = dict(...)`` in a class's or module's source, by dotted key; empty if it cannot be read."""
    try:
        source = textwrap.dedent(inspect.getsource(owner))
        tree = ast.parse(source)
    except (OSError, TypeError, SyntaxError):
        return {}
    body = tree.body[0].body if isinstance(owner, type) and isinstance(tree.body[0], ast.ClassDef) else tree.body
    lines = _CommentLines(source)
    for node in body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(isinstance(t, ast.Name) and t.id == name for t in targets):
            return dict(_dict_comments(node.value, lines, ""))
    return {}


@dataclass
class _CommentLines:
    """Comments of a source text by line number; ``whole`` holds the lines with nothing but a comment."""

    source: str
    text: dict[int, str] = field(default_factory=dict)
    whole: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        for token in tokenize.generate_tokens(io.StringIO(self.source).readline):
            if token.type == tokenize.COMMENT:
                self.text[token.start[0]] = token.string.lstrip("#").strip()
                if not token.line[: token.start[1]].strip():
                    self.whole.add(token.start[0])

    def above(self, line: int) -> str:
        """The comment block directly above a line, or else the comment at its end."""
        first = line
        while first - 1 in self.whole:
            first -= 1
        block = " ".join(self.text[n] for n in range(first, line))
        return block or self.text.get(line, "")


def _dict_comments(node: ast.expr, lines: _CommentLines, prefix: str) -> Iterator[tuple[str, str]]:
    """Dotted key and comment of each key of ``dict(a=...)``, ``{"a": ...}`` or ``EasyDict(dict(...))``."""
    pairs: list[tuple[Any, ast.expr, int]]
    if isinstance(node, ast.Call):
        for inner in node.args:
            yield from _dict_comments(inner, lines, prefix)
        pairs = [(k.arg, k.value, k.value.lineno if k.arg is None else k.lineno) for k in node.keywords]
    elif isinstance(node, ast.Dict):
        pairs = [
            (k.value, v, k.lineno) for k, v in zip(node.keys, node.values, strict=True) if isinstance(k, ast.Constant)
        ]
    else:
        return
    for key, value, line in pairs:
        if isinstance(key, str):
            yield prefix + key, lines.above(line)
            yield from _dict_comments(value, lines, f"{prefix}{key}.")
