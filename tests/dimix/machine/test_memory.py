"""Memory that is kept, and sizes in words."""

import numpy as np
import pytest

from dimix.machine.memory import available_memory, format_bytes
from dimix.machine.scratch import Workspace


def test_workspace_keeps_its_memory():
    workspace = Workspace()
    large = workspace.view("a", (10, 8), np.float32)
    large[:] = 7
    small = workspace.view("a", (4, 5), np.int64)
    assert small.shape == (4, 5) and small.flags.c_contiguous
    assert np.shares_memory(large, small)
    assert not np.shares_memory(workspace.view("b", (4, 5), np.int64), small)
    assert workspace.view("a", (1000,), np.float32).shape == (1000,)
    assert workspace.view("a", (3, 0), np.float32).size == 0
    assert workspace.view("c", (), np.int64).shape == ()


@pytest.mark.parametrize(
    ("size", "text"), [(12, "12 B"), (1500, "1.5 kB"), (625_000, "625 kB"), (1.9e9, "1.9 GB"), (36.6e9, "36.6 GB")]
)
def test_format_bytes(size, text):
    assert format_bytes(size) == text


def test_available_memory_is_plausible():
    found = available_memory()
    assert found is None or 2**20 < found < 2**50
