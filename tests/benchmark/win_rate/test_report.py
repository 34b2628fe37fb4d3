"""The report: statistics by hand, a page from two tiny real runs, tables from rows made up here."""

from __future__ import annotations

import json
import re
from collections import Counter

import numpy as np
import pytest

from benchmark import RESULTS
from benchmark.__main__ import main
from benchmark.markdown import percent
from benchmark.win_rate import reliability
from benchmark.win_rate.cells import (
    ENV_STEPS,
    QMIX_ENV_STEPS,
    SMAC_ENV_STEPS,
    MapCell,
    make_cells,
    table_cells,
    task_cells,
)
from benchmark.win_rate.curves import smoothed
from benchmark.win_rate.report import (
    README,
    conditions,
    family_table,
    net_table,
    qmix_table,
    readme_tables,
    sections,
    with_tables,
)
from benchmark.win_rate.rows import RUNS, read_rows, write_row
from benchmark.win_rate.smacv2 import read_floors, tasks_table
from benchmark.win_rate.summary import (
    experiments,
    interquartile_mean,
    main_experiments,
    score_matrix,
    seed_interval,
    spread,
    time_to,
)
from dizoo.smac.battle.maps.scenario import map_names, task_names


def made_up_row(won, won_jitter=None, final=(64, 32, 16), **cell):
    """A row whose evaluations of 4 games come every 1000 steps and 10 seconds."""
    count = len(won)
    evaluations = {
        "env_step": [1000 * i for i in range(count)],
        "seconds": [10.0 * i for i in range(count)],
        "games_won": list(won),
        "games_played": [4] * count,
    }
    if won_jitter is not None:
        evaluations |= {"games_won_jitter": list(won_jitter), "games_played_jitter": [4] * count}
    kinds = zip(("greedy", "epsilon", "jitter"), final, strict=True)
    return {
        "cell": MapCell(**{**dict(map="3m"), **FULL, **cell}).fields(),
        "files": [],
        "code": ["abc"],
        "versions": {"torch": "2"},
        "machine": {"cpu": "X", "cores": 2},
        "jobs": 1,
        "training": dict(seconds=60.0, cpu_seconds=50.0, env_steps_per_s=1000.0, replay_ratio=8.0),
        "final": {kind: dict(games_won=n, games_played=128, distinct_games=1) for kind, n in kinds},
        "evaluations": evaluations,
        "config": {},
    }


FULL = dict(env_steps=2_000_000, seed=0)
#: No wins, then all of them: the last ten are 4 lost and 6 won ones.
LEARNED = [0] * 10 + [4] * 6


def test_marl_eval_holds_every_evaluation(tmp_path):
    for row in (made_up_row([0, 1, 4]), made_up_row([4, 4, 4], seed=1)):
        write_row(row, tmp_path)
    assert main(["marl-eval", "--rows", str(tmp_path), "-o", str(tmp_path / "all.out")]) == 0
    runs = json.loads((tmp_path / "all.out").read_text())["SMAC_smaclite"]["3m"]["qmix"]
    assert runs.keys() == {"seed_0", "seed_1"}
    assert runs["seed_0"]["step_1"] == {"step_count": 1000, "elapsed_time": 10.0, "win_rate": [0.25]}
    assert runs["seed_0"]["absolute_metrics"] == {"win_rate": [0.5]}  # 64 of 128


def test_last_ten_evaluations_by_hand():
    (one,) = experiments([made_up_row(LEARNED), made_up_row([0] * 16, seed=1)])
    assert one.seeds == [0, 1]
    assert one.last_ten().tolist() == [0.6, 0.0]  # 6 of the last ten evaluations, each won 4 of 4
    assert one.best_single() == 1.0
    assert np.isnan(one.last_ten(jitter=True)).all()  # no such games were played
    (two,) = experiments([made_up_row(LEARNED, [0, 2] * 8)])
    assert two.last_ten(jitter=True).tolist() == [0.25]  # 0 and 2 of 4 in turn
    assert two.final("epsilon").tolist() == [0.25]  # 32 of 128


def test_time_to_a_level_takes_five_in_a_row():
    """Each of the five: 2 of 4 games from evaluation 2 on, but one in evaluation 5; 3 from 8 on, 4 from 10 on."""
    row = made_up_row([0, 0, 2, 4, 4, 1, 2, 2, 3, 3, *[4] * 6])
    assert time_to(row, 0.5) == (10_000, 100.0)  # evaluations 6 to 10
    assert time_to(row, 0.75) == (12_000, 120.0)
    assert time_to(row, 0.95) == (14_000, 140.0)
    assert time_to(made_up_row([4, 4, 3, 4, 4, 4, 4]), 0.95) is None  # 0.95 on average
    assert time_to(made_up_row([0, 0, 4, 0, 0, 0, 0]), 0.5) is None  # one lucky evaluation
    assert time_to(made_up_row([4] * 4), 0.5) is None  # fewer than five


def test_spread_by_hand():
    assert spread(np.array([0.0, 0.1, 0.2, 0.3, 1.0])) == pytest.approx((0.2, 0.1, 0.3))


def test_interquartile_mean_by_hand():
    """Of 2 seeds x 4 maps = 8 scores the two lowest and two highest are dropped: mean of 0.2, 0.4, 0.6, 0.8."""
    pytest.importorskip("rliable")
    matrix = np.array([[0.0, 0.2, 0.4, 1.0], [0.0, 0.6, 0.8, 1.0]])
    estimate, low, high = interquartile_mean(matrix)
    assert estimate == pytest.approx(0.5)
    assert 0.2 <= low < 0.5 < high <= 0.8
    same = np.full((3, 4), 0.7)
    assert interquartile_mean(same) == pytest.approx((0.7, 0.7, 0.7))  # strata without spread have no interval


def test_interval_is_the_same_every_time_and_leaves_others_draws_alone():
    pytest.importorskip("rliable")
    matrix = np.random.default_rng(0).random((3, 16))
    np.random.seed(1)
    drawn = np.random.random()
    np.random.seed(1)
    first = interquartile_mean(matrix)
    assert np.random.random() == drawn
    assert interquartile_mean(matrix) == first


def test_matrix_holds_the_seeds_that_all_maps_have():
    rows = [made_up_row([4] * 10, map="3m", seed=s) for s in (0, 1, 2, 3)]
    rows += [made_up_row([2] * 10, map="8m", seed=s) for s in (1, 2, 3)]
    rows += [made_up_row([0] * 10, map="MMM", seed=s) for s in (0, 1)]  # too few
    matrix, seeds, maps = score_matrix(experiments(rows))
    assert (seeds, maps) == ([1, 2, 3], ["3m", "8m"])
    assert matrix.tolist() == [[1.0, 0.5]] * 3


def test_tables_take_full_trainings_of_the_zoo_configs():
    rows = [made_up_row([4] * 10, env_steps=1000, seed=s) for s in (0, 1)]
    rows += [made_up_row([2] * 10, env_steps=2000), made_up_row([0] * 10, env_steps=3000)]
    rows += [made_up_row([0] * 10, options=("a=1",), seed=s) for s in (0, 1, 2)]
    rows += [made_up_row([0] * 10, until_won=True, seed=s) for s in (0, 1, 2)]
    found = main_experiments(experiments(rows))
    assert found["smaclite", "3m", "qmix"].cell.env_steps == 1000  # more seeds
    rows = [row for row in rows if row["cell"]["env_steps"] != 1000]
    assert main_experiments(experiments(rows))["smaclite", "3m", "qmix"].cell.env_steps == 3000  # longer


def lines_by_map(table):
    return {line.split(" | ")[0].lstrip("| "): line for line in table.splitlines()}


def test_lines_of_the_main_table():
    rows = [made_up_row(LEARNED, [0, 2] * 8), made_up_row([4] * 16, [3] * 16, seed=1)]
    rows += [made_up_row([1] * 16, algo="open_loop", env_steps=500_000)]
    floors = {("smaclite", "3m", "random"): 0.0, ("smaclite", "3m", "attack_nearest"): 0.996}
    lines = lines_by_map(qmix_table(main_experiments(experiments(rows)), floors, "smaclite"))
    # The open-loop team won 1 of 4, with fewer steps and seeds. Last ten 0.6 and 1.0, from moved starts 0.25 and 0.75;
    # 64, 32, 16 of 128 final games.
    found = "2 | 2.0M | **80** | **50** | 50 | 25 | 12.5 | 1"
    assert lines["3m"] == f"| 3m | zoo | 0 | 99.6 | 25 (500k, 1 seed) | {found} |"
    assert "MMM" not in lines  # not run


def test_each_kind_of_qmix_has_a_line():
    rows = [made_up_row([4] * 16, [2] * 16, algo="published", seed=s) for s in (0, 1)]
    rows += [made_up_row([1] * 16, [3] * 16, algo="nominal", env_steps=1000), made_up_row([4] * 16, map="8m")]
    lines = qmix_table(main_experiments(experiments(rows)), {}, "smaclite").splitlines()
    assert lines[2:] == [
        "| 3m | published |  |  |  | 2 | 2.0M | **100** | **50** | 50 | 25 | 12.5 | 1 |",
        "| 3m | nominal |  |  |  | 1 | 1.0k | **25** | **75** | 50 | 25 | 12.5 | 1 |",
        "| 8m | zoo |  |  |  | 1 | 2.0M | **100** |  | 50 | 25 | 12.5 | 1 |",
    ]


def test_agents_that_see_sets_are_marked_among_flat_ones():
    sets = {"config": {"policy.model.equivariant": True}}
    rows = [made_up_row([4] * 16, algo="published"), made_up_row([2] * 16, algo="vdn") | sets]
    lines = lines_by_map(family_table(main_experiments(experiments(rows)), {}, "smaclite"))
    assert lines["3m"] == "| 3m |  |  | 100 (12.5) | 50 (12.5) ‡ |  |  |  |"


def test_teams_paid_by_the_net_change_stand_beside_those_paid_as_smac_does():
    """3m: 16 of 16 evaluations won, of 128 final games 64, 32, 16; beside it a longer training with two seeds."""
    rows = [made_up_row([4] * 16, rules="smac", algo="net_reward", env_steps=1000)]
    rows += [made_up_row([1] * 16, final=(0, 0, 128), rules="smac", algo="published", seed=s) for s in (0, 1)]
    rows += [made_up_row([4] * 16, rules="smac", algo="net_reward", map="8m")]  # alone
    lines = lines_by_map(net_table(main_experiments(experiments(rows)), "smac"))
    assert lines["3m"] == "| 3m | 1 | 1.0k | **100** |  | 50 | 25 | 12.5 | 1 | 25 (2.0M, 2 seeds) | 100 |"
    assert lines["8m"] == "| 8m | 1 | 2.0M | **100** |  | 50 | 25 | 12.5 | 1 |  |  |"
    assert "MMM" not in lines  # not run


def test_a_task_stands_beside_its_floors_and_what_was_published_after_as_many_steps():
    pytest.importorskip("scipy")
    task = dict(map="zerg_5_vs_5", rules="smacv2")
    rows = [made_up_row([won] * 16, **task, seed=seed) for seed, won in enumerate((1, 2, 3))]
    for row in rows:
        by_label = {"surrounded": [20, 50], "reflect": [12, 78]}
        row["final"]["near"] = dict(games_won=32, games_played=128, distinct_games=128, by_label=by_label)
    rows.append(made_up_row([0] * 16, **task, algo="open_loop"))
    floors = {("chase", "zerg_5_vs_5", "random"): {"reflect": (0, 6), "surrounded": (0, 4)}}
    floors["near", "zerg_5_vs_5", "attack_nearest"] = {"surrounded": (3, 4), "reflect": (3, 6)}
    lines = lines_by_map(tasks_table(main_experiments(experiments(rows)), floors))
    # Means 0.25, 0.5, 0.75: deviation 0.25, so 4.303 * 0.25 / sqrt(3) = 0.621 on either side, cut to [0, 1]
    expected = "| 0 |  | 60 (50 / 75) | 0 (2.0M) | 3 | 2.0M | 50 (0-100) | 50 | 25 | 25 (15.4 / 40) | 38 | 37 |"
    assert lines["zerg_5_vs_5"] == f"| zerg_5_vs_5 {expected}"
    assert lines["terran_5_vs_5"].endswith("|  | 62 | 62 |")  # not run: what was published after the usual length


def test_interval_over_seeds_by_hand():
    pytest.importorskip("scipy")
    half = 4.302653 * 0.05 / np.sqrt(3)  # Student's t at 0.975 with two degrees of freedom
    assert seed_interval(np.array([0.45, 0.5, 0.55])) == pytest.approx((0.5, 0.5 - half, 0.5 + half))
    assert seed_interval(np.array([0.9])) == (0.9, 0.0, 1.0)


def test_floors_of_every_task_are_measured():
    scripts = ("random", "attack_nearest", "focus_fire")
    floors = read_floors(RESULTS / "floors_smacv2.json")
    assert floors.keys() == {(o, t, s) for o in ("chase", "near") for t in task_names() for s in scripts}
    assert {sum(played for _, played in by_start.values()) for by_start in floors.values()} == {512}


def test_seeds_of_different_settings_are_marked():
    rows = [made_up_row([4] * 10, seed=s) | {"config": {"a": s // 2, "b": 0}} for s in (0, 1, 2)]
    found = main_experiments(experiments(rows))
    assert found["smaclite", "3m", "qmix"].mixed() == ["a"]
    assert "| 3† |" in lines_by_map(qmix_table(found, {}, "smaclite"))["3m"]
    assert any(
        "3m__qmix" in line and "(a)" in line for line in " ".join(conditions(experiments(rows))).split("† Seeds")
    )


def test_a_share_just_below_one_is_not_shown_as_100():
    assert [percent(x) for x in (1.0, 0.997, 0.5, 0.0)] == ["100", "99.7", "50", "0"]


def test_cells_of_the_tables():
    """The zoo's QMIX, QMIX as published and open loop on 23 maps, the other four of the family on 8, three seeds, two
    rules; the net reward on the 11 maps with enemies that recover, under one; seven more seeds of the zoo's on six maps
    under the other."""
    cells = table_cells()
    assert len(cells) == len(set(cells)) == (3 * 23 + 4 * 8) * 3 * 2 + 11 * 3 + 6 * 7
    named = {cell.name for cell in cells}
    assert {"smaclite__MMM__vdn__500k__seed2", "smac__MMM2__net_reward__2.0M__seed0"} <= named


def test_cells_of_the_tasks():
    """Their own rules and lengths: QMIX and an open-loop team on all, two more seeds of QMIX on even, small ones."""
    cells = Counter((c.map.split("_", 1)[1], c.algo, c.env_steps, c.rules) for c in task_cells())
    teams = {"5_vs_5": 2, "10_vs_10": 2, "10_vs_11": 1, "20_vs_20": 1, "20_vs_23": 1}  # length in million steps
    qmix = {(team, "qmix", m * 1_000_000, "smacv2"): 9 if m == 2 else 3 for team, m in teams.items()}
    assert cells == qmix | {(team, "open_loop", 500_000, "smacv2"): 3 for team in teams}
    one, fixed = make_cells(["terran_5_vs_5", "3m"], ["open_loop"], [0])
    assert (one.name, fixed.rules) == ("smacv2__terran_5_vs_5__open_loop__500k__seed0", "smaclite")
    cfg = one.compile().cfg
    assert cfg.env.open_loop and (cfg.env.rules, cfg.env.n_evaluator_episode) == ("smacv2", 128)


def test_every_map_has_a_length_of_its_own():
    assert set(ENV_STEPS) == set(map_names()) and set(QMIX_ENV_STEPS) | set(SMAC_ENV_STEPS) <= set(ENV_STEPS)
    published, moved = make_cells(["2s3z"], ["published", "qmix"], [0])
    (asked,) = make_cells(["2s3z"], ["qmix"], [0], env_steps=1000)
    assert (published.env_steps, moved.env_steps, asked.env_steps) == (300_000, 500_000, 1000)
    harder = make_cells(["3s5z"], ["published", "qmix"], [0], ["smac"])
    assert [c.env_steps for c in harder] == [2_000_000, 2_000_000]  # the longer one counts


def test_curve_is_the_median_of_means_of_five():
    rows = [made_up_row([4] * 9, [w] * 9, seed=s) for s, w in enumerate((0, 1, 4))]
    (one,) = experiments(rows)
    step, median, low, high = smoothed(one, jitter=True)
    assert (step[0], step[-1]) == (4000, 8000)  # the first mean of five is at the fifth evaluation
    # quarters of the seeds 0, 0.25, 1: the median is the second, the quartiles lie half way
    assert set(median.round(6)) == {0.25} and set(low.round(6)) == {0.125} and set(high.round(6)) == {0.625}
    (blind,) = experiments([made_up_row([4] * 9)])
    assert smoothed(blind, jitter=True) is None


def test_page_of_two_tiny_real_runs(tmp_path, shrink):
    for package in ("matplotlib", "rliable"):
        pytest.importorskip(package)
    rows, curves, page = tmp_path / "runs", tmp_path / "curves", tmp_path / "README.md"
    sized = [word for text in shrink for word in ("-o", text)]
    train = ["run", "--seeds", "0", "1", "--env-steps", "400", "--final-games", "4", "--rows", str(rows)]
    assert main([*train, "--maps", "3m", "--work", str(tmp_path / "work"), *sized]) == 0
    for row in read_rows(rows):  # once more as if the zoo's config were as small, so that they come into all tables
        row["cell"]["options"] = []
        write_row(row, rows)
    report = ["report", "--rows", str(rows), "--page", str(page), "--curves", str(curves)]
    assert main(report) == 0
    text = page.read_text()
    assert re.search(r"^4 trainings, 0.0 hours", text, re.M)
    assert re.search(r"^\| 3m \| zoo \| 0 \| 100 \|  \| 2 \| 400 \| \*\*[\d.]+\*\* \| \*\*[\d.]+\*\* \|", text, re.M)
    assert re.search(r"^\| smaclite \| 3m \| qmix \| never \|", text, re.M)
    assert "`env.collector_env_num=4" in text  # the same runs under their options, among the ablations
    assert "DI-engine (StarCraft II)" in text and "| 3s5z_vs_3s6z |" in text
    linked = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    assert linked == ["smaclite.png"] and (tmp_path / "smaclite.png").read_bytes().startswith(b"\x89PNG")
    assert (curves / "smaclite_3m.svg").read_text().startswith("<?xml")
    before = {path.name: path.read_bytes() for path in curves.iterdir()}
    assert main(report) == 0
    assert page.read_text() == text  # the same rows, the same page and the same pictures
    assert {path.name: path.read_bytes() for path in curves.iterdir()} == before


def test_page_of_results_is_current():
    """And links no picture that is not there; what is there is linked."""
    pytest.importorskip("rliable")
    text = "\n\n".join(sections(read_rows(RUNS))) + "\n"
    assert (RESULTS / "README.md").read_text("utf-8") == text, "run: python -m benchmark report"
    lines = reliability.summary(reliability.runs_by_recipe(read_rows(RUNS)))
    assert json.loads((RESULTS / "reliability.json").read_text("utf-8")) == lines
    readme = README.read_text("utf-8")
    assert with_tables(readme, readme_tables(lines, main_experiments(experiments(read_rows(RUNS))))) == readme
    assert set(re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)) == {path.name for path in RESULTS.glob("*.png")}
