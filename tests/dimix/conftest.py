"""Reading what runs left behind, and comparing it bit for bit."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dimix.machine.checkpoint_file import load_checkpoint
from tests.dimix.toys import toy_env, toy_input, toy_policy  # noqa: F401 (fixtures)


def rows(folder) -> list[dict[str, str]]:
    """The CSV without its columns of speed."""
    with open(Path(folder) / "log/metrics.csv", newline="") as file:
        return [{k: v for k, v in row.items() if not k.startswith("speed/")} for row in csv.DictReader(file)]


def leaves(tree, prefix=""):
    """All values of a checkpoint with their places, but for those that measure time."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key not in ("seconds", "exp_name", "logger", "run_folder"):
                yield from leaves(value, f"{prefix}/{key}")
    elif isinstance(tree, (list, tuple)):
        for i, value in enumerate(tree):
            yield from leaves(value, f"{prefix}/{i}")
    else:
        yield prefix, tree


def assert_same(first, second):
    """Two checkpoints hold the same, bit for bit."""
    one, two = dict(leaves(first)), dict(leaves(second))
    assert one.keys() == two.keys()
    for place, value in one.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, two[place]), place
        elif isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, two[place], err_msg=place)
        elif "run/env_step" not in place:
            assert value == two[place] or (value != value and two[place] != two[place]), place


def state_of(folder):
    content = load_checkpoint(Path(folder) / "ckpt/latest.pth.tar")
    return {"rooms": content["rooms"], "run": content["run"]}


@pytest.fixture
def runs() -> SimpleNamespace:
    """Functions ``rows(folder)``, ``state_of(folder)``, ``assert_same(state, state)``."""
    return SimpleNamespace(rows=rows, state_of=state_of, assert_same=assert_same)
