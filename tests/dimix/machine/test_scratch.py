"""Memory that is kept."""

import numpy as np

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
