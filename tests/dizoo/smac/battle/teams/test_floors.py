"""Floors: every game counts once, and the known strengths of the scripts."""

import json

import numpy as np
import pytest

from dizoo.smac.battle import BattleEngine, BattleError
from dizoo.smac.battle.teams.floors import main, measure, play
from dizoo.smac.battle.teams.scripted import make_team


def test_play_sums_the_rewards_of_one_episode_each():
    engine = BattleEngine("3m", 8, seed=3)
    returns = play(engine, make_team("random", engine.scenario, seed=3))
    assert (engine.terminated | engine.truncated).all()
    # the same games, each alone, added up here
    for e in (0, 5):
        twin = BattleEngine("3m", 8, seed=3)
        team = make_team("random", twin.scenario, seed=3)
        total = 0.0
        while not (twin.terminated[e] or twin.truncated[e]):
            twin.step(team.act(twin.global_state, twin.action_mask))
            total += twin.reward[e]
        assert returns[e] == pytest.approx(total)
        assert engine.episode_length[e] == twin.episode_length[e]


def test_known_floors():
    # On SMAClite the nearest-enemy script wins 3m, 2s3z and 1c3s5z always, and random play wins 2c_vs_64zg.
    for name, team in (("3m", "attack_nearest"), ("2s3z", "attack_nearest"), ("2c_vs_64zg", "random")):
        floor = measure(name, team, 8)
        assert floor.won == 8 and floor.win_rate == 1.0, name
        assert floor.return_mean >= 20 - 1e-9
    lost = measure("3m", "random", 8)
    assert lost.won == 0 and 0 < lost.return_mean < 10 and lost.distinct > 1


def test_a_floor_is_the_same_every_time():
    assert measure("MMM", "focus_fire", 4, seed=2) == measure("MMM", "focus_fire", 4, seed=2)


def test_command_line(capsys, tmp_path):
    path = tmp_path / "out" / "floors.json"
    assert main(["--episodes", "4", "--maps", "3m", "--teams", "attack_nearest", "--json", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:5] == ["smaclite", "3m", "attack_nearest", "4/4", "1.000"]
    (row,) = json.loads(path.read_text())
    assert row["won"] == 4 and np.isclose(row["return_mean"], 20)
    assert main(["--episodes", "4", "--maps", "3n"]) == 1
    assert "no map '3n'" in capsys.readouterr().err
    with pytest.raises(BattleError, match=r"episodes: 0\. Play at least 1"):
        measure("3m", "random", 0)
