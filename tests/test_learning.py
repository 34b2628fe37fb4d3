"""The command line trains a team that wins: 3m, from nothing, on the engine itself."""

from __future__ import annotations

import json
import re

import pytest

HANGS_S = 1800  # no measure of speed: a busy machine takes long


@pytest.mark.learning
def test_3m_is_won(tmp_path, dimix, training_seed):
    done = dimix(
        *("-m", "serial", "-c", "dizoo/smac/config/smac_3m_qmix_config.py", "-s", training_seed),
        *("-o", "env.stop_value=0.9", "-o", "run.tensorboard=False", "--env-step", 400_000),
        timeout=HANGS_S,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / f"smac_3m_qmix_result/seed{training_seed}/result.json").read_text())
    assert result["reason"] == "stop_value"
    assert result["score"] >= 0.9
    played = dimix("-m", "eval", "--load-path", f"smac_3m_qmix_result/seed{training_seed}/ckpt/best.pth.tar", "-n", 64)
    won = re.search(r"nominal start: won (\d+) of 64 games", played.stdout)
    assert won is not None and int(won.group(1)) >= 0.9 * 64
