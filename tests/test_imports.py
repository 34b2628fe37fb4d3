"""Imports point one way, from the command line down to types and errors; the layers are listed below."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent

#: Lowest first; a module may import its own layer and those below it.
LAYERS = (
    (
        "dimix.errors",
        "dimix.registry",
        "dimix.agent_groups",
        "dimix.compiled",
        "dimix.cores",
        "dimix.plain",
        "dimix.schedule",
    ),
    ("dimix.envs", "dimix.types", "dimix.torch_utils", "dimix.utils", "dimix.value_learning"),
    (
        "dimix.inputs",
        "dimix.config",
        "dimix.config_schema",
        "dimix.config_merge",
        "dimix.config_file",
        "dimix.config_checks",
        "dimix.config_doc",
        "dimix.plot",
    ),
    ("dimix.model",),
    ("dimix.policy",),
    ("dimix.worker",),
    ("dimix.callbacks",),
    ("dimix.entry",),
    ("dimix.check",),
    ("dimix.cli", "dimix.__main__"),
)


def module_name(path: Path) -> str:
    parts = path.relative_to(REPO).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Modules that a file imports anywhere, functions included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def layer(module: str) -> int | None:
    """Index in LAYERS of the longest prefix, None for what stands outside (dimix itself, other packages)."""
    hits = [
        (len(prefix), i)
        for i, group in enumerate(LAYERS)
        for prefix in group
        if module == prefix or module.startswith(prefix + ".")
    ]
    return max(hits)[1] if hits else None


def files(folder: str) -> list[Path]:
    return sorted((REPO / folder).rglob("*.py"))


@pytest.mark.parametrize("path", files("dimix"), ids=module_name)
def test_layers_point_one_way(path):
    mine = layer(module_name(path))
    assert mine is not None or module_name(path) == "dimix", (
        f"{module_name(path)} belongs to no layer: add it to LAYERS"
    )
    for module in imports(path):
        theirs = layer(module)
        if mine is not None and theirs is not None:
            assert theirs <= mine, f"{module_name(path)} imports {module}, which is above it"


@pytest.mark.parametrize("path", files("dimix"), ids=module_name)
def test_dimix_never_imports_the_zoo(path):
    assert not {m for m in imports(path) if m.split(".")[0] == "dizoo"}


@pytest.mark.parametrize("path", files("dizoo/smac/battle"), ids=module_name)
def test_battle_engine_stands_alone(path):
    assert not {m for m in imports(path) if m.split(".")[0] in ("torch", "dimix", "treetensor", "easydict")}
    assert not {m for m in imports(path) if m.startswith("dizoo.") and not m.startswith("dizoo.smac.battle")}


def test_only_types_imports_treetensor():
    assert [p.name for p in files("dimix") if any(m.split(".")[0] == "treetensor" for m in imports(p))] == ["types.py"]
