"""A user's own maps and units: both schemas, and one clear line for everything that can be wrong with them."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest

from dizoo.smac.battle.errors import MapError
from dizoo.smac.battle.maps.command import check, main, unit_letters
from dizoo.smac.battle.maps.layout import column_names
from dizoo.smac.battle.maps.mapcheck import find_doubts, unit_table
from dizoo.smac.battle.maps.mapfile import DEFAULT_EPISODE_LIMIT, standard_maps
from dizoo.smac.battle.maps.scenario import BLAST, HEAL, load_map, load_scenario, map_files, map_names
from dizoo.smac.battle.maps.units import AIR, BEAM, GROUND, parse_unit

OWN = {
    "name": "bridge",
    "size": [6, 4],
    "episode_limit": 40,
    # top row first: a wall with a gap at x = 1 in the row y = 2
    "terrain": ["......", "#.####", "......", "......"],
    "attack_point": [1.5, 3.5],
    "groups": [
        {"side": "ally", "at": [1, 1], "units": {"MARINE": 1}},
        {"side": "enemy", "at": [4.5, 1], "units": {"GUARD": 1}},
    ],
    "units": {
        "GUARD": {
            "hp": 20, "shield": 5, "damage": 3, "cooldown": 1, "speed": 2, "range": 1, "radius": 0.4,
            "targets": ["GROUND"], "attributes": ["light"],
        }
    },
}  # fmt: skip

SMACLITE = {
    "name": "duel",
    "num_allied_units": 2,
    "num_enemy_units": 1,
    "groups": [
        {"x": 2, "y": 1, "faction": "ALLY", "units": {"MEDIVAC": 1, "my_tank": 1}},
        {"x": 6, "y": 1, "faction": "ENEMY", "units": {"MARINE": 1}},
    ],
    "attack_point": [2, 1],
    # bottom row first
    "terrain": ["________", "________", "XXXX____", list("CCCCCC__")],
    "width": 8,
    "height": 4,
    "num_unit_types": 3,
    "unit_type_ids": {"MEDIVAC": 0, "my_tank": 1, "MARINE": 2},
    "ally_has_shields": False,
    "enemy_has_shields": False,
    "custom_unit_path": "units",
}
TANK = {
    "hp": 60, "armor": 1, "damage": 9, "cooldown": 2, "speed": 1.5, "attack_range": "MELEE", "size": 1.2,
    "attributes": ["ARMORED"], "valid_targets": ["GROUND", "AIR"], "minimum_scan_range": 7, "bonuses": {"LIGHT": 4},
    "targeter": "LASER_BEAM", "targeter_kwargs": {"width": 2, "height": 0.5},
}  # fmt: skip


def changed(base, **values):
    data = copy.deepcopy(base)
    for key, value in values.items():
        if value is None:
            del data[key]
        else:
            data[key] = value
    return data


@pytest.fixture
def smaclite_file(tmp_path):
    (tmp_path / "units").mkdir()
    (tmp_path / "units" / "my_tank.json").write_text(json.dumps(TANK))
    path = tmp_path / "duel.json"
    path.write_text(json.dumps(SMACLITE))
    return path


def test_own_map():
    s = load_scenario(OWN)
    assert (s.name, s.width, s.height, s.episode_limit, s.n_agents, s.n_enemies) == ("bridge", 6, 4, 40, 1, 1)
    assert s.open_cells.tolist()[2] == [False, True, False, False, False, False]  # second from the top
    assert s.rects.tolist() == [[0, 2, 1, 1], [2, 2, 4, 1]]
    guard = s.types[1]
    assert (guard.name, guard.hp, guard.shield, guard.attributes) == ("GUARD", 20, 5, ("LIGHT",))
    assert (guard.scan_range, guard.attacks, guard.plane, guard.can_hit) == (5, 1, GROUND, 1 << GROUND)
    # shields are shown on the side that has one; 10 for the death, 200 for the win, 25 points
    assert (s.ally_has_shields, s.enemy_has_shields, s.max_reward) == (False, True, 235)
    assert s.obs_size == 4 + 6 + 0 + 1 and s.state_size == 4 + 4 + 7


def test_files_of_a_map_and_its_units_beside_it(smaclite_file, tmp_path):
    units = smaclite_file.parent / "units"
    assert map_files("mmm2") == []
    assert map_files(smaclite_file) == [smaclite_file, units / "my_tank.json"]
    # a folder of units named in full: a copy of the map finds its unit type where it lies itself, once that is gone
    smaclite_file.write_text(json.dumps(changed(SMACLITE, custom_unit_path=str(units))))
    before = load_map(smaclite_file)
    copies = tmp_path / "copies"
    copies.mkdir()
    for path in map_files(smaclite_file):
        path.rename(copies / path.name)
    assert load_map(copies / "duel.json").own_units == before.own_units and "MY_TANK" in before.own_units


def test_smaclite_map(smaclite_file):
    s = load_scenario(smaclite_file)
    assert (s.name, s.width, s.height, s.episode_limit) == ("duel", 8, 4, DEFAULT_EPISODE_LIMIT)
    assert s.open_cells[0].all() and s.open_cells[2].tolist() == [False] * 4 + [True] * 4
    assert s.open_cells[3].tolist() == [False] * 6 + [True] * 2
    medivac, tank, marine = s.types
    assert (tank.name, tank.attack_range, tank.radius, tank.scan_range) == ("MY_TANK", 0.1, 0.6, 7)
    assert (tank.weapon, tank.beam_width, tank.beam_height, tank.bonus) == (BEAM, 2, 0.5, {"LIGHT": 4})
    assert tank.can_hit == (1 << GROUND) | (1 << AIR)
    assert s.slots.tolist() == [[0, 1, 2]] * 2 and s.num_type_slots == 3
    # the one fighter among the allies, or the one enemy: 6 + 1 actions
    assert s.n_actions == 7


def test_one_unit_type_means_no_slots():
    data = changed(SMACLITE, num_unit_types=1, num_allied_units=1, terrain_preset="SIMPLE", terrain=None)
    data["groups"] = [
        {"x": 9, "y": 16, "faction": "ALLY", "units": {"MARINE": 1}},
        {"x": 20, "y": 16, "faction": "ENEMY", "units": {"MARINE": 1}},
    ]
    data["width"] = data["height"] = 32
    s = load_scenario(data)
    assert s.num_type_slots == 0 and s.type_slot.tolist() == [-1, -1]


@pytest.mark.parametrize("name", ["MMM", "bane_vs_bane", "2s_vs_1sc", "2c_vs_64zg"])
def test_a_shipped_map_written_in_smaclites_format_is_the_same_map(name):
    data = standard_maps()[name]
    s = load_scenario(name)
    slots = data.get("type_slots", {})
    twin = load_scenario(
        {
            "name": name,
            "num_allied_units": s.n_agents,
            "num_enemy_units": s.n_enemies,
            "groups": [
                {"x": g["at"][0], "y": g["at"][1], "faction": g["side"].upper(), "units": g["units"]}
                for g in data["groups"]
            ],
            "attack_point": data["attack_point"],
            "terrain": ["".join("_" if c else "C" for c in row) for row in s.open_cells],
            "num_unit_types": len(slots),
            "unit_type_ids": slots,
            "ally_has_shields": data["ally_shields"],
            "enemy_has_shields": data["enemy_shields"],
        }
    )
    assert np.array_equal(twin.start_pos, s.start_pos) and np.array_equal(twin.rects, s.rects)
    assert np.array_equal(twin.type_slot, s.type_slot) and np.array_equal(twin.unit_type, s.unit_type)
    assert (twin.n_actions, twin.obs_size, twin.state_size) == (s.n_actions, s.obs_size, s.state_size)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"terrain": "SIMPEL"}, r"map: no terrain 'SIMPEL'\. Nearest: 'SIMPLE'"),
        ({"terrain": "SIMPLE"}, r"terrain 'SIMPLE' is 32 x 32\. The map is 6 x 4"),
        ({"terrain": ["......"] * 3}, r"terrain has 3 rows\. Give 4 rows of 6"),
        ({"terrain": ["......", "#.###", "......", "......"]}, r"terrain row 1 has 5 cells\. Give 6\."),
        ({"terrain": ["......", "#.##?#", "......", "......"]}, r"terrain row 1 column 4 is '\?'"),
        ({"attack_point": [1]}, r"attack_point is \[1\]\. It is two finite numbers"),
        ({"attack_point": [9, 1]}, r"attack_point \(9, 1\) is outside the map of 6 x 4"),
        ({"attack_point": [float("nan"), 1]}, r"attack_point is \[nan, 1\]"),
        ({"attack_point": None}, r"field 'attack_point' is missing"),
        ({"episode_limit": 0}, r"episode_limit is 0\. It is a whole number of at least 1"),
        ({"episode_limit": True}, r"episode_limit is True"),
        ({"atack_point": [1, 1]}, r"unknown field 'atack_point'\. Nearest: 'attack_point'"),
        ({"n_agents": 2}, r"number of allied units is stated as 2\. The groups place 1\."),
        ({"groups": []}, r"groups is \[\]"),
        ({"groups": [{"side": "ally", "at": [1, 1], "units": {"MARINE": 1}}]}, r"no enemy units"),
        ({"groups": [{"side": "foe", "at": [1, 1], "units": {"MARINE": 1}}]}, r"groups\[0\]: side is 'foe'"),
        ({"groups": [{"side": "ally", "at": [1, 1], "units": {"MARINE": 1.5}}]}, r"units\.MARINE is 1\.5"),
        ({"type_slots": {"MARINE": 0}}, r"type 'GUARD' has no place in type_slots\. It has: MARINE"),
        ({"ally_shields": 1}, r"ally_shields is 1\. It is true or false"),
        ({"size": [6, 0]}, r"size is 0\.0"),
        ({"units": {"GUARD": {"hp": 20}}}, r"unit GUARD: field 'damage' is missing"),
    ],
)
def test_wrong_own_maps(change, message):
    with pytest.raises(MapError, match=message):
        load_scenario(changed(OWN, **change))


def test_unknown_unit_and_unit_outside():
    data = changed(OWN)
    data["groups"][0]["units"] = {"MARINES": 1}
    with pytest.raises(MapError, match=r"unknown unit 'MARINES'\. Nearest: 'MARINE'"):
        load_scenario(data)
    data = changed(OWN)
    data["groups"][0]["at"] = [7, 1]
    with pytest.raises(
        MapError, match=r"allied MARINE \(unit 0, group 0\) at \(7\.00, 1\.00\) is outside the map of 6 x 4"
    ):
        load_scenario(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_enemy_units": 3}, r"number of enemy units is stated as 3\. The groups place 1\."),
        ({"num_enemy_units": None}, r"field 'num_enemy_units' is missing"),
        ({"terrain": None}, r"no terrain\. Give 'terrain_preset'"),
        ({"unit_type_ids": {"MEDIVAC": 0, "my_tank": 1, "MARINE": 5}}, r"unit_type_ids has 5\. Ids go to .* = 2"),
        ({"unit_type_ids": {"MEDIVAC": 0, "my_tank": 1}}, r"type 'MARINE' has no place in type_slots"),
        ({"custom_unit_path": "elsewhere"}, r"unknown unit 'MY_TANK'"),
    ],
)
def test_wrong_smaclite_maps(smaclite_file, change, message):
    smaclite_file.write_text(json.dumps(changed(SMACLITE, **change)))
    with pytest.raises(MapError, match=message):
        load_scenario(smaclite_file)


def test_damaged_files(tmp_path):
    path = tmp_path / "broken.json"
    path.write_text('{"name": "x",\n "groups": [')
    with pytest.raises(MapError, match=r"broken\.json: not valid JSON: .* at line 2, column"):
        load_scenario(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MapError, match=r"broken\.json: not a text file"):
        load_scenario(path)
    with pytest.raises(MapError, match=r"nowhere\.json: cannot be read \(No such file"):
        load_scenario(tmp_path / "nowhere.json")
    path.write_text("[1, 2]")
    with pytest.raises(MapError, match=r"broken\.json: found list\. A map is a JSON object"):
        load_scenario(path)
    with pytest.raises(MapError, match=r"map: found int\. Give a map's name, the path"):
        load_scenario(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hp": 0}, r"unit T: hp is 0\. It is a finite number above 0"),
        ({"hp": "90"}, r"unit T: hp is '90'"),
        ({"speed": float("inf")}, r"unit T: speed is inf"),
        ({"armor": -1}, r"unit T: armor is -1\. It is a finite number of at least 0"),
        ({"cooldown": 0}, r"unit T: cooldown is 0\. A weapon needs a cooldown above 0"),
        ({"attacks": 1.5}, r"unit T: attacks is 1\.5"),
        ({"targets": ["SEA"]}, r"unit T: targets is 'SEA'\. Known: GROUND, AIR, COLOSSUS"),
        ({"targets": "GROUND"}, r"unit T: targets is 'GROUND'\. It is a list of names"),
        ({"weapon": "laser"}, r"unit T: weapon is 'laser'\. Known: direct, heal, blast, beam"),
        ({"weapon": "heal"}, r"unit T: a healer with energy 0"),
        ({"reach": 3}, r"unit T: unknown field 'reach'"),
        ({"bonus": 5}, r"unit T: bonus is 5"),
        ({"explodes_on_death": 1}, r"unit T: explodes_on_death is 1"),
    ],
)
def test_wrong_units(change, message):
    base = {
        "hp": 20, "damage": 3, "cooldown": 1, "speed": 2, "range": 1, "radius": 0.4, "targets": ["GROUND"],
        "attributes": [],
    }  # fmt: skip
    with pytest.raises(MapError, match=message):
        parse_unit("T", {**base, **change})


def test_units_in_smaclites_format():
    healer = changed(TANK, targeter=None, targeter_kwargs=None, combat_type="HEALING", energy=200, cooldown=0, damage=0)
    unit = parse_unit("H", healer | {"starting_energy": 50})
    assert unit.weapon == HEAL and (unit.energy_max, unit.energy_start) == (200, 50)
    blast = changed(TANK, targeter="KAMIKAZE", targeter_kwargs={"radius": 2.2})
    assert (parse_unit("B", blast).weapon, parse_unit("B", blast).blast_radius) == (BLAST, 2.2)
    with pytest.raises(MapError, match=r"unit B: targeter_kwargs has no 'radius'\. The targeter KAMIKAZE needs it"):
        parse_unit("B", changed(TANK, targeter="KAMIKAZE"))
    with pytest.raises(MapError, match=r"unknown field 'sizes' for a SMAClite unit\. Nearest: 'size'"):
        parse_unit("B", {**TANK, "sizes": 3})


def doubts(data):
    spec = load_map(data)
    return find_doubts(spec, unit_table(spec, "smaclite"))


def test_check_finds_blocked_starts_overlaps_and_cut_off_enemies():
    assert doubts(OWN) == []
    data = changed(OWN)
    data["groups"][0]["at"] = [3.5, 2.5]
    assert doubts(data) == ["allied MARINE (unit 0, group 0) at (3.50, 2.50) stands on blocked ground, cell (3, 2)."]
    data = changed(OWN)
    data["groups"][0]["at"] = [4, 1]
    # radii 0.375 + 0.4, half a cell apart
    (line,) = doubts(data)
    assert line.startswith("allied MARINE (unit 0, group 0)") and line.endswith("overlap by 0.28 cells.")
    closed = doubts(changed(OWN, terrain=["......", "######", "......", "......"]))
    assert len(closed) == 1
    assert closed[0].startswith("attack_point (1.5, 3.5) cannot be reached by 1 walking enemies (first: enemy GUARD")
    assert doubts(changed(OWN, attack_point=[0.5, 2.5]))[0].endswith("it is on blocked ground.")


def test_air_units_and_buildings_do_not_need_ground():
    data = changed(OWN, attack_point=[0.5, 2.5])
    data["units"]["GUARD"]["plane"] = "AIR"
    assert doubts(data) == []
    data["units"]["GUARD"].update(plane="GROUND", speed=0)
    assert doubts(data) == []


def test_long_lists_of_doubts_are_cut():
    data = changed(OWN, terrain=["......"] * 4)
    twice = {"side": "ally", "at": [2, 1.5], "units": {"MARINE": 9}}
    data["groups"] = [twice, twice, {"side": "enemy", "at": [5.4, 3.4], "units": {"GUARD": 1}}]
    lines = doubts(data)  # each of the 9 stands on its twin
    assert all(line.endswith("overlap by 0.75 cells.") for line in lines[:8])
    assert lines[8:] == ["... and 1 more like the line above."]


@pytest.mark.parametrize("rules", ["smaclite", "smac"])
@pytest.mark.parametrize("name", map_names())
def test_shipped_maps_have_no_faults(name, rules):
    assert check(name, rules) == []


def test_command_line(capsys, tmp_path):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 39 and "1 medivac, 7 marine, 2 marauder vs 1 medivac, 8 marine, 3 marauder" in out
    path = tmp_path / "bridge.json"
    path.write_text(json.dumps(OWN))
    assert main(["show", str(path)]) == 0
    out = capsys.readouterr().out
    assert "  3 .*....\n  2 #.####\n  1 .M..g.\n  0 ......" in out
    assert main(["check", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: fine.\n"
    path.write_text(json.dumps(changed(OWN, n_enemies=4, units=None)))
    assert main(["check", str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and "stated as 4" in lines[0] and "unknown unit 'GUARD'" in lines[1]
    assert all(line.startswith(f"{path}: ") for line in lines)
    assert main(["show", "3s5v"]) == 1
    assert "no map '3s5v'" in capsys.readouterr().err


def test_names_of_the_one_hot_are_the_types_of_each_side(smaclite_file):
    """Places 0, 1, 2 are the Medivac's, the tank's and the Marine's; no ally is a Marine, every enemy is one."""
    names = column_names(load_scenario(str(smaclite_file)).obs_layout)
    assert names[-4:] == ["own.hp", "own.is_medivac", "own.is_my_tank", "own.type2"]
    assert [n for n in names if n.startswith("enemy0.")][-3:] == ["enemy0.type0", "enemy0.type1", "enemy0.is_marine"]


def test_unit_letters_are_different():
    letters = unit_letters(["MEDIVAC", "MARINE", "MARAUDER"])
    assert letters == {"MEDIVAC": "M", "MARINE": "A", "MARAUDER": "R"}


def test_custom_units_beside_the_working_directory(smaclite_file, monkeypatch, tmp_path):
    other = tmp_path / "maps"
    other.mkdir()
    moved = Path(smaclite_file.rename(other / "duel.json"))
    monkeypatch.chdir(tmp_path)  # SMAClite resolves the folder from there
    assert load_scenario(moved).types[1].name == "MY_TANK"
