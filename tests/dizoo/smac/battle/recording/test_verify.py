"""Recorded episodes of the reference are replayed to the bit, and every kind of departure or damage is reported."""

import json
from pathlib import Path

import numpy as np
import pytest

from dizoo.smac.battle import BattleError
from dizoo.smac.battle.recording.trace import load_trace
from dizoo.smac.battle.recording.verify import SHIPPED, main, verify_trace

TRACES = Path(__file__).parents[4] / "data" / "traces"
SMALL = SHIPPED / "2s_vs_1sc__focus-eps20__s144.npz"
EVERY = sorted([*TRACES.glob("*.npz"), *SHIPPED.glob("*.npz")])


def altered(tmp_path: Path, source: Path = SMALL, name: str = "altered.npz", **changes) -> Path:
    """A copy of a trace with some arrays replaced; a change is a function of the old array, None drops it."""
    with np.load(source) as data:
        arrays = {key: data[key] for key in data.files}
    for key, change in changes.items():
        if change is None:
            del arrays[key]
        else:
            arrays[key] = change(arrays[key])
    path = tmp_path / name
    np.savez(path, **arrays)
    return path


def poke(index, delta):
    """A change of one entry."""

    def change(array):
        array = array.copy()
        array[index] = array[index] + delta if array.dtype != bool else not array[index]
        return array

    return change


@pytest.mark.parametrize("path", EVERY, ids=lambda p: p.stem)
def test_trace_is_reproduced(path):
    verdict = verify_trace(path)
    assert verdict.problems == () and verdict.outputs == 0
    assert verdict.steps.wrong_values == 0 and verdict.ticks.wrong_values == 0
    assert verdict.steps.far_positions <= 1 and verdict.ticks.far_positions == 0


def test_every_map_of_the_reference_has_a_trace():
    maps = {load_trace(p).scenario.name for p in EVERY}
    assert len(maps) == 12 and {"MMM", "corridor", "2c_vs_64zg"} <= maps


def test_command_line_reports_each_trace_and_a_summary(tmp_path, capsys):
    altered(tmp_path, name="a.npz")
    assert main([str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ok   a.npz: ticks 0/256 wrong, 0/626 positions off")
    assert "free run never departs" in lines[0]
    assert lines[-1] == "1 of 1 traces pass"


def test_without_a_folder_it_replays_what_is_shipped(capsys):
    assert main([]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{len(list(SHIPPED.glob('*.npz')))} of 1 traces pass"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        # three steps with a wrong reward: one more than is allowed
        ({"reward": lambda r: r + (np.arange(len(r)) < 3)}, "steps differ"),
        ({"obs": poke((5, 0, 7), 1e-3)}, "outputs differ in 1 states"),
        ({"avail": lambda a: 1 - a}, "outputs differ in 33 states"),
        ({"tick_hp": poke((10, 1), 1.0)}, "ticks differ"),
        ({"h_pos": lambda p: p + np.float32(0.25)}, "outputs differ"),
    ],
)
def test_departures_fail(tmp_path, capsys, changes, problem):
    altered(tmp_path, **changes)
    assert main([str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert out.startswith("FAIL altered.npz") and problem in out and "0 of 1 traces pass" in out


def test_free_run_names_the_first_departing_step(tmp_path):
    # a recorded hp changed after step 6 is seen when step 6 has been run
    assert verify_trace(altered(tmp_path, h_hp=poke((7, 0), 1.0))).departs == 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"h_energy": None}, r"altered.npz: 'h_energy' is missing"),
        ({"state": lambda s: s[:, :-1]}, r"'state' has shape \(33, 26\). On 2s_vs_1sc with 32 steps it is \(33, 27\)"),
        ({"actions": None}, r"'actions' is missing or not of shape \(steps, agents\)"),
        ({"meta": lambda m: np.array(str(m).replace("2s_vs_1sc", "2s_vs_9sc"))}, r"'2s_vs_9sc' is not a shipped one"),
        ({"meta": lambda m: np.array("no json")}, r"not a readable trace \(JSONDecodeError"),
        ({"h_target": lambda t: t + 7}, r"state\['target'\]: found 9. Values go from -1 to 2"),
        ({"h_hp": lambda h: h * np.nan}, r"state\['hp'\]: found a value that is not finite"),
        ({"unit_is_ally": lambda a: ~a}, r"the sides of its units are not those of 2s_vs_1sc"),
        ({"order": lambda o: np.zeros_like(o)}, r"order: unit 0 appears twice in a tick"),
        ({"actions": lambda a: a * 0 + 6}, r"actions\[0, 0\]: found 6"),
    ],
)
def test_damaged_traces_are_named(tmp_path, changes, message):
    with pytest.raises(BattleError, match=message):
        verify_trace(altered(tmp_path, **changes))


def test_a_damaged_file_counts_as_failure(tmp_path, capsys):
    (tmp_path / "cut.npz").write_bytes(SMALL.read_bytes()[:5000])
    (tmp_path / "text.npz").write_text("not a trace")
    altered(tmp_path, name="good.npz")
    assert main([str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "FAIL cut.npz: cut.npz: not a readable trace" in out and "FAIL text.npz" in out
    assert "1 of 3 traces pass" in out


def test_an_empty_folder_is_an_error(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert "no .npz traces found" in capsys.readouterr().err


def test_a_custom_map_is_found_beside_its_trace(tmp_path):
    side = {"STALKER": 2, "ZEALOT": 3}
    (tmp_path / "arena.json").write_text(
        json.dumps(
            {
                "name": "arena",
                "num_allied_units": 5,
                "num_enemy_units": 5,
                "groups": [
                    {"x": 9, "y": 16, "faction": "ALLY", "units": side},
                    {"x": 23, "y": 16, "faction": "ENEMY", "units": side},
                ],
                "attack_point": [9, 16],
                "terrain_preset": "SIMPLE",
                "num_unit_types": 2,
                "unit_type_ids": {"STALKER": 0, "ZEALOT": 1},
                "ally_has_shields": True,
                "enemy_has_shields": True,
            }
        )
    )
    renamed = {"meta": lambda m: np.array(json.dumps(json.loads(str(m)) | {"map": "arena"}))}
    verdict = verify_trace(altered(tmp_path, TRACES / "2s3z__focus__s132.npz", **renamed))
    assert verdict.problems == () and verdict.departs is None
