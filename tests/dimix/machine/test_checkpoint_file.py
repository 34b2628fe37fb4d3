"""Checkpoints: exact, whole or absent, and honest about what is wrong with a file."""

import http
import os
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
import pytest
import torch

from dimix.errors import CheckpointError, OutputError
from dimix.machine import checkpoint_file as checkpoint
from dimix.machine import files
from dimix.machine.checkpoint_file import load_checkpoint, save_checkpoint


def test_everything_comes_back_as_it_was(tmp_path):
    content = {
        "numbers": [1, 2.5, True, None, "text", 2**127 + 1],
        "pair": (1, [2, (3,)]),
        "tensors": OrderedDict(a=torch.arange(6).view(2, 3), b=torch.tensor(1.5)),
        "arrays": {name: np.arange(6).reshape(2, 3).astype(name) for name in ("u1", "u2", "u4", "i8", "f4", "f8", "?")},
        "empty": np.zeros((0, 4), np.float32),
        "scalar_array": np.array(3.0),
        "strided": np.arange(10)[::3],
        "numpy_number": np.float32(0.5),
        "rng": np.random.default_rng(3).bit_generator.state,
        7: {"int key": 1},
    }
    save_checkpoint(tmp_path / "sub" / "a.tar", content)
    loaded = load_checkpoint(tmp_path / "sub" / "a.tar")
    assert list(loaded) == list(content)
    for name in ("numbers", "pair", "rng", "numpy_number", 7):
        assert loaded[name] == content[name]
    for name, array in content["arrays"].items():
        assert loaded["arrays"][name].dtype == array.dtype
        np.testing.assert_array_equal(loaded["arrays"][name], array)
    for name in ("empty", "scalar_array", "strided"):
        assert loaded[name].shape == content[name].shape
        np.testing.assert_array_equal(loaded[name], content[name])
    assert torch.equal(loaded["tensors"]["a"], content["tensors"]["a"])
    assert os.listdir(tmp_path / "sub") == ["a.tar"]


class Text(str):
    """A text that a pickle would name by its class."""


class Pair(NamedTuple):
    first: int
    second: str


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Text("a"), "a"),
        (np.str_("a"), "a"),
        (http.HTTPStatus.OK, 200),
        ({np.int64(3): Text("a")}, {3: "a"}),
        (Pair(1, Text("a")), (1, "a")),
        (torch.nn.Parameter(torch.ones(2)), torch.ones(2)),
    ],
)
def test_subclasses_are_saved_as_what_the_safe_loader_reads(tmp_path, value, expected):
    save_checkpoint(tmp_path / "a.pth.tar", {"value": value})
    assert repr(load_checkpoint(tmp_path / "a.pth.tar")["value"]) == repr(expected)


def test_the_earlier_file_is_kept_under_its_own_name(tmp_path):
    path, previous = tmp_path / "latest.tar", tmp_path / "previous.tar"
    for number in range(3):
        save_checkpoint(path, {"number": number}, previous)
    assert load_checkpoint(path)["number"] == 2
    assert load_checkpoint(previous)["number"] == 1
    assert sorted(os.listdir(tmp_path)) == ["latest.tar", "previous.tar"]


@pytest.mark.parametrize("name", ["replace", "fsync"])
def test_a_failing_disk_leaves_the_earlier_checkpoint(tmp_path, monkeypatch, name):
    path = tmp_path / "a.tar"
    save_checkpoint(path, {"number": 1})

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, name, fail)
    with pytest.raises(OutputError, match="a.tar cannot be written: No space left on device; the earlier checkpoint"):
        save_checkpoint(path, {"number": 2})
    assert load_checkpoint(path)["number"] == 1
    assert os.listdir(tmp_path) == ["a.tar"]


def test_a_full_disk_reported_by_torch(tmp_path, monkeypatch):
    def fail(*args):
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0\nmore")

    monkeypatch.setattr(checkpoint.torch, "save", fail)
    with pytest.raises(OutputError, match="unexpected pos 64 vs 0; no checkpoint is there"):
        save_checkpoint(tmp_path / "a.tar", {})
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="a.tar cannot be written"):
        save_checkpoint(tmp_path / "file" / "a.tar", {})


def test_contents_that_cannot_be_saved_are_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"content policy.model\[1\]: object. Right: tensors"):
        save_checkpoint(tmp_path / "a.tar", {"policy": {"model": [1, object()]}})
    with pytest.raises(CheckpointError, match="content x: array of objects"):
        save_checkpoint(tmp_path / "a.tar", {"x": np.array([None])})
    assert os.listdir(tmp_path) == []


def test_missing_files_name_what_is_there(tmp_path):
    save_checkpoint(tmp_path / "best.tar", {})
    with pytest.raises(CheckpointError, match="no checkpoint .*lastest.tar. Others there: best.tar"):
        load_checkpoint(tmp_path / "lastest.tar")


@pytest.mark.parametrize("keep", [0, 10, 1000, -100])
def test_cut_off_files(tmp_path, keep):
    path = tmp_path / "a.tar"
    save_checkpoint(path, {"x": torch.arange(1000)})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="a.tar: .*(damaged|cut off)"):
        load_checkpoint(path)


def test_flipped_bits_are_found(tmp_path):
    path = tmp_path / "a.tar"
    save_checkpoint(path, {"x": torch.arange(1000)})
    data = bytearray(path.read_bytes())
    at = data.index(torch.arange(1000).numpy().tobytes()[800:1600])  # in the middle of the tensor
    data[at + 100] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(path)


def test_foreign_files(tmp_path):
    path = tmp_path / "a.tar"
    path.write_text("not a checkpoint at all, but long enough to look at")
    with pytest.raises(CheckpointError, match="a.tar: .*damaged"):
        load_checkpoint(path)
    torch.save({"model": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="not written by dimix"):
        load_checkpoint(path)
    torch.save(test_foreign_files, path)
    with pytest.raises(CheckpointError, match="safe loader refuses"):
        load_checkpoint(path)
    torch.save({"format": checkpoint.FORMAT, "version": 99, "content": {}}, path)
    with pytest.raises(CheckpointError, match="version 99. This dimix reads up to 1"):
        load_checkpoint(path)
