"""Metrics: one record reaches CSV, TensorBoard and progress line, and a resume leaves no seam."""

import csv
import struct

import pytest
from tensorboardX.proto.event_pb2 import Event

from dimix.errors import CheckpointError, OutputError
from dimix.machine.text import short
from dimix.worker.logger import METRICS, MetricLogger, label_metrics


def rows_of(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def events_of(folder):
    """(tag, step, value) of all scalars, in the order written."""
    found = []
    for path in sorted(folder.glob("events.*")):
        data = path.read_bytes()
        while data:  # record: length, crc, payload, crc
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            found += [(v.tag, event.step, v.simple_value) for v in event.summary.value]
            data = data[12 + length + 4 :]
    return found


def test_a_record_is_a_row_and_an_event(tmp_path):
    logger = MetricLogger(tmp_path, ["train/extra"])
    logger.record(100, 3, {"train/loss": 1 / 3, "train/extra": 2})
    logger.record(200, 5, {"eval/battle_won": 0.5})
    logger.close()
    first, second = rows_of(tmp_path)
    assert list(first) == ["env_step", "train_iter", *METRICS, "train/extra"]
    assert (first["env_step"], first["train_iter"], first["train/extra"]) == ("100", "3", "2.0")
    assert float(first["train/loss"]) == 1 / 3  # all digits
    assert (second["train/loss"], second["eval/battle_won"]) == ("", "0.5")
    assert events_of(tmp_path) == [
        ("train/loss", 100, pytest.approx(1 / 3)),
        ("train/extra", 100, 2.0),
        ("eval/battle_won", 200, 0.5),
    ]


def test_rows_are_on_disk_at_once(tmp_path):
    logger = MetricLogger(tmp_path, tensorboard=False)
    logger.record(1, 0, {"train/loss": 1.0})
    assert len(rows_of(tmp_path)) == 1
    assert not list(tmp_path.glob("events.*"))


def test_resume_drops_what_came_after_the_checkpoint(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"

    def play(logger, steps):
        for step in steps:
            logger.record(step, step // 2, {"train/loss": step / 7})

    logger = MetricLogger(whole)
    play(logger, range(0, 60, 10))
    logger.close()

    logger = MetricLogger(broken)
    play(logger, range(0, 30, 10))
    state = logger.state_dict()
    play(logger, range(30, 50, 10))
    logger._file.write(b"40,20,0.5")  # killed in the middle of a row
    logger.flush()
    resumed = MetricLogger(broken)
    resumed.load_state_dict(state)
    assert resumed.latest == {"train/loss": 20 / 7}
    play(resumed, range(30, 60, 10))
    resumed.close()
    assert (broken / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()


def test_resume_before_the_first_record(tmp_path):
    logger = MetricLogger(tmp_path, tensorboard=False)
    state = logger.state_dict()
    logger.record(1, 0, {"train/loss": 1.0})
    resumed = MetricLogger(tmp_path, tensorboard=False)
    resumed.load_state_dict(state)
    resumed.record(2, 0, {"train/loss": 2.0})
    assert [row["env_step"] for row in rows_of(tmp_path)] == ["2"]


def test_two_resumes_from_one_state(tmp_path):
    logger = MetricLogger(tmp_path, tensorboard=False)
    logger.record(1, 0, {"train/loss": 1.0})
    state = logger.state_dict()
    resumed = MetricLogger(tmp_path, tensorboard=False)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state  # saved again before anything was recorded


def test_a_missing_csv_is_told(tmp_path):
    logger = MetricLogger(tmp_path, tensorboard=False)
    logger.record(1, 0, {"train/loss": 1.0})
    state = logger.state_dict()
    (tmp_path / "metrics.csv").write_text("env_step\n")
    with pytest.raises(CheckpointError, match="metrics.csv: 9 bytes. Right is at least"):
        MetricLogger(tmp_path).load_state_dict(state)


def test_unknown_metrics_and_unwritable_folders(tmp_path):
    with pytest.raises(OutputError, match="metric 'train/los': no such column"):
        MetricLogger(tmp_path).record(1, 0, {"train/los": 1.0})
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="metrics.csv cannot be written"):
        MetricLogger(tmp_path / "file" / "log").record(1, 0, {"train/loss": 1.0})


def test_progress_line_by_hand(tmp_path):
    logger = MetricLogger(tmp_path, tensorboard=False, total_env_step=2_000_000)
    logger.record(
        120_000,
        50,
        {
            "eval/battle_won": 0.8125,
            "eval/battle_won_jitter": 0.4,
            "train/loss": 0.01234,
            "rollout/epsilon": 0.05,
        },
    )
    # (2,000,000 - 120,000) steps at 9,800 a second are 191.8 s
    assert logger.progress_line(120_000, 9_800.0) == (
        "env_step 120k/2.0M (6%) | 9.8k steps/s | ETA 3m12s | won 0.81 (jitter 0.40) | loss 0.0123 | eps 0.050"
    )
    may_win = MetricLogger(tmp_path / "c", tensorboard=False, total_env_step=2_000_000, may_end_sooner=True)
    assert may_win.progress_line(120_000, 9_800.0) == "env_step 120k/2.0M (6%) | 9.8k steps/s | ETA at most 3m12s"
    bare = MetricLogger(tmp_path / "b", tensorboard=False)
    assert bare.progress_line(950, None) == "env_step 950"


def test_progress_line_of_drawn_games_by_hand(tmp_path):
    """Wilson's interval of 80 won of 128 games is .54 to .70; each label has its own metrics."""
    logger = MetricLogger(tmp_path, tensorboard=False, is_drawn=True, labels=("near", "chase"))
    values = {"eval/battle_won": 0.625, "eval/games_won": 80, "eval/games_played": 128}
    logger.record(100, 5, {**values, "eval/battle_won_chase": 0.75, "eval/battle_won_near": 0.5})
    assert logger.progress_line(100, None) == "env_step 100 | won 0.62 [.54 .70] (near 0.50, chase 0.75)"
    logger.record(200, 5, {"eval/battle_won": 1.0, "eval/games_won": 128, "eval/games_played": 128})
    assert "won 1.00 [.97 1.00]" in logger.progress_line(200, None)
    head = (tmp_path / "metrics.csv").read_text().splitlines()[0]
    assert head.endswith(",".join(name for who in ("near", "chase") for name in label_metrics(who)))


def test_a_resumed_file_keeps_its_columns(tmp_path):
    """With a callback more than before, a metric has no column in the old file; nothing is written under another."""
    first = MetricLogger(tmp_path, ["mine"], tensorboard=False)
    first.record(100, 5, {"eval/battle_won": 0.5, "mine": 1.0})
    state = first.state_dict()
    first.close()
    second = MetricLogger(tmp_path, ["theirs", "mine"], tensorboard=False)
    second.load_state_dict(state)
    second.record(200, 6, {"theirs": 7.0, "mine": 2.0})
    second.close()
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert [row["mine"] for row in rows] == ["1.0", "2.0"] and not any("7.0" in row.values() for row in rows)
    assert all(None not in row for row in rows) and "theirs" not in rows[0]


def test_progress_line_where_nothing_is_won(tmp_path):
    logger = MetricLogger(tmp_path, tensorboard=False, has_win=False)
    logger.record(100, 5, {"eval/battle_won": 0.0, "eval/ep_reward": -12.345, "rollout/ep_reward": -20.0})
    assert logger.progress_line(100, None) == "env_step 100 | greedy return -12.35 | return -20.00"


def test_progress_is_printed_every_few_seconds(tmp_path):
    now, lines = [0.0], []
    logger = MetricLogger(tmp_path, tensorboard=False, interval_s=2, out=lines.append, clock=lambda: now[0])
    for step in range(0, 1100, 100):  # one call a second
        logger.progress(step)
        now[0] += 1
    assert lines == [f"env_step {short(s)} | 100 steps/s" for s in range(200, 1100, 200)]
    logger.progress(1000, force=True)
    assert lines[-1].startswith("env_step 1.0k")
