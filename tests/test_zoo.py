"""The ready-made configs: one per map, short, complete, runnable."""

import importlib
import runpy
from pathlib import Path

import pytest

from benchmark.win_rate.cells import MapCell
from dimix.config.compile import compile_all
from dimix.config.file import zoo_configs
from dimix.registry import ENV_REGISTRY
from dizoo.smac.battle.maps.scenario import map_names, task_names


def skip_without_packages(path):
    """Sizes come from the environment itself: without its package a config cannot be compiled."""
    create = runpy.run_path(str(path))["create_config"]
    importlib.import_module(create.env.import_names[0])
    needed = ENV_REGISTRY.get(create.env.type).packages
    missing = [package for package in needed if not package.choice and not package.installed]
    if missing:
        pytest.skip(f"{missing[0].module} is not installed: {missing[0].install}")


PUBLISHED = "smac_published_qmix_config.py"
QMIX = {p for p in zoo_configs() if p.match("smac/config/*_qmix_config.py") and p.name != PUBLISHED}


@pytest.mark.parametrize("path", zoo_configs(), ids=lambda p: p.stem)
def test_config_compiles_without_notes(path):
    skip_without_packages(path)
    compiled = compile_all(path)
    assert compiled.notes == []
    assert compiled.cfg.exp_name == f"{path.stem.removesuffix('_config')}_result/seed0"


@pytest.mark.parametrize("path", zoo_configs(), ids=lambda p: p.stem)
def test_config_runs_by_itself(path, monkeypatch):
    """The last lines of the file start a training with its own two dicts and seed 0."""
    calls = []
    monkeypatch.setattr("dimix.entry.serial_pipeline", lambda cfg, seed: calls.append((cfg, seed)))
    scope = runpy.run_path(str(path), run_name="__main__")
    assert calls == [((scope["main_config"], scope["create_config"]), 0)]


def test_every_map_has_a_qmix_config():
    maps = [compile_all(path).cfg.env.map_name for path in QMIX]
    assert sorted(maps) == sorted([*map_names(), *task_names()])


def test_published_is_the_default_recipe():
    """QMIX as published is the policy's defaults, and what the benchmark trains under that name."""
    path = next(p for p in zoo_configs() if p.name == PUBLISHED)
    assert runpy.run_path(str(path))["main_config"] == {"env": {"map_name": "MMM"}}
    published, cell = compile_all(path).cfg, MapCell(map="MMM", algo="published", env_steps=1).compile().cfg
    assert cell.policy == published.policy
    assert cell.env.start_jitter == published.env.start_jitter == 0


@pytest.mark.parametrize("name", ["MMM", "MMM2", "2s3z", "3s5z", "5m6m", "2c64zg", "3s5z3s6z"])
def test_names_that_users_of_di_engine_type(name):
    assert f"smac_{name}_qmix_config.py" in {p.name for p in QMIX}


@pytest.mark.parametrize("path", zoo_configs(), ids=lambda p: p.stem)
def test_config_states_only_what_differs(path):
    assert len(Path(path).read_text().splitlines()) < 60
