"""Generates docs/config.md from the comments of the default dicts.

Run as ``python -m dimix.config.page > docs/config.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from dimix.config.classes import import_known
from dimix.config.compile import policy_schema
from dimix.config.keys import IGNORED, schema_of
from dimix.config.schema import Key, class_ignored, class_schema, walk
from dimix.registry import CALLBACK_REGISTRY, ENV_REGISTRY, MIXER_REGISTRY, MODEL_REGISTRY, POLICY_REGISTRY, Registry

HEAD = """# Config

A config file is a Python module with two dicts, `main_config` and `create_config`, that list only what differs from the
defaults below. Unknown keys, values of the wrong type or out of range, and combinations that cannot work are errors,
all reported before anything starts. On the command line, `-o dotted.key=value` sets one key.

`policy.model.agent_num`, `obs_shape`, `global_obs_shape` and `action_shape`, `policy.collect.env_num` and
`policy.eval.env_num` are derived from the environment. If a config sets them, they are checked.

This page is generated from the comments above the defaults: `python -m dimix.config.page > docs/config.md`.
"""


def page() -> str:
    """The whole page as Markdown."""
    import_known()
    parts = [HEAD]
    parts += _section("main_config: the run", dict(walk(schema_of("RUN_CONFIG"))))
    parts += _section("create_config", dict(walk(schema_of("CREATE_CONFIG"), "create_config.")))
    parts += _registered("env", "env.", ENV_REGISTRY)
    parts += _registered("policy", "policy.", POLICY_REGISTRY)
    parts += _registered("model", "policy.model.", MODEL_REGISTRY)
    parts += _registered("mixer", "policy.model.", MIXER_REGISTRY)
    parts += _registered("callback", "run.callbacks.{name}.", CALLBACK_REGISTRY)
    parts += [
        "## Accepted without meaning\n",
        "DI-engine keys that have no meaning here. A run that sets them prints one line for each.\n",
    ]
    parts += ["| key | why |\n| --- | --- |"]
    parts += [f"| `{key}` | {reason} |" for key, reason in _ignored()]
    return "\n".join(parts) + "\n"


def _registered(kind: str, prefix: str, registry: Registry) -> list[str]:
    """One section per class: all keys for a class without a registered base, else only those it adds or changes."""
    parts: list[str] = []
    keys: dict[type, dict[str, Key]] = {}
    names = {cls: name for name, cls in _shipped(registry)}
    for cls in sorted(names, key=lambda cls: len(cls.__mro__)):  # bases first
        schema = policy_schema(cls) if kind == "policy" else class_schema(cls)
        if kind == "policy":
            schema.pop("model", None)
        keys[cls] = dict(walk(schema, prefix.format(name=names[cls])))
        base = next((base for base in cls.__mro__[1:] if base in names), None)
        rows = {key: rule for key, rule in keys[cls].items() if base is None or rule != keys[base].get(key)}
        beside = "" if base is None else f", beside the keys of '{names[base]}'"
        if rows:
            parts += _section(f"{kind} '{names[cls]}' (`{cls.__module__}.{cls.__qualname__}`){beside}", rows)
    return parts


def _shipped(registry: Registry) -> list[tuple[str, type]]:
    """Classes registered by dimix itself, without the user's own."""
    classes = [(name, registry.get(name)) for name in registry.names()]
    return [(name, cls) for name, cls in classes if cls.__module__.split(".")[0] in ("dimix", "dizoo")]


def _section(title: str, keys: Mapping[str, Key]) -> list[str]:
    rows = [f"| `{key}` | {_cell(rule)} |" for key, rule in keys.items()]
    return [f"## {title}\n", "| key | default | type | meaning |\n| --- | --- | --- | --- |", *rows, ""]


def _cell(rule: Key) -> str:
    text = rule.text.replace("|", "\\|").replace("\n", " ")
    return f"`{rule.default!r}` | {' or '.join(rule.kinds)} | {text}"


def _ignored() -> Iterator[tuple[str, str]]:
    yield from IGNORED.items()
    for branch, registry in (("env", ENV_REGISTRY), ("policy", POLICY_REGISTRY)):
        owners: dict[tuple[str, str], list[str]] = {}
        for name, cls in _shipped(registry):
            for item in class_ignored(cls).items():
                owners.setdefault(item, []).append(f"'{name}'")
        for (key, reason), names in owners.items():
            yield f"{branch}.{key}", f"{reason} ({branch} {', '.join(names)})"


if __name__ == "__main__":
    sys.stdout.write(page())
