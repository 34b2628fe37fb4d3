"""A team of the zoo in other hands: exported and checked on a thousand steps, watched, evaluated, trained on."""

import re
from dataclasses import replace

import numpy as np
import pytest

from dimix.entry import eval_pipeline, export_pipeline, watch_pipeline
from dimix.entry.export_pipeline import check_same, npz_steps, recorded_steps
from dimix.errors import CheckpointError, OutputError
from dimix.team import load_team
from dimix.team.files import find_checkpoint, read_any, zoo_teams
from dizoo.smac.battle.recording.replay import load_replay
from dizoo.teams.make import GAMES, LIST, main


@pytest.mark.parametrize("ending", ["npz", "onnx"])
def test_an_export_plays_a_thousand_steps_of_games_as_torch(ending, tmp_path):
    if ending == "onnx":
        pytest.importorskip("onnxscript")
        pytest.importorskip("onnxruntime")
    said = []
    export_pipeline("zoo:3m", tmp_path / f"team.{ending}", out=said.append)
    assert re.fullmatch(r"checked on 1000 steps: same actions as torch, Q-values within \d.\de-0[678]", said[-1])
    assert {path.name for path in tmp_path.iterdir()} == {f"team.{ending}"} | (
        {"dimix_team.py"} if ending == "npz" else set()
    )


def test_an_export_that_plays_otherwise_is_refused(tmp_path):
    export_pipeline("zoo:3m", tmp_path / "team.npz", steps=0, out=lambda line: None)
    path = find_checkpoint("zoo:3m")
    steps = list(recorded_steps(read_any(path), path, 30))
    check_same(iter(steps), npz_steps(tmp_path / "team.npz"), path)
    off = [replace(step, q=step.q + np.float32(1e-3)) for step in steps]
    with pytest.raises(OutputError, match=r"plays otherwise than torch at step 1: .* Q-values off by 1.0e-03"):
        check_same(iter(off), npz_steps(tmp_path / "team.npz"), path)
    late = [*steps[:20], replace(steps[20], first=True), *steps[21:]]  # forgets in the middle of a game
    with pytest.raises(OutputError, match="plays otherwise than torch at step 21"):
        check_same(iter(late), npz_steps(tmp_path / "team.npz"), path)


@pytest.mark.parametrize("name", zoo_teams())
def test_teams_of_the_zoo_are_small_and_as_good_as_they_say(name):
    team = zoo_teams()[name]
    assert team.path.stat().st_size < 300_000
    assert load_team(f"zoo:{name}").header["name"]
    games = 32
    played = eval_pipeline(load_path=f"zoo:{name}", n_episode=games, seed=7, out=lambda line: None)
    assert (team.won_jitter is None) == (played.jitter is None) == name.startswith("terran")
    for rate, result in ((team.won, played.nominal), (team.won_jitter, played.jitter)):
        if rate is None:  # every game is drawn anew: there are no starts to move
            continue
        spread = 4 * np.sqrt(max(rate * (1 - rate), 1 / GAMES) * (1 / games + 1 / GAMES))
        assert abs(result.battle_won - rate) <= spread


def test_watch_writes_a_game_of_each_start(tmp_path, monkeypatch):
    opened, said = [], []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", opened.append)
    watch_pipeline("zoo:3m", out=said.append)
    assert (tmp_path / "watch.html").read_text("utf-8").count('class="game"') == 2
    assert opened == [(tmp_path / "watch.html").as_uri()]
    assert re.fullmatch(r"from the map's own start: won in \d\d steps", said[0])
    assert re.fullmatch(r"from a moved start: (not )?won in \d\d steps", said[1])
    watch_pipeline("zoo:3m", tmp_path / "named.html", out=said.append)
    assert len(opened) == 1


def test_watch_in_the_terminal(capsys):
    assert watch_pipeline("zoo:3m", text=True, seed=3, out=lambda line: None) is None
    assert "allies won" in capsys.readouterr().out


def test_a_list_with_a_team_that_is_not_made_yet(monkeypatch, tmp_path, capsys):
    missing = replace(zoo_teams()["3m"], path=tmp_path / "3m.pth.tar", won=None)
    monkeypatch.setattr("dimix.team.files.zoo_teams", lambda: {"3m": missing})
    with pytest.raises(CheckpointError, match="zoo:3m: not made yet. Make it with: python -m dizoo.teams 3m"):
        find_checkpoint("zoo:3m")
    assert str(missing).startswith("not made yet, 0.96 from moved starts; at most 200k env steps of dizoo/smac/config/")
    with pytest.raises(SystemExit):
        main(["nothing"])
    assert f"nothing: not in {LIST}, which lists {', '.join(zoo_teams())}." in capsys.readouterr().err


def test_a_recorded_game_is_the_one_played(tmp_path):
    played = eval_pipeline(load_path="zoo:3m", n_episode=1, replay_path=tmp_path, out=lambda line: None)
    assert [load_replay(path).steps for path in played.recorded] == [played.nominal.ep_length, played.jitter.ep_length]
