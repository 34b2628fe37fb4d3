"""The search for settings: its ranges, its study, and what it gives up."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from dimix.config.compile import compile_all
from dimix.entry.tune import Space, _Search, tune
from dimix.errors import ConfigError
from dimix.machine.processes import Child, Job

optuna = pytest.importorskip("optuna", reason="needs the extra tune")
RATE = "policy.learn.learning_rate"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("policy.learn.learning_rate", "no KEY=VALUES"),
        (f"{RATE}=1e-3:1e-4", "an empty range"),
        (f"{RATE}=log:0:1", "a logarithmic range begins above 0"),
        (f"{RATE}=1:2:3", "no range"),
        ("policy.learn.learning_rat=1e-4:1e-3", "unknown key. Did you mean 'learning_rate'?"),
        ("policy.learn.td_lambda=0.5:2", "2.0 is out of range"),
        ("policy.model.mixer=qmix,qmx", "no mixer 'qmx'"),
    ],
)
def test_a_range_that_cannot_be_searched_is_refused_before_anything_starts(text, message, game_config, tmp_path):
    with pytest.raises(ConfigError, match=re.escape(message)):
        tune(game_config(), [text], exp_name=str(tmp_path / "study"))
    assert not (tmp_path / "study").exists()


def test_values_stay_in_their_space():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    spaces = [Space.parse(text) for text in ("a=log:1e-4:1e-2", "b=2:4", "c=x,y", "d=0:1")]
    drawn = [[s.suggest(trial, s.key == "b") for s in spaces] for trial in (study.ask() for _ in range(50))]
    assert all(1e-4 <= a <= 1e-2 and b in (2, 3, 4) and c in "xy" and 0 <= d <= 1 for a, b, c, d in drawn)
    assert {b for _, b, _, _ in drawn} == {2, 3, 4} and sum(a < 1e-3 for a, *_ in drawn) > 15


def test_a_study_goes_on_and_its_best_config_trains(game_config, tmp_path, dimix):
    (tmp_path / "game_config.py").write_text("main_config, create_config = " + repr(game_config()))
    search = ("-m", "tune", "-c", "game_config.py", "--space", f"{RATE}=log:1e-4:1e-2", "--env-step", "100")
    for trials in (1, 3):
        done = dimix(*search, "--trials", trials)
        assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert sorted(line.split(":")[0] for line in lines if re.match(r"trial \d", line)) == ["trial 1", "trial 2"]
    assert "3 of 3 trials trained to the end" in lines
    study = optuna.load_study(study_name="dimix", storage=f"sqlite:///{tmp_path / 'game_tune/study.db'}")
    assert study.trials[0].params == {RATE: 0.001}  # the config's own comes first
    best = compile_all(tmp_path / "game_tune/best_config.py").cfg
    assert best.policy.learn.learning_rate == pytest.approx(study.best_params[RATE])
    assert best.env.stop_value == compile_all(game_config()).cfg.env.stop_value
    other = dimix(*search[:-1], "200")
    assert other.returncode == 1 and "the search there has env_step 100, this one 200" in other.stderr


def test_only_hopeless_trials_that_have_explored_are_pruned(game_config, tmp_path, capsys):
    """Six trials scored 1 throughout; one that scores 0 is pruned, but not before epsilon has fallen at step 200."""
    main, create = game_config(other=dict(eps=dict(decay=200)))
    search = _Search(
        optuna, compile_all((main, create)), [Space.parse(f"{RATE}=0.001:0.1")], tmp_path, "tpe", "median", print
    )
    same = {"overrides": []}
    first = list(search.jobs(6, same))
    for better, job in enumerate(first):
        for point in (25, 75):
            search._running[job.name].report(1.0, point)
        search.study.tell(search._running.pop(job.name), 1.0 + better)
    (job,) = search.jobs(7, same)
    stopped = []
    child = Child(Job(job.name, print, {}), SimpleNamespace(terminate=lambda: stopped.append(1)), None)
    log = tmp_path / "trial6/log/metrics.csv"
    log.parent.mkdir(parents=True)
    log.write_text("env_step,eval/battle_won\n100,0\n")
    search.tick([child])
    assert not stopped
    log.write_text("env_step,eval/battle_won\n100,0\n300,0\n")
    search.tick([child])
    assert stopped == [1] and search.gave_up(child)
    search.ended(child)
    assert search.study.trials[-1].state == optuna.trial.TrialState.PRUNED
    search.report()
    table = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in table if line[0].isdigit()][0] == ["5", "6.000"]
    assert (tmp_path / "importance.png").stat().st_size > 1000
