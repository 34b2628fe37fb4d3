"""Other environments: the floor is random play, the final figure that of the last games."""

from __future__ import annotations

import math

import pytest

from benchmark import ROOT
from benchmark.__main__ import main
from benchmark.win_rate.environments import CELLS, by_name, final, learning_table, random_play
from benchmark.win_rate.rows import read_rows

LBF = CELLS["lbf_8x8"]


def row(env_steps, ep_reward, std, games=4, won=None, floor=(0.5, 1.5, 101)):
    """Evaluations; random play by mean, deviation and number of games."""
    count = len(env_steps)
    evaluations = dict(env_step=env_steps, ep_reward=ep_reward, std_ep_reward=std, games_won=won or [0] * count)
    evaluations |= dict(games_played=[games] * count, cpu_seconds=[90.0] * count)
    random = dict(zip(("ep_reward", "std_ep_reward", "games_played"), floor, strict=True))
    return dict(cell=LBF.fields(), evaluations=evaluations, final=dict(random=random))


def test_final_figure_by_hand():
    """Of six evaluations the last five: means 1, 1, 1, 1, 6, so 2; variance of all games 4 (means) + 1 (within)."""
    rewards, std = [-99.0, 1.0, 1.0, 1.0, 1.0, 6.0], [50.0, *[1.0] * 5]
    mean, error, won = final(row(list(range(6)), rewards, std, won=[0] * 5 + [4]))
    assert mean == pytest.approx(2.0) and won == pytest.approx(0.2)
    assert error == pytest.approx(math.sqrt(5 / 20))  # twenty games


def test_a_line_of_the_table_by_hand():
    one = row([12_000], [2.0], [2.0], games=100)  # error 0.2; that of random play 1.5 / 10, so 1.5 / 0.25
    assert by_name([one]) == {"lbf_8x8": one}
    assert learning_table({"lbf_8x8": one}).splitlines()[-1] == (
        "| `dizoo/lbf/config/lbf_8x8_2p_2f_qmix_config.py` | 0.50 ± 0.15 | 2.00 ± 0.20 | +1.50 (6) |  | 12k | 1.5 |"
    )


def test_a_training_of_a_real_environment_has_random_play_beside_it(tmp_path, capsys):
    """Any config of the zoo is a cell; Foraging has no starts to move, so its third final games are random."""
    pytest.importorskip("lbforaging")
    places = ["--work", str(tmp_path / "work"), "--rows", str(tmp_path / "rows"), "--final-games", "64"]
    words = ["run", "--configs", LBF.config, "--seeds", "0", "--env-steps", "2000", "-o", "env.manager.type=base"]
    assert main([*words, *places]) == 0, capsys.readouterr().out
    (found,) = read_rows(tmp_path / "rows")
    assert found["files"] == [LBF.config] and set(found["final"]) == {"greedy", "epsilon", "random"}
    floor, error = random_play(found)
    assert found["final"]["random"]["games_played"] == 64 and 0.0 < floor < 0.6 and 0.0 < error < 0.1
    assert found["final"]["random"]["distinct_games"] == 64  # uniformly random


def test_every_config_is_there():
    assert all((ROOT / cell.config).is_file() for cell in CELLS.values())
