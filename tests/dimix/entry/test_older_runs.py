"""Runs of earlier versions, in tests/data/runs: they load, evaluate and go on.

Made by the revision before runs kept their inputs, by 456 steps of 3m (``qmix_3m``) and 420 with set-reading agents,
prioritised windows and scaled rewards (``equivariant_per_3m``), both made small; and by 0.2.0, 400 steps of drawn
battles against two opponents (``drawn_opponents``).
"""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch

from dimix.entry import eval_pipeline, serial_pipeline
from dimix.machine.checkpoint_file import load_checkpoint

OLD = Path(__file__).resolve().parents[2] / "data/runs"


@pytest.fixture(params=sorted(p.name for p in OLD.iterdir()))
def run(request, tmp_path):
    return shutil.copytree(OLD / request.param, tmp_path / request.param)


def test_an_older_run_goes_on(run):
    before = json.loads((run / "result.json").read_text())
    result = serial_pipeline(None, resume=run, env_step=before["env_step"] + 100, out=lambda text: None)
    assert result.reason == "env_step" and result.env_step >= before["env_step"] + 100
    assert result.train_iter > before["train_iter"] and result.episode_count > before["episode_count"]
    head, *rows = csv.reader((run / "log/metrics.csv").open())
    assert int(rows[-1][0]) == result.env_step and {len(row) for row in rows} == {len(head)}
    last = dict(zip(head, rows[-1], strict=True))
    assert all(float(last[name]) == value for name, value in result.evaluation.items() if name in head)


def test_an_older_run_loads_every_weight_it_saved(run):
    saved = load_checkpoint(run / "ckpt/latest.pth.tar")["rooms"]["policy"]["learn"]["model"]
    steps = json.loads((run / "result.json").read_text())["env_step"]
    serial_pipeline(None, resume=run, env_step=steps, out=lambda text: None)  # nothing left to train
    loaded = load_checkpoint(run / "ckpt/latest.pth.tar")["rooms"]["policy"]["learn"]["model"]
    assert saved.keys() == loaded.keys()
    assert all(torch.equal(saved[name], loaded[name]) for name in saved)


def test_an_older_team_plays(run):
    summary = eval_pipeline(load_path=run / "ckpt/latest.pth.tar", n_episode=4, out=lambda text: None)
    assert summary.nominal.games_played == 4
    assert summary.jitter is None if summary.nominal.by_label else summary.jitter.games_played == 4
