"""The script that shows environments learning: its floor is random play, its final figure that of the last games."""

from __future__ import annotations

import math

import pytest

from benchmark.win_rate.environments_learning import CONFIGS, ROOT, Floor, final, random_floor, table


def row(env_step, ep_reward, std, games=4, won=0.0):
    fixed = dict(ep_length=9, cpu_s=90)
    return dict(env_step=env_step, ep_reward=ep_reward, std_ep_reward=std, battle_won=won, games_played=games, **fixed)


def test_final_figure_by_hand():
    """Of six evaluations the last five: means 1, 1, 1, 1, 6, so 2; variance of all games 4 (means) + 1 (within)."""
    rows = [row(0, -99.0, 50.0), *(row(k, 1.0, 1.0) for k in range(1, 5)), row(5, 6.0, 1.0, won=1.0)]
    mean, error, won = final(rows)
    assert mean == pytest.approx(2.0) and won == pytest.approx(0.2)
    assert error == pytest.approx(math.sqrt(5 / 20))  # twenty games


def test_a_line_of_the_table_by_hand():
    rows = {"lbf_8x8": [row(12_000, 2.0, 2.0, games=100)]}  # error 0.2
    text = table(rows, {"lbf_8x8": Floor(0.5, 1.5, 100)})  # error 0.15, so 1.5 / 0.25
    assert text.splitlines()[-1] == (
        "| `dizoo/lbf/config/lbf_8x8_2p_2f_qmix_config.py` | 0.50 ± 0.15 | 2.00 ± 0.20 | +1.50 (6) |  | 12k | 1.5 |"
    )


def test_random_play_of_a_real_environment():
    floor = random_floor(CONFIGS["lbf_8x8"], games=40)  # of 32 side by side: two rounds
    assert floor.games == 64 and 0.0 < floor.mean < 0.6 and floor.error == pytest.approx(floor.std / 8)


def test_every_config_is_there():
    assert all((ROOT / config).is_file() for config in CONFIGS.values())
