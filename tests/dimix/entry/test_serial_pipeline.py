"""Whole trainings on a game of two steps, in this process: same seed, resume, signals, bad numbers, checkpoints."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal

import numpy as np
import pytest
import torch

from dimix.callbacks import Callback
from dimix.config.compile import compile_config
from dimix.config.file import write_config
from dimix.entry import eval_pipeline, serial_pipeline
from dimix.entry.rooms import STREAMS, stream_seed
from dimix.errors import CheckpointError, ConfigError, OutputError, TrainingError
from dimix.machine.checkpoint_file import load_checkpoint, save_checkpoint
from dimix.machine.intervals import wilson_interval
from dimix.policy import QMIXPolicy


def quiet(*args, **options):
    return serial_pipeline(*args, out=lambda line: None, **options)


def test_run_writes_its_folder(tmp_path, game_config):
    lines: list[str] = []
    result = serial_pipeline(game_config(), 3, exp_name=str(tmp_path / "run"), out=lines.append)
    text = "\n".join(lines)
    folder = tmp_path / "run"
    assert result.reason == "env_step" and result.env_step >= 400 and result.seed == 3
    assert json.loads((folder / "result.json").read_text()) == dataclasses.asdict(result)
    assert {p.name for p in (folder / "ckpt").iterdir()} == {
        "best.pth.tar", "final.pth.tar", "latest.pth.tar", "previous.pth.tar"
    }  # fmt: skip
    assert "qmix on matrix_game two_step, seed 3, on cpu (1 torch thread)" in text
    assert "2 agents, 2 actions, agent input 7, global state 3, limit 2 steps" in text
    assert "replay ratio 2 (steps learned from per step played)" in text  # 2 updates of 8 episodes per 8 episodes
    assert re.search(r"result: win rate \d\.\d+ over the last 5 evaluations", text)
    assert f"dimix -m eval --load-path {folder}/ckpt/best.pth.tar -n 100" in text


def test_rows_tell_what_happened(tmp_path, game_config, runs):
    result = quiet(game_config(), 0, exp_name=str(tmp_path / "run"))
    table = runs.rows(tmp_path / "run")
    trained = [row for row in table if row["train/num_updates"]]
    evaluated = [row for row in table if row["eval/battle_won"]]
    assert float(trained[-1]["train/num_updates"]) == result.train_iter
    assert float(trained[-1]["rollout/num_episodes"]) == result.episode_count
    # 2 updates of 8 episodes of 2 steps for each 8 episodes of 2 steps
    assert float(trained[-1]["train/replay_ratio"]) == pytest.approx(2.0)
    # epsilon falls on a straight line from 1 to 0.05 over 50,000 steps: after n steps it is 1 - 0.95 n / 50,000
    assert float(trained[1]["rollout/epsilon"]) == pytest.approx(1 - 0.95 * int(trained[0]["env_step"]) / 50_000)
    assert [int(row["train_iter"]) for row in evaluated][:3] == [0, 10, 20]  # every eval_freq=10 updates


def test_score_that_stopped_a_run_is_the_score_reported(tmp_path, game_config, runs):
    """No further evaluation is played once the last ones have decided: it could only blur the result."""
    config = game_config()
    config[0]["env"]["stop_value"] = 0.0
    result = quiet(config, 0, exp_name=str(tmp_path / "run"), overrides=["run.stop_window=3"])
    evaluated = [int(row["train_iter"]) for row in runs.rows(tmp_path / "run") if row["eval/battle_won"]]
    assert result.reason == "stop_value"
    assert evaluated == [0, 10, 20] and result.train_iter == 20


def test_config_is_as_it_was_after_a_run(tmp_path, game_config):
    quiet(game_config(), 1, exp_name=str(tmp_path / "run"))
    before = compile_config(game_config(), seed=1, exp_name=str(tmp_path / "run"))
    assert compile_config(tmp_path / "run/total_config.py") == before


def test_same_seed_same_run_and_another_seed_another(tmp_path, game_config, runs):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        quiet(game_config(), seed, exp_name=str(tmp_path / name))
    runs.assert_same(runs.state_of(tmp_path / "a"), runs.state_of(tmp_path / "b"))
    assert runs.rows(tmp_path / "a") == runs.rows(tmp_path / "b")
    assert runs.rows(tmp_path / "a") != runs.rows(tmp_path / "c")


def test_stop_and_resume_equals_one_run(tmp_path, game_config, runs):
    """400 steps, then 400 more, against 800 at once."""
    quiet(game_config(), 0, exp_name=str(tmp_path / "once"), env_step=800)
    quiet(game_config(), 0, exp_name=str(tmp_path / "twice"), env_step=400)
    quiet(None, resume=tmp_path / "twice", env_step=800)
    runs.assert_same(runs.state_of(tmp_path / "once"), runs.state_of(tmp_path / "twice"))
    assert runs.rows(tmp_path / "once") == runs.rows(tmp_path / "twice")


def test_a_run_that_was_good_enough_trains_on_when_asked(tmp_path, game_config, runs):
    """It equals one whose stop_value nothing reaches, also when it is cut once more on the way."""
    lines: list[str] = []
    config = game_config()
    quiet(config, 0, exp_name=str(tmp_path / "once"), env_step=800, overrides=["env.stop_value=2"])
    config[0]["env"]["stop_value"] = 0.0
    assert quiet(config, 0, exp_name=str(tmp_path / "more")).reason == "stop_value"
    again = serial_pipeline(None, resume=tmp_path / "more", out=lines.append)
    assert again.reason == "stop_value" and again.env_step < 400
    assert "had reached env.stop_value = 0; train on with another --env-step, or with" in "\n".join(lines)
    result = serial_pipeline(None, resume=tmp_path / "more", env_step=600, out=lines.append)
    assert result.reason == "env_step" and result.env_step >= 600
    assert "had reached env.stop_value = 0; it trains on to its new limit, however good it is" in "\n".join(lines)
    quiet(None, resume=tmp_path / "more", env_step=800)
    assert runs.rows(tmp_path / "once") == runs.rows(tmp_path / "more")
    same = [runs.state_of(tmp_path / name)["rooms"] for name in ("once", "more")]
    runs.assert_same(*same)


def test_stop_value_may_change_on_the_way(tmp_path, game_config, runs):
    config = game_config()
    quiet(config, 0, exp_name=str(tmp_path / "once"), env_step=800, overrides=["env.stop_value=2"])
    config[0]["env"]["stop_value"] = 0.0
    assert quiet(config, 0, exp_name=str(tmp_path / "more"), env_step=800).reason == "stop_value"
    assert quiet(None, resume=tmp_path / "more", overrides=["env.stop_value=2"]).reason == "env_step"
    runs.assert_same(runs.state_of(tmp_path / "once"), runs.state_of(tmp_path / "more"))


class Terminate(Callback):
    def on_collect_end(self, run, stats):
        os.kill(os.getpid(), signal.SIGTERM)


def test_resume_checkpoints_go_when_a_run_has_ended_but_not_when_it_was_stopped(tmp_path, game_config):
    latest, lines = tmp_path / "run/ckpt/latest.pth.tar", list[str]()
    options = dict(exp_name=str(tmp_path / "run"), overrides=["run.resume_checkpoints=0"])
    assert quiet(game_config(), 0, callbacks=[Terminate()], **options).interrupted and latest.exists()
    result = serial_pipeline(None, resume=tmp_path / "run", out=lines.append)
    assert result.reason == "env_step" and "--resume" not in lines[-1]
    assert {p.name for p in latest.parent.iterdir()} == {"best.pth.tar", "final.pth.tar"}


def test_a_run_folder_stands_for_its_best_checkpoint(tmp_path, game_config):
    run, lines = tmp_path / "run", list[str]()
    quiet(game_config(), 0, exp_name=str(run))
    for name in ("best", "final", "latest"):
        eval_pipeline(load_path=run, n_episode=2, out=lines.append)
        (run / f"ckpt/{name}.pth.tar").unlink()
    named = [line.partition(": ")[0] for line in lines if "qmix on" in line]
    assert named == [f"{run}/ckpt/{name}.pth.tar" for name in ("best", "final", "latest")]
    with pytest.raises(CheckpointError, match=r"--load-path .*run: no checkpoint in .*run/ckpt. Give a run folder"):
        eval_pipeline(load_path=run, n_episode=2)
    quiet(game_config(), 1, exp_name=str(tmp_path / "other"))
    quiet(game_config(), 1, exp_name=str(tmp_path / "warm"), load_path=tmp_path / "other")


@pytest.mark.parametrize(
    "policy",
    [
        dict(priority=True, priority_IS_weight=True),
        dict(collect=dict(n_episode=8, unroll_len=2, burnin_len=1), model=dict(hidden_size_list=[8], mixer=False)),
        dict(
            learn=dict(update_per_collect=2, batch_size=8, tbptt=1),
            model=dict(
                parameter_sharing="groups", agent_groups=dict(front=[1], back=[0]), lstm_type="lstm", rnn_layers=2
            ),
        ),
        dict(
            priority=True,
            priority_IS_weight=True,
            other=dict(replay_buffer=dict(replay_buffer_size=100, anneal_step=50)),
            learn=dict(batch_size=8, priority_type="return", reward_standardise=True, target_update_interval=60),
            random_collect_size=240,
            eval=dict(epsilon=0.3, evaluator=dict(eval_freq=10)),
        ),
    ],
    ids=[
        "prioritised",
        "windows with burn-in, VDN",
        "truncated, weights per group, two LSTMs",
        "running statistics, random start",
    ],
)
def test_other_ways_of_sampling_resume_too(tmp_path, game_config, policy, runs):
    config = game_config(**policy)
    quiet(config, 0, exp_name=str(tmp_path / "once"), env_step=800)
    quiet(config, 0, exp_name=str(tmp_path / "twice"), env_step=400)
    quiet(None, resume=tmp_path / "twice", env_step=800)
    runs.assert_same(runs.state_of(tmp_path / "once"), runs.state_of(tmp_path / "twice"))
    assert runs.rows(tmp_path / "once") == runs.rows(tmp_path / "twice")


def test_a_run_begins_with_random_play_where_asked(tmp_path, game_config, runs):
    """20 episodes are reached in the third round of 8; the fourth is the first with updates."""
    config = game_config(random_collect_size=20, other=dict(eps=dict(start=0.2)))
    quiet(config, 0, exp_name=str(tmp_path / "run"), env_step=80)
    table = [row for row in runs.rows(tmp_path / "run") if row["rollout/epsilon"]]
    assert [float(row["rollout/epsilon"]) == 1.0 for row in table] == [True, True, True, False, False]
    assert [float(row["train/num_updates"]) for row in table] == [0, 0, 0, 2, 4]
    assert [bool(row["train/loss"]) for row in table] == [False, False, False, True, True]


def test_evaluation_plays_with_its_own_epsilon(tmp_path, game_config):
    """Only random play of the same weights can give different games from one start."""
    config = game_config(eval=dict(epsilon=1.0, evaluator=dict(eval_freq=10)))
    config[0]["env"]["n_evaluator_episode"] = 40
    lines: list[str] = []
    result = serial_pipeline(config, 0, exp_name=str(tmp_path / "run"), env_step=16, out=lines.append)
    assert result.evaluation["eval/distinct_games"] > 10
    assert "of 40 games with epsilon 1" in "\n".join(lines)
    summary = eval_pipeline(load_path=tmp_path / "run/ckpt/final.pth.tar", n_episode=40, out=lines.append)
    assert summary.nominal.distinct_games > 10


def test_saving_changes_nothing(tmp_path, game_config, runs):
    quiet(game_config(), 0, exp_name=str(tmp_path / "rarely"))
    quiet(game_config(), 0, exp_name=str(tmp_path / "often"), overrides=["run.checkpoint_interval_s=1e-6"])
    runs.assert_same(runs.state_of(tmp_path / "rarely"), runs.state_of(tmp_path / "often"))
    assert runs.rows(tmp_path / "rarely") == runs.rows(tmp_path / "often")


def test_resume_without_folder_takes_the_last_run(tmp_path, game_config, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = quiet(game_config(), 0)
    second = quiet(game_config(), 0, resume="", env_step=500)
    assert first.run_folder == second.run_folder == "dimix_result/seed0"
    assert second.env_step >= 500


def test_signal_saves_and_says_how_to_go_on(tmp_path, game_config, monkeypatch, runs):
    lines: list[str] = []
    forward = QMIXPolicy._forward_learn

    def forward_and_stop(self, batch):
        if self._train_iter == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        return forward(self, batch)

    with monkeypatch.context() as patched:
        patched.setattr(QMIXPolicy, "_forward_learn", forward_and_stop)
        result = serial_pipeline(game_config(), 0, exp_name=str(tmp_path / "cut"), out=lines.append)
    assert result.reason == "SIGTERM" and result.interrupted and result.train_iter == 8
    assert f"go on with: dimix -m serial --resume {tmp_path}/cut" in lines[-1]
    quiet(None, resume=tmp_path / "cut")
    quiet(game_config(), 0, exp_name=str(tmp_path / "whole"))
    runs.assert_same(runs.state_of(tmp_path / "whole"), runs.state_of(tmp_path / "cut"))
    assert runs.rows(tmp_path / "whole") == runs.rows(tmp_path / "cut")


def test_loss_that_is_no_number_stops_with_the_batch_saved(tmp_path, game_config, monkeypatch):
    reward = QMIXPolicy._reward

    def broken_reward(self, batch):
        return reward(self, batch) + (float("nan") if self._train_iter == 5 else 0.0)

    monkeypatch.setattr(QMIXPolicy, "_reward", broken_reward)
    with pytest.raises(
        TrainingError, match=r"update 5: loss nan.*batch is in .*nan_batch.pt; the last good checkpoint is"
    ):
        quiet(game_config(), 0, exp_name=str(tmp_path / "run"))
    batch = torch.load(tmp_path / "run/nan_batch.pt", weights_only=True)
    assert batch["reward"].shape == (8, 2)
    assert load_checkpoint(tmp_path / "run/ckpt/latest.pth.tar")["kind"] == "run"


def test_changed_config_is_refused_key_by_key(tmp_path, game_config):
    quiet(game_config(), 0, exp_name=str(tmp_path / "run"))
    with pytest.raises(CheckpointError, match="config changed since") as caught:
        quiet(None, resume=tmp_path / "run", overrides=["policy.learn.batch_size=4", "run.stop_window=2"])
    assert "policy.learn.batch_size: the run has 8, the config now 4" in str(caught.value)
    assert "stop_window" not in str(caught.value)  # what only decides when to stop may change
    with pytest.raises(CheckpointError, match="seed: the run has 0, the config now 1"):
        quiet(None, seed=1, resume=tmp_path / "run")


def test_a_key_added_since_does_not_keep_a_run_from_going_on(tmp_path, game_config):
    """A checkpoint of an earlier dimix lacks keys, and parts of states, that were added later."""
    quiet(game_config(), 0, exp_name=str(tmp_path / "run"))
    latest = tmp_path / "run/ckpt/latest.pth.tar"
    content = load_checkpoint(latest)
    del content["config"]["main"]["policy"]["random_collect_size"]
    del content["config"]["main"]["policy"]["learn"]["target_update_interval"]
    del content["config"]["create"]["callback"], content["inputs"]
    learned, run = content["rooms"]["policy"]["learn"], content["run"]
    del learned["copied_at"], learned["reward_moments"], learned["return_range"]
    states = run.pop("callbacks")
    run |= {**states["MetricLog"], **states["StopRule"], **states["BestPolicy"], "seconds": run["seconds"]["wall"]}
    save_checkpoint(latest, content)
    with pytest.raises(CheckpointError, match="policy.random_collect_size: the run has None, the config now 5"):
        quiet(None, resume=tmp_path / "run", overrides=["policy.random_collect_size=5"])
    result = quiet(None, resume=tmp_path / "run", env_step=600)
    assert result.env_step >= 600


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (dict(resume=True), ConfigError, "--resume: which run"),
        (dict(), ConfigError, "-c: no config"),
        (dict(resume="x", load_path="y"), ConfigError, "--load-path with --resume"),
    ],
)
def test_calls_that_make_no_sense(options, error, message):
    with pytest.raises(error, match=message):
        quiet(None, **options)


def test_damaged_checkpoint_is_named_and_the_previous_one_works(tmp_path, game_config, runs):
    quiet(game_config(), 0, exp_name=str(tmp_path / "run"))
    latest = tmp_path / "run/ckpt/latest.pth.tar"
    latest.write_bytes(latest.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"latest.pth.tar: .*damaged.*previous.pth.tar"):
        quiet(None, resume=tmp_path / "run")
    quiet(None, resume=tmp_path / "run/ckpt/previous.pth.tar")
    quiet(game_config(), 0, exp_name=str(tmp_path / "whole"))
    runs.assert_same(runs.state_of(tmp_path / "whole"), runs.state_of(tmp_path / "run"))


def test_policy_checkpoint_cannot_resume_but_can_start_a_run(tmp_path, game_config):
    quiet(game_config(), 0, exp_name=str(tmp_path / "run"))
    best = tmp_path / "run/ckpt/final.pth.tar"
    with pytest.raises(CheckpointError, match="holds networks only. Resume from latest.pth.tar, or use --load-path"):
        quiet(None, resume=best)
    quiet(
        game_config(),
        5,
        exp_name=str(tmp_path / "next"),
        load_path=best,
        env_step=1,
        overrides=["policy.learn.batch_size=5000"],
    )
    old, new = (load_checkpoint(p)["rooms"]["policy"]["learn"] for p in (best, tmp_path / "next/ckpt/final.pth.tar"))
    assert all(torch.equal(old["model"][k], new["model"][k]) for k in old["model"])  # the buffer was too small to train
    assert new["train_iter"] == 0


def test_checkpoint_of_another_game_is_refused(tmp_path, game_config):
    quiet(game_config(), 0, exp_name=str(tmp_path / "run"))
    main, create = game_config()
    main["env"]["map_name"] = "climbing"
    message = r"trained on two_step, the config says climbing: obs_shape 7 instead of 6, .*action_shape 2 instead of 3"
    for call in (quiet, lambda *a, **k: eval_pipeline(*a[:1], out=lambda line: None, **k)):
        with pytest.raises(CheckpointError, match=message):
            call((main, create), load_path=tmp_path / "run/ckpt/best.pth.tar")


def test_checkpoint_is_evaluated_with_another_number_of_games_side_by_side(tmp_path, game_config):
    """Also one of an earlier dimix, whose config states what is derived."""
    quiet(game_config(), 0, exp_name=str(tmp_path / "run"))
    best, old = tmp_path / "run/ckpt/best.pth.tar", tmp_path / "old.pth.tar"
    content = load_checkpoint(best)
    assert "env_num" not in content["config"]["main"]["policy"]["eval"]
    cfg = compile_config(tmp_path / "run/total_config.py")
    content["config"]["main"] = {name: branch for name, branch in cfg.items() if name != "create_config"}
    save_checkpoint(old, content)
    options = dict(n_episode=np.int64(6), overrides=["env.evaluator_env_num=2"], out=lambda line: None)
    new, earlier = (eval_pipeline(load_path=path, **options) for path in (best, old))
    assert new == earlier and new.nominal.games_played == 6


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "env.obs_agent_id=False",
            r"env.obs_agent_id: .* trained with True, the config says False \(obs_shape 7 instead of 5\). Use the same",
        ),
        (
            "policy.model.hidden_size_list=[16]",
            r"policy.model.hidden_size_list: the checkpoint was trained with \[8\], the config says \[16\]. Use the",
        ),
        (
            "create_config.policy.type=wqmix",
            "create_config.policy.type: the checkpoint was trained with 'qmix', the config says 'wqmix'",
        ),
    ],
)
def test_checkpoint_of_other_networks_names_the_key(tmp_path, game_config, override, message):
    quiet(game_config(), 0, exp_name=str(tmp_path / "run"), env_step=16)
    best = tmp_path / "run/ckpt/best.pth.tar"
    with pytest.raises(CheckpointError, match=message):
        eval_pipeline(load_path=best, overrides=[override], out=lambda line: None)
    with pytest.raises(CheckpointError, match=message):
        quiet(game_config(), load_path=best, overrides=[override], exp_name=str(tmp_path / "next"))
    assert not (tmp_path / "next").exists()


def test_a_run_of_an_earlier_dimix_goes_on(tmp_path, game_config):
    """Its checkpoint and total_config.py state what is derived."""
    quiet(game_config(), 0, exp_name=str(tmp_path / "run"))
    cfg = compile_config(tmp_path / "run/total_config.py")
    main = {name: branch for name, branch in cfg.items() if name != "create_config"}
    write_config(tmp_path / "run/total_config.py", main, cfg.create_config, "Resolved config of the run run.")
    latest = tmp_path / "run/ckpt/latest.pth.tar"
    save_checkpoint(latest, {**load_checkpoint(latest), "config": {"main": main, "create": cfg.create_config}})
    assert quiet(None, resume=tmp_path / "run", env_step=600).env_step >= 600


def test_an_environment_that_changed_is_not_gone_on_with(tmp_path, game_config):
    quiet(game_config(), 0, exp_name=str(tmp_path / "run"))
    latest = tmp_path / "run/ckpt/latest.pth.tar"
    content = load_checkpoint(latest)
    content["env"]["obs_shape"] += 1
    save_checkpoint(latest, content)
    with pytest.raises(CheckpointError, match="policy.model.obs_shape: the run has 8, the config now 7"):
        quiet(None, resume=tmp_path / "run", env_step=600)


@pytest.mark.parametrize(
    "options",
    [
        dict(device=""),
        dict(load_path="none.pth.tar"),
        dict(overrides=["policy.learn.x=1"]),
        dict(overrides=["policy.other.replay_buffer.replay_buffer_size=1e12"]),  # more than any memory
    ],
)
def test_what_cannot_start_leaves_no_folder(tmp_path, game_config, options):
    with pytest.raises((ConfigError, CheckpointError)):
        quiet(game_config(), exp_name=str(tmp_path / "run"), **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("count", [0, 2.5, True])
def test_games_that_cannot_be_counted(count):
    with pytest.raises(ConfigError, match="n_episode: .* Use an int >= 1"):
        eval_pipeline(load_path="none", n_episode=count)


def test_checkpoint_without_one_of_the_networks_is_refused(tmp_path, game_config):
    """A network that stays as it was drawn would play without a word."""
    quiet(game_config(), 0, exp_name=str(tmp_path / "run"))
    content = load_checkpoint(tmp_path / "run/ckpt/best.pth.tar")
    del content["rooms"]["policy"]["learn"]["averaged_model"]
    save_checkpoint(tmp_path / "part.pth.tar", content)
    with pytest.raises(CheckpointError, match="holds no averaged_model. Right is a checkpoint of the same policy type"):
        eval_pipeline(load_path=tmp_path / "part.pth.tar", out=lambda line: None)


def test_evaluation_of_a_checkpoint(tmp_path, game_config):
    lines: list[str] = []
    quiet(game_config(), 0, exp_name=str(tmp_path / "run"))
    summary = eval_pipeline(load_path=tmp_path / "run/ckpt/best.pth.tar", n_episode=10, out=lines.append)
    result = summary.nominal
    assert summary.jitter is None and result.games_played == 10
    assert result.ep_reward in (0.0, 1.0, 7.0, 8.0)  # the same greedy game ten times
    low, high = wilson_interval(result.games_won, 10)
    assert (
        f"won {result.games_won} of 10 games ({result.battle_won:.1%}, 95 % interval {low:.1%} to {high:.1%})"
        in lines[1]
    )
    assert "1 distinct game" in lines[1]


def test_problems_with_the_config_of_a_checkpoint_name_the_checkpoint(tmp_path, game_config):
    quiet(game_config(), 0, exp_name=str(tmp_path / "run"))
    with pytest.raises(ConfigError, match=r"policy.other.eps.end \(in checkpoint best.pth.tar\): .* is more than"):
        eval_pipeline(load_path=tmp_path / "run", overrides=["policy.other.eps.start=0.01"], out=lambda line: None)


def test_wilson_interval_by_hand():
    # 5 of 10, z = 2: centre (0.5 + 0.2) / 1.4 = 0.5, half width 2 * sqrt(0.025 + 0.01) / 1.4 = 0.267261
    assert wilson_interval(5, 10, z=2.0) == pytest.approx((0.5 - 0.267261, 0.5 + 0.267261), abs=1e-6)
    assert wilson_interval(10, 10)[1] == 1.0 and wilson_interval(10, 10)[0] == pytest.approx(0.7225, abs=1e-4)
    assert wilson_interval(0, 10)[0] == 0.0


def test_streams_of_a_run_are_different_and_fixed():
    seeds = {stream_seed(seed, stream) for seed in range(20) for stream in STREAMS}
    assert len(seeds) == 20 * len(STREAMS)
    assert stream_seed(0, "collect") == stream_seed(0, "collect") < 2**63


def test_folder_that_cannot_be_written_is_said_before_training(tmp_path, game_config):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="run folder .*Give another place with --exp-name"):
        quiet(game_config(), 0, exp_name=str(tmp_path / "file/run"))
