"""Weights & Biases with the real package, offline: what is sent, and that it changes nothing."""

from __future__ import annotations

import importlib.util
import json
import struct
import sys

import pytest

from dimix.callbacks import WandbLog
from dimix.entry import serial_pipeline
from dimix.errors import ConfigError

OPTIONS = ["run.callbacks.wandb.mode='offline'", "run.callbacks.wandb.project='games'"]
real = pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="needs the extra wandb")


def records(path):
    """The serialized records of a ``.wandb`` file: a log as LevelDB writes it, in blocks of 32 KiB, after 7 bytes."""
    data, at, whole = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:  # no room for a header: the rest of the block is padding
            at += left
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)  # behind four bytes of checksum
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a full record, or the last part of one
            yield whole
            whole = b""


def sent(folder):
    """(run id, config, rows) of each offline run's file."""
    from wandb.proto import wandb_internal_pb2

    found = []
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        run_id, config, rows = None, {}, []
        for data in records(path):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            if record.WhichOneof("record_type") == "run":
                run_id = record.run.run_id
                config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
            elif record.WhichOneof("record_type") == "history":
                items = record.history.item
                rows.append({i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in items})
        found.append((run_id, config, rows))
    return found


@real
def test_offline_runs_hold_every_row_and_one_id(tmp_path, game_config, rows_of):
    """A run and its resume, without a network: each row of the CSV is there."""
    quiet = dict(out=lambda line: None)
    serial_pipeline(game_config(), 0, exp_name=str(tmp_path / "run"), env_step=32, overrides=OPTIONS, **quiet)
    serial_pipeline(None, resume=tmp_path / "run", env_step=64, **quiet)
    serial_pipeline(game_config(), 0, exp_name=str(tmp_path / "plain"), env_step=64, **quiet)
    (first_id, config, first), (second_id, _, second) = sent(tmp_path / "run")
    assert first_id == second_id
    assert config["env"]["map_name"] == "two_step" and config["seed"] == 0
    table = rows_of(tmp_path / "run")
    assert table == rows_of(tmp_path / "plain")
    rows = {(r["env_step"], r["train_iter"], r.get("train/loss"), r.get("eval/ep_reward")) for r in first + second}
    number = {name: lambda text: float(text) if text else None for name in ("train/loss", "eval/ep_reward")}
    assert {
        (int(r["env_step"]), int(r["train_iter"]), *(read(r[name]) for name, read in number.items())) for r in table
    } <= rows


def test_missing_package_is_said_before_anything_is_written(tmp_path, game_config, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"run.callbacks.wandb: .* is missing. Run: pip install 'dimix\[wandb\]'"):
        serial_pipeline(game_config(), 0, exp_name=str(tmp_path / "run"), overrides=OPTIONS, out=lambda line: None)
    assert not (tmp_path / "run").exists()


def test_a_folder_of_that_name_is_not_the_package(tmp_path, monkeypatch):
    """W&B writes into ./wandb, which Python would import as an empty package."""
    (tmp_path / "wandb").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    with pytest.raises(ConfigError, match="is missing"):
        WandbLog()
