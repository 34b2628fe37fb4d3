"""A disk that fills up while training: a clear error, and the earlier checkpoint can still be resumed."""

from __future__ import annotations

import json
import re

import pytest

resource = pytest.importorskip("resource", reason="file size limits exist on POSIX only")

CONFIG = """
main_config = dict(
    env=dict(map_name="two_step"),
    policy=dict(
        model=dict(hidden_size_list=[8], mixer_embed_dim=4, hypernet_embed_dim=4),
        learn=dict(update_per_collect=1, batch_size=8),
        collect=dict(n_episode=8),
        other=dict(replay_buffer=dict(replay_buffer_size=100_000)),
    ),
    run=dict(tensorboard=False, checkpoint_interval_s=1e-6),
)
create_config = dict(env=dict(type="matrix_game"), policy=dict(type="qmix"))
"""


def test_checkpoint_that_does_not_fit_leaves_the_one_before(tmp_path, dimix):
    (tmp_path / "tiny_config.py").write_text(CONFIG)
    train = ("-m", "serial", "-c", "tiny_config.py", "--exp-name")
    assert dimix(*train, "small", "--env-step", 100).returncode == 0
    size = (tmp_path / "small/ckpt/latest.pth.tar").stat().st_size
    limit = size + 100_000  # no file may grow larger: what a full disk does, for this process alone
    full = dimix(
        *(*train, "run", "--env-step", 10**7),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert full.returncode == 1
    assert re.search(r"OutputError: .*cannot be written: .*", full.stderr), full.stderr
    assert "Traceback" not in full.stderr
    resumed = dimix("-m", "serial", "--resume", "run", "--env-step", 1)
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads((tmp_path / "run/result.json").read_text())["env_step"] > 100
