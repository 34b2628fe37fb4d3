from __future__ import annotations

import pytest

from dimix.config.file import write_config

ROWS = """env_step,train_iter,train/loss,eval/battle_won,speed/env_steps_per_s
0,0,,0.0,
1000,8,0.5,,500.0
2000,16,0.25,0.5,1000.0
4000,32,0.125,1.0,
"""


@pytest.fixture
def run_folder(tmp_path):
    """Makes a run folder; keywords become its config, two underscores stand for a dot."""

    def make(name="run_seed0", text=ROWS, **config):
        folder = tmp_path / name
        (folder / "log").mkdir(parents=True)
        (folder / "log/metrics.csv").write_text(text)
        if config:
            tree: dict = {}
            for key, value in config.items():
                *branches, last = key.split("__")
                at = tree
                for branch in branches:
                    at = at.setdefault(branch, {})
                at[last] = value
            write_config(folder / "total_config.py", tree, {"env": {"type": "smac"}}, "A run.")
        return folder

    return make


@pytest.fixture
def won_folder(run_folder):
    """Makes a run folder from win rates, an evaluation each 1000 env steps from 0 on, 1000 steps a second."""

    def make(name, won, **config):
        rows = [f"{1000 * i},{i},{rate},{rate / 2},{10 * rate},1000.0" for i, rate in enumerate(won)]
        head = "env_step,train_iter,eval/battle_won,eval/battle_won_jitter,eval/ep_reward,speed/env_steps_per_s"
        return run_folder(name, "\n".join([head, *rows]) + "\n", **config)

    return make
