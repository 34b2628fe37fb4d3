"""Imports point one way, from the command line down to types and errors; the layers are listed below."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dimix.machine.moved import MOVED

REPO = Path(__file__).resolve().parent.parent

#: Lowest first; a module may import its own layer and those below it.
LAYERS = (
    ("dimix.errors",),
    ("dimix.machine",),
    ("dimix.envs", "dimix.registry"),
    ("dimix.replay", "dimix.config", "dimix.utils"),
    ("dimix.model",),
    ("dimix.policy",),
    ("dimix.worker", "dimix.plot", "dimix.team"),
    ("dimix.callbacks",),
    ("dimix.entry",),
    ("dimix.check", "dimix.report"),
    ("dimix.cli", "dimix.__main__"),
)

#: The same below dizoo/smac.
BATTLE = "dizoo.smac.battle"
ZOO_LAYERS = (
    (f"{BATTLE}.errors", f"{BATTLE}.text"),
    (f"{BATTLE}.maps",),
    (f"{BATTLE}.kernels",),
    (f"{BATTLE}.checks", f"{BATTLE}.tables", f"{BATTLE}.engine"),
    (f"{BATTLE}.recording", f"{BATTLE}.teams", f"{BATTLE}.maps.command", f"{BATTLE}.maps.__main__"),
    ("dizoo.smac.search",),
    ("dizoo.smac.replay",),
    ("dizoo.smac.envs",),
)

#: Names kept for commands typed and code written before modules moved; they point anywhere.
KEPT_NAMES = {f"{BATTLE}.{name}" for name in ("floors", "recorder", "search", "verify")}


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


def layer(module: str, layers: tuple[tuple[str, ...], ...]) -> int | None:
    """Index of the layer with the longest prefix, None for what stands outside (dimix itself, other packages)."""
    hits = [
        (len(prefix), i)
        for i, group in enumerate(layers)
        for prefix in group
        if module == prefix or module.startswith(prefix + ".")
    ]
    return max(hits)[1] if hits else None


def files(folder: str) -> list[Path]:
    return sorted((REPO / folder).rglob("*.py"))


def check_layers(path: Path, layers: tuple[tuple[str, ...], ...]) -> None:
    mine = layer(module_name(path), layers)
    assert mine is not None, f"{module_name(path)} belongs to no layer: add it to the list"
    for module in imports(path):
        theirs = layer(module, layers)
        assert theirs is None or theirs <= mine, f"{module_name(path)} imports {module}, which is above it"


OURS = [path for path in files("dimix") if module_name(path) != "dimix"]


@pytest.mark.parametrize("path", OURS, ids=module_name)
def test_layers_point_one_way(path):
    check_layers(path, LAYERS)


NO_LAYER = KEPT_NAMES | {"dizoo.smac", BATTLE}
ZOO = [p for p in files("dizoo/smac") if p.parent.name != "config" and module_name(p) not in NO_LAYER]


@pytest.mark.parametrize("path", ZOO, ids=module_name)
def test_layers_of_the_battle_point_one_way(path):
    check_layers(path, ZOO_LAYERS)


@pytest.mark.parametrize("path", files("dimix"), ids=module_name)
def test_dimix_never_imports_the_zoo(path):
    assert not {m for m in imports(path) if m.split(".")[0] == "dizoo"}


@pytest.mark.parametrize("path", files("dizoo/smac/battle"), ids=module_name)
def test_battle_engine_stands_alone(path):
    assert not {m for m in imports(path) if m.split(".")[0] in ("torch", "dimix", "treetensor", "easydict")}
    if module_name(path) not in KEPT_NAMES:
        assert not {m for m in imports(path) if m.startswith("dizoo.") and not m.startswith(BATTLE)}


def test_only_the_batch_imports_treetensor():
    assert [p.name for p in files("dimix") if any(m.split(".")[0] == "treetensor" for m in imports(p))] == ["batch.py"]


def test_models_import_no_config_and_kernels_no_networks():
    for path in files("dimix/model"):
        assert not {m for m in imports(path) if m.startswith("dimix.config")}
    for path in files("dimix/model/kernels"):
        ours = {m for m in imports(path) if m.startswith("dimix.")}
        assert all(m.startswith(("dimix.machine", "dimix.model.kernels", "dimix.model.packing")) for m in ours)


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_old_names_mean_the_same_modules(old, new):
    sys.modules.pop(f"dimix.{old}", None)
    with pytest.warns(DeprecationWarning, match=re.escape(f"dimix.{old} is now dimix.{new}")):
        found = importlib.import_module(f"dimix.{old}")
    assert found is importlib.import_module(f"dimix.{new}")


@pytest.mark.parametrize("name", ["maps", "floors", "verify", "search"])
def test_commands_of_the_battle_keep_their_names(name):
    done = subprocess.run([sys.executable, "-m", f"{BATTLE}.{name}", "-h"], capture_output=True, text=True)
    assert done.returncode == 0 and "usage: python -m dizoo.smac." in done.stdout
