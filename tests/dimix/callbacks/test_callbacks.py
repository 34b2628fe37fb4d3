"""Callbacks: when each is called, what it may add, how the config names it, and that its state survives a resume."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dimix.callbacks import Callback, Callbacks
from dimix.config.compile import compile_config
from dimix.entry import serial_pipeline
from dimix.errors import ConfigError, TrainingError
from dimix.policy import QMIXPolicy
from dimix.registry import CALLBACK_REGISTRY


class Tape(Callback):
    """Writes down every moment, and counts updates across resumes."""

    metric_names = ("counted",)

    def __init__(self):
        self.calls, self.counted, self.result = [], 0, "nothing yet"

    def on_train_start(self, run):
        self.calls.append("train_start")

    def on_collect_end(self, run, stats):
        self.calls.append(("collect_end", run.env_step, stats.num_episodes))

    def on_update_start(self, run, batch):
        self.before = run.train_iter
        self.weight = next(run.policy.model.parameters()).clone()

    def on_update_end(self, run, batch, metrics):
        assert self.before == run.train_iter  # the counter moves when all is done
        assert not torch.equal(self.weight, next(run.policy.model.parameters()))
        assert batch.filled.shape[0] == run.cfg.policy.learn.batch_size and metrics["loss"] > 0
        self.counted += 1
        return {"counted": self.counted}

    def on_metrics(self, run, values):
        self.calls.append(("metrics", "eval" if "eval/ep_reward" in values else "round"))

    def on_eval_end(self, run, values):
        self.calls.append(("eval_end", values["eval/games_played"]))

    def on_checkpoint(self, run, path):
        assert path.exists()
        self.calls.append("checkpoint")

    def on_train_end(self, run, result):
        self.calls.append("train_end")
        self.result = result

    def state_dict(self):
        return {"counted": self.counted}

    def load_state_dict(self, state):
        self.calls.append("load")
        self.counted = state["counted"]


class SaysStop(Callback):
    """Stops after some rounds."""

    config = dict(
        # (int) Rounds, >= 1.
        rounds=1,
    )

    def __init__(self, rounds=1):
        self.left = rounds

    def on_collect_end(self, run, stats):
        self.left -= 1

    def stop_reason(self, run):
        return "enough" if self.left == 0 else None


@pytest.fixture
def registered(monkeypatch):
    """`SaysStop` by the name says_stop, for one test."""
    monkeypatch.setitem(CALLBACK_REGISTRY._classes, "says_stop", SaysStop)


def train(config, folder, callbacks=(), **options):
    return serial_pipeline(config, 0, exp_name=str(folder), callbacks=callbacks, out=lambda line: None, **options)


def test_moments_come_in_order(tmp_path, game_config):
    tape = Tape()
    result = train(game_config(), tmp_path / "run", [tape], env_step=16)  # one round: 8 games of 2 steps
    assert tape.calls == [
        "train_start",
        "checkpoint",
        ("eval_end", 4),
        ("metrics", "eval"),
        ("collect_end", 16, 8),
        ("metrics", "round"),
        "checkpoint",
        ("eval_end", 4),
        ("metrics", "eval"),
        "train_end",
    ]
    assert tape.counted == result.train_iter == 2
    assert tape.result == result


def test_added_metrics_are_averaged_and_logged(tmp_path, game_config, rows_of):
    train(game_config(), tmp_path / "run", [Tape()], env_step=32)
    added = [float(row["train/counted"]) for row in rows_of(tmp_path / "run") if row["train/counted"]]
    assert added == [1.5, 3.5]  # updates 1 and 2, then 3 and 4


def test_added_metrics_become_numbers(tmp_path, game_config):
    class Counts(Callback):
        metric_names = ("tensor", "numpy")
        seen = ()

        def on_update_end(self, run, batch, metrics):
            return {"tensor": torch.tensor(2.0), "numpy": np.float32(0.5)}

        def on_metrics(self, run, values):
            self.seen += tuple(repr(values[f"train/{name}"]) for name in self.metric_names if "train/loss" in values)

    counts = Counts()
    train(game_config(), tmp_path / "run", [counts], env_step=16)
    assert counts.seen == ("2.0", "0.5")


def test_metrics_that_nobody_announced_are_refused(tmp_path, game_config):
    class Chatty(Callback):
        def on_update_end(self, run, batch, metrics):
            return {"gossip": 1.0}

    with pytest.raises(TrainingError, match="on_update_end: metric 'gossip' is not announced. List it in metric_names"):
        train(game_config(), tmp_path / "run", [Chatty()])


def test_state_survives_a_resume_exactly(tmp_path, game_config, rows_of):
    train(game_config(), tmp_path / "once", [Tape()], env_step=160)
    train(game_config(), tmp_path / "twice", [Tape()], env_step=80)
    again = Tape()
    serial_pipeline(
        None, resume=tmp_path / "twice", env_step=160, callbacks=[again], out=lambda line: None
    )  # fmt: skip
    assert again.calls[:2] == ["load", "train_start"]
    assert again.counted == 20
    assert rows_of(tmp_path / "once") == rows_of(tmp_path / "twice")


def test_looking_on_changes_nothing(tmp_path, game_config, rows_of):
    train(game_config(), tmp_path / "alone")
    train(game_config(), tmp_path / "watched", [Tape()])
    rows = [{k: v for k, v in row.items() if k != "train/counted"} for row in rows_of(tmp_path / "watched")]
    assert rows == rows_of(tmp_path / "alone")


def test_only_overridden_moments_are_called():
    hooks = Callbacks([SaysStop(), Callback()])._hooks
    assert {name: len(found) for name, found in hooks.items() if found} == {"on_collect_end": 1, "stop_reason": 1}


def test_two_of_a_class_keep_their_own_states():
    first, second = Tape(), Tape()
    first.counted, second.counted = 1, 2
    states = Callbacks([first, second]).state_dict()
    assert states == {"Tape": {"counted": 1}, "Tape 2": {"counted": 2}}
    new = [Tape(), Tape()]
    Callbacks(new).load_state_dict(states)
    assert [tape.counted for tape in new] == [1, 2]
    Callbacks(new).load_state_dict({})  # was not there before: stays as it is
    assert [tape.counted for tape in new] == [1, 2]


def test_an_error_ends_a_training_too(tmp_path, game_config, monkeypatch):
    monkeypatch.setattr(QMIXPolicy, "_reward", lambda self, batch: batch.reward * float("nan"))
    tape = Tape()
    with pytest.raises(TrainingError, match="loss nan"):
        train(game_config(), tmp_path / "run", [tape])
    assert tape.calls[-1] == "train_end" and tape.result is None


def test_named_in_the_config_and_stops_the_run(tmp_path, game_config, registered):
    config = game_config()
    config[0]["run"]["callbacks"] = dict(says_stop=dict(rounds=3))
    result = train(config, tmp_path / "run")
    assert (result.reason, result.env_step) == ("enough", 48)
    assert compile_config(tmp_path / "run/total_config.py").run.callbacks == {"says_stop": {"rounds": 3}}
    result = train(game_config(), tmp_path / "option", overrides=["run.callbacks={'says_stop': {}}"])
    assert (result.reason, result.env_step) == ("enough", 16)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("run.callbacks.says_stop.round=2", r"run.callbacks.says_stop.round .*unknown key. Did you mean 'rounds'"),
        ("run.callbacks.says_stop.rounds=0", r"run.callbacks.says_stop.rounds .*0 is out of range. Use an int >= 1"),
        ("run.callbacks.say_stop={}", r"run.callbacks.say_stop .*no callback 'say_stop'. Did you mean 'says_stop'"),
        ("run.callbacks.says_stop=3", r"run.callbacks.says_stop .*3 is not a branch. Use a dict with some of: rounds"),
        ("run.callbacks=3", r"run.callbacks .*3 is an int. Use a dict"),
        ("create_config.callback.import_names=['none']", r"create_config.callback.import_names .*no module 'none'"),
    ],
)
def test_options_are_checked_like_every_key(game_config, registered, option, message):
    with pytest.raises(ConfigError, match=message):
        compile_config(game_config(), overrides=[option])
