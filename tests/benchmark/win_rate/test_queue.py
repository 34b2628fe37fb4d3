"""The benchmark's queue on tiny real runs: rows, going on after a kill, what is refused."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.__main__ import main
from benchmark.win_rate.cells import MapCell
from benchmark.win_rate.queue import Display
from benchmark.win_rate.rows import USUAL, cell_of, config_changes, read_row, read_rows, write_row
from dimix.errors import OutputError
from dimix.machine.processes import Child, Job

REPO = Path(__file__).resolve().parents[3]
CELL = MapCell(map="3m", env_steps=2_000_000)


def command(tmp_path, small, *more):
    options = [word for text in small for word in ("-o", text)]
    places = ["--work", tmp_path / "work", "--rows", tmp_path / "rows"]
    return ["run", "--maps", "3m", "--final-games", "6", *options, *places, *more]


def without_clocks(row):
    return {
        **row,
        "training": {k: v for k, v in row["training"].items() if not k.endswith(("seconds", "per_s", "start_up_s"))},
        "evaluations": {k: v for k, v in row["evaluations"].items() if not k.endswith("seconds")},
        "machine": None,
        "jobs": None,
    }


def test_rows_of_two_tiny_runs(tmp_path, shrink, capsys):
    arguments = command(tmp_path, shrink, "--seeds", "0", "1", "--env-steps", "500", "--jobs", "2")
    assert main([*map(str, arguments)]) == 0
    assert "2 of 2 cells have their row" in capsys.readouterr().out
    rows = read_rows(tmp_path / "rows")
    assert [row["cell"]["seed"] for row in rows] == [0, 1]
    for row in rows:
        assert row["files"] == ["dizoo/smac/config/smac_3m_qmix_config.py"]
        assert row["training"]["env_steps"] >= 500 and row["training"]["reason"] == "env_step"
        evaluations = row["evaluations"]
        assert evaluations["env_step"][0] == 0 and evaluations["env_step"][-1] == row["training"]["env_steps"]
        assert set(evaluations["games_played"]) == {4} and set(evaluations["games_played_jitter"]) == {2}
        assert evaluations["seconds"] == sorted(evaluations["seconds"])
        assert 0 < row["training"]["start_up_s"] < 120
        assert evaluations["seconds"][-1] <= row["training"]["seconds"] + 0.05  # rounded
        assert {kind: r["games_played"] for kind, r in row["final"].items()} == dict(greedy=6, epsilon=6, jitter=6)
        assert row["final"]["greedy"]["distinct_games"] == 1 < row["final"]["epsilon"]["distinct_games"]
        assert set(row["versions"]) == {"dimix", "engine", "python", "torch", "numpy", "numba"}
    one, two = (row["evaluations"]["ep_length"] for row in rows)
    assert rows[0]["config"] == rows[1]["config"] and rows[0]["evaluations"] != rows[1]["evaluations"]
    assert len(one) > 2 and len(two) > 2
    assert not list(tmp_path.rglob("latest.pth.tar")) and len(list(tmp_path.rglob("final.pth.tar"))) == 2
    write_row({**rows[0], "config": {**rows[0]["config"], "policy.learn.learning_rate": 0.5}}, tmp_path / "rows")
    assert main([*map(str, arguments)]) == 0  # nothing left to do
    told = capsys.readouterr().out
    assert "2 of them finished before" in told and "2 of 2 rows are there already; --again trains them anew" in told
    assert told.count("policy.learn.learning_rate was 0.5, now 0.0") == 1  # once trained with another config


def test_again_trains_anew_beside_the_old_rows(tmp_path, shrink, capsys):
    arguments = [*map(str, command(tmp_path, shrink, "--seeds", "0", "--env-steps", "300"))]
    assert main(arguments) == 0
    (row,) = read_rows(tmp_path / "rows")
    lost = {kind: {**r, "games_won": 0, "games_played": 99} for kind, r in row["final"].items()}
    write_row({**row, "final": lost}, tmp_path / "rows")
    assert main([*arguments, "--again"]) == 0
    assert read_rows(tmp_path / "rows")[0]["final"] == lost
    (again,) = read_rows(tmp_path / "work/again/rows")
    assert without_clocks(again) == without_clocks(row)
    assert "/6; before: won greedy 0/99, epsilon 0/99, jitter 0/99" in capsys.readouterr().out
    assert main([*arguments, "--again"]) == 0
    assert f"1 of 1 rows are there already; without {tmp_path}/work/again/rows/" in capsys.readouterr().out
    write_row(row, tmp_path / "rows")
    assert main([*arguments, "--again"]) == 0
    assert "; before: the same" in capsys.readouterr().out


def test_a_killed_queue_goes_on_and_its_row_is_that_of_a_run_in_one_go(tmp_path, shrink):
    small = [*shrink, "run.checkpoint_interval_s=0.2"]
    arguments = command(tmp_path, small, "--seeds", "3", "--env-steps", "2000", "--jobs", "1")
    first = subprocess.Popen(
        [sys.executable, "-m", "benchmark", *map(str, arguments)], cwd=REPO, start_new_session=True
    )
    deadline = time.monotonic() + 600
    while not list(tmp_path.rglob("previous.pth.tar")):  # the second checkpoint: something has been trained
        assert time.monotonic() < deadline and first.poll() is None
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert not list(tmp_path.glob("rows/*.json"))
    assert main([*map(str, arguments)]) == 0
    (path,) = tmp_path.glob("rows/*.json")
    assert len(list(tmp_path.glob("work/*/run*/total_config.py"))) == 1  # went on, did not start anew
    resumed = json.loads(path.read_text())
    path.unlink()
    assert main([*map(str, arguments), "--work", str(tmp_path / "other")]) == 0
    assert without_clocks(json.loads(path.read_text())) == without_clocks(resumed)


def test_a_failing_cell_leaves_the_others(tmp_path, shrink, capsys):
    blocked = tmp_path / "work" / replace(CELL, env_steps=300, options=shrink, seed=1).name
    blocked.parent.mkdir()
    blocked.write_text("a file where the run's folder should be")
    assert main([*map(str, command(tmp_path, shrink, "--seeds", "1", "2", "--env-steps", "300"))]) == 1
    told = capsys.readouterr().out
    assert "1 of 2 cells have their row" in told and f"{blocked.name}: FileExistsError" in told


@pytest.mark.parametrize(
    ("maps", "algos", "options", "message"),
    [
        (["MMM3"], ["qmix"], [], "--maps MMM3: unknown. Nearest: .*'MMM2'"),
        (["3m"], ["qmx"], [], "--algos qmx: unknown.* Did you mean|--algos qmx: unknown.* Nearest"),
        (["3m"], ["qmix"], ["policy.learn.bach_size=3"], "policy.learn.bach_size .*batch_size"),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(maps, algos, options, message, tmp_path, capsys):
    words = ["run", "--maps", *maps, "--algos", *algos, "--env-steps", "1000", "--work", str(tmp_path / "work")]
    assert main([*words, "--rows", str(tmp_path), *(word for text in options for word in ("-o", text))]) == 1
    assert re.search(message, capsys.readouterr().err)
    assert not list(tmp_path.iterdir())


def test_an_algorithm_without_a_file_for_the_map_takes_the_maps_settings_and_its_own():
    files, _ = replace(CELL, map="MMM2", algo="qtran").sources()
    assert [Path(f).name for f in files] == ["smac_MMM2_qmix_config.py", "smac_3s5z_qtran_config.py"]
    policy = replace(CELL, map="MMM2", algo="qtran").compile().cfg.policy
    assert policy.model.hidden_size_list == [128]  # MMM2's own
    assert policy.learn.opt_weight == 0.01 and policy.type == "qtran"  # QTRAN's own
    cw = replace(CELL, map="MMM", algo="cw_qmix")
    assert [Path(f).name for f in cw.sources()[0]] == ["smac_MMM_wqmix_config.py"]
    assert (cw.compile().cfg.policy.learn.wqmix_ow, cw.compile().cfg.policy.learn.alpha) == (False, 0.75)


def test_cells_set_rules_length_and_no_early_end():
    cfg = replace(CELL, rules="smac", seed=4).compile().cfg
    assert (cfg.env.rules, cfg.run.env_step, cfg.seed) == ("smac", 2_000_000, 4)
    assert cfg.env.stop_value > 1 and replace(CELL, until_won=True).compile().cfg.env.stop_value == 0.95
    open_loop = replace(CELL, algo="open_loop").compile().cfg
    assert open_loop.env.open_loop and not open_loop.env.obs_last_action
    blind = replace(CELL, map="corridor", algo="open_loop").compile().cfg  # the zoo's is equivariant
    assert blind.env.open_loop and not blind.policy.model.equivariant
    published, nominal = (replace(CELL, map="corridor", algo=algo).compile().cfg for algo in ("published", "nominal"))
    assert (published.policy.model.equivariant, nominal.policy.model.equivariant) == (False, True)
    assert published.env.start_jitter == nominal.env.start_jitter == 0
    net = replace(CELL, rules="smac", algo="net_reward").compile().cfg
    assert (net.policy.type, net.env.reward_only_positive, net.env.reward_negative_scale) == ("qmix", False, 0)
    own = replace(CELL, options=("env.rules=smac",)).compile().cfg
    assert own.env.rules == "smac"  # the user's options come last


def test_names_are_file_names_and_differ():
    cells = [
        CELL,
        replace(CELL, seed=1),
        replace(CELL, rules="smac"),
        replace(CELL, arithmetic="avx2"),
        replace(CELL, env_steps=500_000),
        replace(CELL, until_won=True),
        replace(CELL, options=("policy.learn.batch_size=64",)),
        replace(CELL, options=("policy.model.hidden_size_list=[1]", "x" * 90)),
    ]
    assert CELL.name == "smaclite__3m__qmix__2.0M__seed0"
    assert len({cell.name for cell in cells}) == len(cells)
    assert all(len(cell.name) < 200 and "/" not in cell.name for cell in cells)


def test_a_changed_config_is_noticed_and_a_new_key_is_not():
    assert config_changes({"a": 1, "b": 2}, {"a": 1, "b": 3, "new": 0}) == ["b"]
    # what a switch turns off in both is no change
    share, games = "env.backplay.share", "env.backplay.n_episode"
    assert config_changes({share: 0.0, games: 1}, {share: 0.0, games: 2}) == []
    assert config_changes({share: 0.5, games: 1}, {share: 0.5, games: 2}) == [games]
    assert config_changes({share: 0.0, games: 1}, {share: 0.5, games: 2}) == [games, share]


def test_a_row_is_read_as_it_was_written(tmp_path):
    """Also a config that lacks keys of most others, has some of its own, and other values."""
    config = {**USUAL, "env.map_name": "3m", "policy.learn.new": [1]}
    del config["policy.learn.batch_size"]
    row = dict(cell=CELL.fields(), evaluations=dict(env_step=[0]), final={}, training={}, config=config)
    path = write_row(row, tmp_path)
    assert json.loads(path.read_text())["config"].keys() == {"env.map_name", "policy.learn.new"}
    assert read_row(path) == row and cell_of(row) == CELL


def test_list_says_what_is_done_and_what_is_missing(tmp_path, capsys):
    row = dict(evaluations=dict(env_step=[0]), final={}, training={}, config={})
    for seed in (0, 2):
        write_row({**row, "cell": replace(CELL, env_steps=200_000, seed=seed).fields()}, tmp_path)
    assert main(["run", "--list", "--only", "smaclite__3m__qmix__200k__seed", "--rows", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == ["smaclite__3m__qmix__200k: seeds 0 2 done, 1 3 4 5 6 7 8 9 missing"]


def test_a_damaged_row_is_named(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"cell": {"map": "3m"}}')
    with pytest.raises(OutputError, match="x.json: not a benchmark row .* Delete it and run it again"):
        read_row(path)


def test_display_says_what_is_done_and_how_long_it_takes(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    said, now = [], [0.0]
    display = Display(4, 2, said.append, terminal=True, clock=lambda: now[0])
    one, two = (Child(Job(name, print, {}), None, None) for name in ("one", "two"))
    display.line(one, "env_step 10k/2.0M | won 0.50")
    assert said == []  # progress is drawn, not printed
    now[0] = 60.0
    display.tick([one, two])
    assert said.pop() == "0 of 4 done, 1m00s\n  one: env_step 10k/2.0M | won 0.50\n  two: starts"
    final = {"greedy": {"games_won": 3, "games_played": 4}}
    one.result = {"state": "finished", "final": final, "seconds": 90.0}
    display.ended(one)
    assert said.pop() == "\x1b[3F\x1b[Jone: won greedy 3/4 in 1m30s"  # over the three lines of the picture
    now[0] = 90.0
    display.tick([two])
    assert said.pop().splitlines()[0] == "1 of 4 done, 1m30s, about 2m15s to go"  # 3 cells of 90 s, two at a time
    display.line(two, "env_step 10k" + 200 * ".")
    now[0] = 150.0
    display.tick([two])
    assert [len(line) for line in said.pop().splitlines()][1:] == [80]  # as wide as the terminal: nothing wraps
