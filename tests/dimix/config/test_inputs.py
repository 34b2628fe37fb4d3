"""What a run reads besides its config: found, copied, found again, and told from something else."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dimix.config.inputs import RunInput, find_changes, find_strays, from_origin, keep_inputs, read_inputs, use_kept
from dimix.errors import ConfigError, OutputError


def inputs_of(files, *modules):
    env_class = SimpleNamespace(input_files=lambda env: files)
    return read_inputs(env_class, {"env": {}, "create_config": {"policy": {"import_names": list(modules)}}})


def written(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def fresh_imports(monkeypatch):
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


FILES = st.dictionaries(st.text("abc/", min_size=1), st.binary(max_size=3), min_size=1)


@given(FILES, FILES)
def test_a_digest_tells_every_content_and_name_but_not_the_folder(files, others):
    digests = [RunInput("env.map_name", Path(folder), files).digest for folder in ("x", "y")]
    assert digests[0] == digests[1]
    other = RunInput("env.map_name", Path("x"), others).digest
    assert (other == digests[0]) == (list(files.items()) == list(others.items()))


def test_files_keep_their_places_to_the_one_that_a_key_names(tmp_path):
    own = written(tmp_path / "maps/m.json", "map")
    below, elsewhere = written(tmp_path / "maps/units/a.json", "a"), written(tmp_path / "units/b.json", "b")
    (found,) = inputs_of({"map_name": [own, below, elsewhere]})
    assert found.files == {
        "env.map_name/m.json": b"map", "env.map_name/b.json": b"b", "env.map_name/units/a.json": b"a"
    }  # fmt: skip
    assert (found.name, found.path, found.place) == ("env.map_name", own, "env.map_name/m.json")
    keep_inputs([found], tmp_path / "run")
    kept = tmp_path / "run/inputs/env.map_name"
    (again,) = inputs_of({"map_name": [kept / "m.json", kept / "b.json", kept / "units/a.json"]})
    assert again.digest == found.digest and again.files == found.files


def test_two_files_with_one_name_cannot_lie_side_by_side(tmp_path):
    own, other = written(tmp_path / "a/m.json"), written(tmp_path / "b/m.json")
    with pytest.raises(ConfigError, match=r"env.map_name: .*a/m.json, .*b/m.json: two with one name. Rename one."):
        inputs_of({"map_name": [own, other]})


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match=r"env.map_name: .*m.json: cannot be read \(No such file or directory\)."):
        inputs_of({"map_name": [tmp_path / "m.json"]})


def test_modules_are_those_of_the_users_own_with_what_they_import(tmp_path, fresh_imports):
    sys.path.append(str(tmp_path))
    written(tmp_path / "own_policy.py", "import json\nimport torch\nfrom own_parts.mixers import sum_mixer\n")
    written(tmp_path / "own_parts/__init__.py", "NAME = 'parts'\n")
    written(tmp_path / "own_parts/mixers.py", "from . import numbers_of\nfrom own_parts import NAME\nsum_mixer = 1\n")
    written(tmp_path / "own_parts/numbers_of.py", "from dimix.policy import QMIXPolicy\n")
    written(tmp_path / "own_parts/unused.py")
    importlib.import_module("own_policy")
    importlib.import_module("own_parts.unused")
    found = inputs_of({}, "own_policy", "dimix.policy.qmix", "numpy", "json", "sys")
    assert {i.name: i.place for i in found} == {
        "own_parts": "modules/own_parts/__init__.py",
        "own_parts.mixers": "modules/own_parts/mixers.py",
        "own_parts.numbers_of": "modules/own_parts/numbers_of.py",
        "own_policy": "modules/own_policy.py",
    }
    assert all(i.is_module and i.path == tmp_path / i.place.removeprefix("modules/") for i in found)


def test_copies_are_used_and_what_differs_from_them_is_told(tmp_path, fresh_imports):
    own, run = written(tmp_path / "m.json", "map"), tmp_path / "run"
    inputs = inputs_of({"map_name": [own]})
    saved = {i.name: i.entry() for i in inputs}
    assert use_kept(saved, run) == []  # a checkpoint without its run folder
    keep_inputs(inputs, run)
    assert use_kept(saved, run) == [f"env.map_name={run}/inputs/env.map_name/m.json"]
    assert find_changes(saved, inputs) == find_strays(saved, run) == []

    own.write_text("another map")
    assert find_strays(saved, run) == [
        f"env.map_name: {own} has changed since; the run keeps to its copy {run}/inputs/env.map_name/m.json"
    ]
    now = inputs_of({"map_name": [own]})
    assert find_changes(saved, now) == [f"env.map_name: {own} is not what the run read ({own} then)"]
    assert find_changes(saved, []) == [f"env.map_name: no file is not what the run read ({own} then)"]

    kept = inputs_of({"map_name": [run / "inputs/env.map_name/m.json"]})
    assert from_origin(kept, saved)[0].entry() == saved["env.map_name"]
    keep_inputs(now, run)
    assert (run / "inputs/env.map_name/m.json").read_text() == "map"  # a copy is never written over


def test_a_place_that_takes_no_copies(tmp_path):
    inputs = inputs_of({"map_name": [written(tmp_path / "m.json")]})
    written(tmp_path / "run/inputs")
    with pytest.raises(OutputError, match=r"run/inputs/env.map_name/m.json: cannot be written"):
        keep_inputs(inputs, tmp_path / "run")
