"""Whole runs on games that are played one at a time: same seed, same run, however they are played or cut."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dimix.config.compile import compile_all
from dimix.entry import serial_pipeline
from dimix.registry import ENV_REGISTRY

sys.path.append(str(Path(__file__).resolve().parents[1] / "envs"))

from counting_game import CountingGame, UnsavedGame  # noqa: E402

ENV_REGISTRY.register("counting")(CountingGame)
ENV_REGISTRY.register("counting_unsaved")(UnsavedGame)


@pytest.fixture
def train(tmp_path, game_config):
    """Train so many env steps into a folder; keyword arguments change the env branch."""

    def run(name, env_step, resume=None, type="counting", out=str, **env):
        main, create = game_config()
        main["env"] = dict(collector_env_num=3, evaluator_env_num=2, n_evaluator_episode=3, **env)
        main["run"]["env_step"] = env_step
        create["env"] = dict(type=type)
        folder = str(tmp_path / name)
        return serial_pipeline((main, create), seed=1, exp_name=folder, resume=folder if resume else None, out=out)

    return run


def test_resumed_equals_uninterrupted_whoever_plays(train, runs, tmp_path):
    base, processes = dict(manager=dict(type="base")), dict(manager=dict(worker_num=2))
    train("whole", 400, **base)
    train("cut", 200, **base)
    train("cut", 400, resume=True, **base)
    train("processes", 400, **processes)
    for other in ("cut", "processes"):
        assert runs.rows(tmp_path / other) == runs.rows(tmp_path / "whole")
        runs.assert_same(runs.state_of(tmp_path / other), runs.state_of(tmp_path / "whole"))


def test_games_that_cannot_be_saved_are_told_and_counted_at_a_resume(train, runs, tmp_path):
    said = []
    train("run", 200, type="counting_unsaved", manager=dict(type="base"))
    train("run", 400, resume=True, type="counting_unsaved", manager=dict(type="base"), out=said.append)
    assert "  3 running training episodes could not be restored; their games start anew" in said
    assert [float(r["rollout/episodes_lost"]) for r in runs.rows(tmp_path / "run") if r["train/loss"]][-1] == 3


def test_failures_of_a_run_are_counted_and_told(train, runs, tmp_path):
    (tmp_path / "fault").touch()
    fault, said = dict(fault="die", fault_step=3, fault_file=str(tmp_path / "fault")), []
    result = train("run", 300, manager=dict(worker_num=1), out=said.append, **fault)
    assert result.reason == "env_step"
    lost = [float(r["rollout/episodes_lost"]) for r in runs.rows(tmp_path / "run") if r["train/loss"]]
    assert lost and set(lost) <= {0.0, 3.0}  # a process of the evaluation may have been the one that died
    assert "counting: game 0 is started anew: its process ended (exit status 7)" in said


def test_keys_of_di_engines_manager(game_config):
    main, create = game_config()
    main["env"] = dict(manager=dict(shared_memory=False, reset_timeout=6000, wait_num=3))
    create["env"], create["env_manager"] = dict(type="counting"), dict(type="subprocess")
    compiled = compile_all((main, create))
    assert compiled.cfg.env.manager.reset_timeout == 6000.0
    assert sorted(note.split(":")[0] for note in compiled.notes) == [
        "create_config.env_manager",
        "env.manager.shared_memory",
        "env.manager.wait_num",
    ]
    with pytest.raises(Exception, match="env.manager.retry_type .*'again'. Use one of 'reset', 'renew'"):
        main["env"]["manager"]["retry_type"] = "again"
        compile_all((main, create))
