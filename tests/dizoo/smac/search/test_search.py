"""The search for a won game: what it finds can be played again, and it says what it did not find."""

import json

import numpy as np
import pytest

from dizoo.smac.battle import BattleEngine, BattleError
from dizoo.smac.battle.recording.replay import load_replay
from dizoo.smac.search.rounds import SELECTIONS
from dizoo.smac.search.search import FROM_A_ROUND, main, play_again, search, won_games
from dizoo.smac.search.teams import RestingTeam, Styles


def test_a_win_found_is_a_game_that_repeats_in_the_plain_engine():
    outcome = search("5m_vs_6m", battles=400, seed=1, threads=1)  # random play wins none of 256 games here
    assert outcome.won and outcome.enemies_left == 0 and outcome.agents_left > 0
    engine = BattleEngine("5m_vs_6m", 1, seed=99, num_threads=1)
    engine.set_state(outcome.plan.start)
    returns = 0.0
    for actions in outcome.plan.actions:
        assert not engine.terminated[0]
        engine.step(actions[None])
        returns += engine.reward[0]
    assert engine.battle_won[0] and engine.episode_length[0] == len(outcome.plan.actions)
    assert engine.alive[0].sum() == outcome.agents_left
    assert returns >= 20 - 1e-9
    game = play_again(outcome, "5m_vs_6m")
    assert game.replay.won and np.array_equal(game.action, outcome.plan.actions)
    assert 0 <= outcome.again <= 128


def test_a_search_is_the_same_every_time_whatever_the_threads():
    first, second = (search("3m", battles=200, seed=5, threads=n) for n in (1, 2))
    assert np.array_equal(first.plan.actions, second.plan.actions)
    assert (first.env_steps, first.again) == (second.env_steps, second.again)
    assert not np.array_equal(first.plan.actions, search("3m", battles=200, seed=6, threads=1).plan.actions)


def test_what_is_not_found_is_said():
    # 50 battles of 7 Zealots that 32 Banelings run down, and as many of bred teams after them
    outcome = search("so_many_baneling", battles=50, rounds=1, threads=1)
    assert not outcome.won and outcome.enemies_left > 0 and outcome.agents_left == 0
    assert "so_many_baneling, smaclite: not won (2 rounds," in outcome.line()
    assert f"{outcome.enemies_left} enemies with {outcome.enemy_points_left:.0f} points left" in outcome.line()
    game = play_again(outcome, "so_many_baneling")
    assert not game.replay.won and np.array_equal(game.action, outcome.plan.actions)


def test_several_won_games_are_different_and_all_repeat():
    said = []
    plans = won_games("5m_vs_6m", 6, battles=400, rounds=6, seed=1, threads=1, say=said.append)
    assert len(plans) == 6 and len({plan.actions.tobytes() for plan in plans}) == 6
    assert len(said) == 6 and " of 6 rounds found won games of 5m_vs_6m (of 6 to play; " in said[-1]
    assert " s to go)" in said[0] and said[-1].endswith(" about 0 s to go)")
    for plan in plans:
        engine = BattleEngine("5m_vs_6m", 1, num_threads=1)
        engine.set_state(plan.start)
        for actions in plan.actions:
            assert not engine.terminated[0]
            engine.step(actions[None])
        assert engine.battle_won[0]
    again = won_games("5m_vs_6m", 6, battles=400, rounds=6, seed=1, threads=2)
    assert all(np.array_equal(a.actions, b.actions) for a, b in zip(plans, again, strict=True))
    assert won_games("so_many_baneling", 1, battles=50, rounds=1, threads=1) == []
    with pytest.raises(BattleError, match="count: 0. Look for at least 1 game"):
        won_games("3m", 0)


def test_safely_won_and_short_games_come_first(monkeypatch):
    options = {"battles": 400, "rounds": 6, "seed": 1, "threads": 1}
    monkeypatch.setattr("dizoo.smac.search.search.SAFE_SHARE", 0.0)  # all rounds are safe
    plans = won_games("5m_vs_6m", 100, **options)
    first = {plan.family: len(plan.actions) for plan in reversed(plans)}  # of each round's games the first
    families = list(dict.fromkeys(plan.family for plan in plans))
    assert len(families) >= 2 and len(plans) <= FROM_A_ROUND * len(families)
    assert [first[family] for family in families] == sorted(first.values())
    assert [p.actions.tobytes() for p in won_games("5m_vs_6m", 5, **options)] == [
        p.actions.tobytes() for p in plans[:5]
    ]


def test_healers_heal_allies():
    outcome = search("MMM", battles=200, rounds=1, seed=0, threads=1)
    engine = BattleEngine("MMM", 1, num_threads=1)
    engine.set_state(outcome.plan.start)
    healer = [t.is_healer for t in engine.scenario.types]
    medivac = int(np.flatnonzero([healer[engine.scenario.unit_type[u]] for u in engine.agent_unit])[0])
    assert (outcome.plan.actions[:, medivac] >= 6).any()
    for actions in outcome.plan.actions:
        engine.step(actions[None])  # every action of the plan is available, or this would raise


def test_styles_are_inherited_and_change_a_little():
    styles = Styles(4, np.random.default_rng(0))
    before = styles["flee"].copy()
    styles.inherit(np.array([2, 2, 2, 1]))
    after = styles["flee"]
    assert after.shape == (4, 1) and len(np.unique(after)) == 4
    spread = 0.03 * 4.0  # standard deviation of a change: 3 % of the range from 0 to 4
    assert np.abs(after[:3] - before[2]).max() < 5 * spread and abs(after[3] - before[1]) < 5 * spread


def test_bred_teams_win_what_asks_to_rest():
    # Two Stalkers lose to a Spine Crawler unless they step back, rest, and come back.
    said = []
    plans = won_games("2s_vs_1sc", 4, rules="smac", battles=1024, rounds=1, threads=1, say=said.append)
    assert said[0].startswith("0 of 1 rounds found won games of 2s_vs_1sc (of 1 to play; ")
    assert said[1].startswith("1 of 2 rounds found won games of 2s_vs_1sc (of 2 to play; ")
    assert 1 <= len(plans) <= FROM_A_ROUND
    lengths = [len(plan.actions) for plan in plans]
    assert lengths == sorted(lengths)
    engine = BattleEngine("2s_vs_1sc", 1, rules="smac", num_threads=1)
    engine.set_state(plans[0].start)
    shields = []
    for actions in plans[0].actions:
        engine.step(actions[None])
        shields.append(engine.units["shield"][0, engine.agent_unit].copy())
    assert engine.battle_won[0]
    assert (np.diff(shields, axis=0).clip(min=0).sum(axis=0) > 40).any()  # of 80: one that came back rested


def test_the_next_generation_is_like_its_parents():
    engine = BattleEngine("3m", 64, num_threads=1)
    team = RestingTeam(engine, np.random.default_rng(0))
    before = {name: team[name].copy() for name in RestingTeam.RANGES}
    team.breed(np.array([5, 9]))
    changed = []
    for name, (low, high) in RestingTeam.RANGES.items():
        after, parents = team[name], before[name][[5, 9] * 32]
        assert after.shape == (64, 3) and (after >= low).all() and (after <= high).all()
        assert np.array_equal(after[:2], parents[:2])
        changed.append(after[2:] != parents[2:])
    # 62 teams of 3 with 16 numbers: 2,976 of which 0.15 change, give or take four times sqrt(0.15 * 0.85 / 2,976)
    assert abs(np.mean(changed) - RestingTeam.CHANGE) < 0.027


def test_who_is_hurt_steps_back_and_who_is_late_waits():
    engine = BattleEngine("3m", 2, num_threads=1)
    team = RestingTeam(engine, np.random.default_rng(0))
    columns = list(RestingTeam.RANGES)
    numbers = np.zeros((2, 3, len(columns)))
    numbers[1, :, columns.index("late")] = 3.0
    numbers[0, :, columns.index("leave0")] = 0.5  # 22 of 45 hit points and less
    numbers[0, :, columns.index("far")] = 3.0
    team._numbers = numbers
    start = engine.units["x"][:, engine.agent_unit].copy()
    gap = []
    for step in range(16):  # then those who are hurt are far enough and come back
        engine.step(team.act())
        x = engine.units["x"][:, engine.agent_unit]
        if step == 2:
            assert np.array_equal(x[1], start[1]) and (x[0] > start[0]).all()  # enemies stand in the east
        hp = engine.units["hp"][0, engine.agent_unit]
        hurt = (hp > 0) & (hp <= 22.5)
        gap.append(np.where(hurt, x[0], np.nan))
    walked = np.diff(np.array(gap), axis=0)
    assert (walked[np.isfinite(walked)] <= 0).all() and np.nanmin(walked) < -0.5  # away from them


@pytest.mark.parametrize("numbers", [{"battles": 49}, {"rounds": 0}])
def test_numbers_out_of_range_are_named(numbers):
    with pytest.raises(BattleError, match="Right is at least 50 and at least 1"):
        search("3m", **numbers)


def test_every_selection_copies_some_and_throws_away_some():
    for selection in SELECTIONS:
        assert 0 < selection.keep < 0.5 and selection.every >= 1 and selection.caution > 0


def test_command_line(capsys, tmp_path):
    numbers = tmp_path / "out" / "search.json"
    words = ["--maps", "3m", "--battles", "100", "--threads", "1", "--replay", str(tmp_path), "--json", str(numbers)]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert out.startswith("3m, smaclite: won in ")
    (row,) = json.loads(numbers.read_text())
    assert row["won"] and row["map"] == "3m" and row["steps"] > 0 and "plan" not in row
    assert load_replay(tmp_path / "3m_smaclite_search_won.replay").won
    assert main(["--maps", "3n"]) == 1
    assert "no map '3n'" in capsys.readouterr().err
