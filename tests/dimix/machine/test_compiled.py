"""Kernels where numba's cache has a folder to be written to, and where it has none."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from numba.core import caching

from dimix.machine.compiled import compiled


def _twice(values, out):
    for i in range(len(values)):
        out[i] = 2 * values[i]


@pytest.mark.parametrize("kept", [True, False])
def test_compiles_with_and_without_a_place_for_the_cache(kept, monkeypatch, tmp_path):
    if kept:
        monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    else:
        monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    twice = compiled(error_model="numpy")(_twice)
    out = np.zeros(3)
    twice(np.arange(3.0), out)
    assert out.tolist() == [0, 2, 4]
    assert any(tmp_path.rglob("*.nbi")) == kept
    assert (twice.stats.cache_path is not None) == kept


def test_imports_and_says_so_where_nothing_can_be_kept():
    code = (
        "from numba.core import caching\n"
        "caching.CacheImpl._locator_classes = []\n"
        "import dimix.cli, dimix.entry\n"
        "from dimix.model.kernels.gru_kernels import gru_kernels\n"
        "from dimix.model.kernels.entity_kernels import entity_kernels\n"
        "gru_kernels(8, 8), entity_kernels(4, False, 8)\n"
        "from dizoo.smac.envs.smac_env import SMACEnv\n"
        "print(SMACEnv.compile_notice())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "at every start" in out.stdout and "NUMBA_CACHE_DIR" in out.stdout


def test_refuses_helpers_that_would_defeat_the_cache():
    helper = numba.njit(_twice)

    def kernel(values, out):
        helper(values, out)

    with pytest.raises(TypeError, match="kernel calls a compiled function of an enclosing function"):
        compiled()(kernel)


def test_a_second_process_finds_the_networks_kernels(tmp_path):
    code = (
        "import numpy as np\n"
        "from dimix.model.kernels.entity_kernels import entity_kernels\n"
        "zeros = lambda *shape: np.zeros(shape, np.float32)\n"
        "sums = entity_kernels(2, False, 4).sums\n"
        "sums(zeros(3, 4), 0, 2, -1, np.zeros(0, np.int64), zeros(4, 2), zeros(4), zeros(3, 4))\n"
        "print(sum(sums.stats.cache_hits.values()))"
    )
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    hits = [
        subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert [int(text) for text in hits] == [0, 1]
