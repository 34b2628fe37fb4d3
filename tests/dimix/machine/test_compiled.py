"""Kernels where numba's cache has a folder to be written to, and where it has none."""

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
        "from dimix.model.kernels.entities import entity_kernels\n"
        "gru_kernels(8), entity_kernels(4, False, 8)\n"
        "from dizoo.smac.envs.smac_env import SMACEnv\n"
        "print(SMACEnv.compile_notice())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "at every start" in out.stdout and "NUMBA_CACHE_DIR" in out.stdout
