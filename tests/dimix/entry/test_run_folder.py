"""Run folders: never shared, found again, explained."""

import os
import shlex

import pytest

from dimix.entry.run_folder import RunFolder
from dimix.errors import CheckpointError, OutputError


def saved(path, age):
    folder = RunFolder.create(path)
    folder.latest.write_bytes(b"x")
    os.utime(folder.latest, (1e9 - age, 1e9 - age))
    return folder.path


def test_second_run_gets_a_folder_of_its_own(tmp_path):
    assert RunFolder.create(tmp_path / "a/seed0").path == tmp_path / "a/seed0"
    assert RunFolder.create(tmp_path / "a/seed0").path == tmp_path / "a/seed0_2"
    assert RunFolder.create(tmp_path / "a/seed0").path == tmp_path / "a/seed0_3"


def test_last_run_is_the_one_saved_last(tmp_path):
    first, second = saved(tmp_path / "run", age=5), saved(tmp_path / "run", age=9)
    saved(tmp_path / "run10", age=0)  # another run's name, not a second run of this one
    (tmp_path / "run_3").mkdir()  # never saved anything
    assert (first.name, second.name) == ("run", "run_2")
    assert RunFolder.last_of(tmp_path / "run") == first


def test_no_run_to_resume(tmp_path):
    with pytest.raises(CheckpointError, match="no run with a checkpoint at .*run. Start one without --resume"):
        RunFolder.last_of(tmp_path / "run")
    with pytest.raises(CheckpointError, match="no such folder"):
        RunFolder.open(tmp_path / "run")
    RunFolder.create(tmp_path / "run")
    with pytest.raises(CheckpointError, match="no ckpt/latest.pth.tar in it, the run never saved one"):
        RunFolder.open(tmp_path / "run")


def test_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Give another place with --exp-name"):
        RunFolder.create(tmp_path / "file/run")


def test_two_processes_cannot_train_in_one_folder(tmp_path):
    one = RunFolder.create(tmp_path / "run")
    other = RunFolder(one.path)
    one.lock()
    with pytest.raises(OutputError, match="another process is training there"):
        other.lock()
    one.unlock()
    other.lock()
    other.unlock()


def test_explanation_names_what_is_there(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    assert f"dimix -m eval --load-path {folder.final} -n 100" in folder.explain()
    assert "--resume" not in folder.explain()
    folder.best.write_bytes(b"")
    folder.latest.write_bytes(b"")
    text = folder.explain()
    assert f"dimix -m eval --load-path {folder.best} -n 100" in text
    assert f"tensorboard --logdir {folder.log}" in text
    assert f"dimix -m serial --resume {folder.path}" in text
    assert "previous.pth.tar" not in text and len(text.splitlines()) < 15
    folder.previous.write_bytes(b"")
    assert "latest.pth.tar  everything, to resume; previous.pth.tar: the one before" in folder.explain()


def test_printed_commands_can_be_pasted(tmp_path):
    folder = RunFolder.create(tmp_path / "it's a run; $HOME")
    folder.latest.write_bytes(b"")
    commands = [line.partition("  ")[2].strip() for line in folder.explain().splitlines() if "dimix -m" in line]
    assert [shlex.split(c)[3:5] for c in commands] == [
        ["--load-path", str(folder.final)],
        [str(folder.path), "-o"],
        ["--resume", str(folder.path)],
    ]


@pytest.mark.parametrize(("count", "left"), [(2, ["latest", "previous"]), (1, ["latest"]), (0, [])])
def test_resume_checkpoints_that_stay(tmp_path, count, left):
    folder = RunFolder.create(tmp_path / "run")
    folder.latest.write_bytes(b"")
    folder.previous.write_bytes(b"")
    folder.keep_resumable(count)
    assert sorted(p.name for p in folder.ckpt.iterdir()) == [f"{name}.pth.tar" for name in left]
