"""Values of other packages as Python's own, and what a file gives back."""

import ast
import enum
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dimix.machine.checkpoint_file import load_checkpoint, save_checkpoint
from dimix.machine.plain import plain, unwritable


class Optimizer(str, enum.Enum):
    ADAM = "adam"


class Size(enum.IntEnum):
    SMALL = 8


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("adam"), "adam"),
        (Optimizer.ADAM, "adam"),
        (Size.SMALL, 8),
        (np.array(3), 3),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (torch.tensor(2), 2),
        (torch.tensor([0.5]), [0.5]),
        ((1, np.int8(2)), [1, 2]),
        ({np.str_("a"): {"b": np.float64(1)}}, {"a": {"b": 1.0}}),
        (Path("maps/own.json"), str(Path("maps/own.json"))),
        (None, None),
    ],
)
def test_values_become_pythons_own(value, expected):
    found = plain(value)
    assert found == expected and type(found) is type(expected)
    assert ast.literal_eval(repr(found)) == expected and not list(unwritable(found))


@pytest.mark.parametrize(
    ("value", "key", "text"),
    [
        ({"a": [1, {2}]}, "a[1]", r"{2} (set) cannot be saved"),
        ({"a": {"b": float("nan")}}, "a.b", "nan cannot be saved. Use a finite number."),
        ({"a": np.longdouble(1)}, "a", "(longdouble) cannot be saved"),
        ({"a": np.float32}, "a", "(type) cannot be saved"),
        ({"a": {1: 2}}, "a.1", "the key 1 cannot be saved"),
        ({"a": {"items": 2}}, "a.items", "the key 'items' cannot be saved"),
    ],
)
def test_what_cannot_be_saved_is_named(value, key, text):
    ((found, said),) = unwritable(plain(value))
    assert found == key and text in said


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=3)
    | st.complex_numbers()
)
NUMPY = st.sampled_from([np.float32(1.5), np.int8(-3), np.bool_(False), np.arange(3), np.datetime64("2020-01-01")])
KEYS = st.text(max_size=4) | st.sampled_from(["items", "keys"]) | st.integers()


@given(st.recursive(LEAVES | NUMPY, lambda t: st.lists(t, max_size=3) | st.dictionaries(KEYS, t, max_size=3)))
def test_what_is_not_named_comes_back_as_it_was(tmp_path_factory, tree):
    """From the text of a config file, and from a checkpoint."""
    tree = plain({"tree": tree})
    if not list(unwritable(tree)):
        assert ast.literal_eval(repr(tree)) == tree
        path = tmp_path_factory.getbasetemp() / "tree.pth.tar"
        save_checkpoint(path, tree)
        assert repr(load_checkpoint(path)) == repr(tree)
