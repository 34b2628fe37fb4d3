"""docs/maps.md: its fields are those that the readers accept, its defaults theirs, its example a map that trains."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from dimix.machine.checkpoint_file import load_checkpoint
from dizoo.smac.battle import load_scenario
from dizoo.smac.battle.errors import MapError
from dizoo.smac.battle.maps.command import main
from dizoo.smac.battle.maps.mapfile import standard_units, terrain_presets
from dizoo.smac.battle.maps.scenario import load_map
from dizoo.smac.battle.maps.units import PLANES, WEAPONS, parse_unit

DOCS = Path(__file__).resolve().parents[5] / "docs"
PAGE = (DOCS / "maps.md").read_text("utf-8")
BRIDGE, DRAWN = DOCS / "maps/bridge.json", DOCS / "maps/drawn.json"
SHIELDS = {"ally_shields": True, "enemy_shields": False}  # what the map's units make of them
SMACLITE = {
    "num_allied_units": 1,
    "num_enemy_units": 1,
    "attack_point": [9, 16],
    "terrain_preset": "SIMPLE",
    "groups": [
        {"x": 9, "y": 16, "faction": "ALLY", "units": {"MARINE": 1}},
        {"x": 20, "y": 16, "faction": "ENEMY", "units": {"MARINE": 1}},
    ],
}


def bridge() -> dict:
    return json.loads(BRIDGE.read_text("utf-8"))


def guard() -> dict:
    return bridge()["units"]["GUARD"]


def table(title: str, head: str = "field") -> dict[str, list[str]]:
    """Rows of the first table below a title whose head begins so: the other cells by each field of the first one."""
    section = PAGE.partition(f"\n## {title}\n")[2] or PAGE.partition(f"\n### {title}\n")[2]
    lines = section.partition(f"| {head} |")[2].partition("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {field: cells for first, *cells in rows for field in re.findall(r"`(\w+)`", first)}


def known(read, data: dict) -> set[str]:
    """The fields that a reader says it knows when it meets one that it does not."""
    with pytest.raises(MapError, match="unknown field 'no_such_field'") as error:
        read({**data, "no_such_field": 0})
    return set(str(error.value).partition("Known: ")[2].rstrip(".").split(", "))


def read_group(group: dict) -> None:
    load_map({**bridge(), "groups": [group]})


def read_smac(smac: dict) -> None:
    load_map({**bridge(), "smac": smac})


def read_unit(unit: dict) -> None:
    parse_unit("GUARD", unit)


def read_generator(generator: dict) -> None:
    load_map({**json.loads(DRAWN.read_text("utf-8")), "generator": generator})


READERS = {
    "A map": (load_map, bridge()),
    "A group": (read_group, bridge()["groups"][0]),
    "The object smac": (read_smac, {}),
    "A generator": (read_generator, json.loads(DRAWN.read_text("utf-8"))["generator"]),
    "A unit": (read_unit, guard()),
}


@pytest.mark.parametrize("title", READERS)
def test_fields_of_the_page_are_those_of_the_reader(title):
    assert table(title).keys() == known(*READERS[title])


def test_smaclites_fields_are_those_of_the_reader():
    page = table("Files written for SMAClite", "field of the map")
    group = {"x", "y", "faction", "units"}  # named in the row of `groups`
    assert page.keys() - group == known(load_map, SMACLITE)
    assert page.keys() >= group == known(lambda g: load_map({**SMACLITE, "groups": [g]}), SMACLITE["groups"][0])
    unit = dict(hp=1, damage=1, cooldown=1, speed=1, attack_range=1, size=1, valid_targets=[], attributes=[])
    assert table("Files written for SMAClite", "field of the unit").keys() == known(read_unit, unit)


@pytest.mark.parametrize("title", READERS)
def test_what_is_needed_is_what_a_file_cannot_do_without(title):
    read, data = READERS[title]
    for field, (_, default, _) in table(title).items():
        without = {key: value for key, value in data.items() if key != field}
        if default == "needed":
            with pytest.raises(MapError, match=f"field '{field}' is missing"):
                read(without)
        elif field not in ("size", "type_slots", "units", "formation"):  # these maps do not fit without
            read(without)


@pytest.mark.parametrize("field", [f for f, cells in table("A map").items() if cells[1].startswith("`")])
def test_defaults_of_a_map(field):
    data = {**bridge(), "terrain": "SIMPLE", "type_slots": {}}
    for group in data["groups"]:
        group["units"] = {"MARINE": 1}
    for key in ("size", "units", "n_agents", "n_enemies", field):
        data.pop(key, None)
    written = {**data, field: json.loads(table("A map")[field][1].strip("`"))}
    first, second = load_map(data), load_map(written)
    for part in dataclasses.fields(first):
        assert str(getattr(first, part.name)) == str(getattr(second, part.name)), part.name


@pytest.mark.parametrize("field", [f for f, cells in table("A unit").items() if cells[1].startswith("`")])
def test_defaults_of_a_unit(field):
    told = table("A unit")[field][1]
    data = {key: value for key, value in guard().items() if key != field}
    if told == "`range`, but at least 2":
        value = max(data["range"], 2)
    else:
        value = data["radius"] if told == "`radius` of the unit" else json.loads(told.strip("`"))
    assert parse_unit("GUARD", {**data, field: value}) == parse_unit("GUARD", data)


def test_shields_are_shown_where_a_unit_has_one():
    spec = load_scenario(bridge())
    assert {"ally_shields": spec.ally_has_shields, "enemy_shields": spec.enemy_has_shields} == SHIELDS


def test_names_that_the_page_lists():
    def named(begin: str) -> set[str]:
        return set(
            re.findall(r"[A-Z_]{2,}", re.search(rf"^{begin}: (.*)$", PAGE, re.MULTILINE)[1].partition(", with")[0])
        )

    assert named("Shipped terrains") == set(terrain_presets())
    assert named("Shipped") == set(standard_units("smaclite")) == set(standard_units("smac"))
    units = table("A unit")
    assert set(re.findall(r'"([A-Z]+)"', units["plane"][2])) == PLANES.keys()
    assert set(re.findall(r'"([A-Z]+)"', units["targets"][2])) == PLANES.keys()
    assert set(re.findall(r'"(\w+)":', units["weapon"][2])) == WEAPONS.keys()


@pytest.mark.parametrize("rules", ["smaclite", "smac", "smacv2"])
@pytest.mark.parametrize("path", [BRIDGE, DRAWN])
def test_the_example_is_fine(path, rules, capsys):
    assert main(["--rules", rules, "check", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: fine.\n"


def test_the_example_uses_a_unit_of_its_own_and_terrain_of_its_own():
    s = load_scenario(BRIDGE)
    assert [t.name for t in s.types] == ["GUARD", "MARINE"] and (s.n_agents, s.n_enemies) == (4, 5)
    assert s.rects.tolist() == [[11, 0, 2, 4], [11, 8, 2, 4]]  # (x, y, width, height) of the walls beside the bridge


@pytest.mark.parametrize(("path", "config"), [(BRIDGE, "3m"), (DRAWN, "terran_5_vs_5")])
def test_the_example_trains(path, config, dimix, shrink, tmp_path):
    small = [word for text in (*shrink, f"env.map_name={path}") for word in ("-o", text)]
    config = f"dizoo/smac/config/smac_{config}_qmix_config.py"
    done = dimix("-m", "serial", "-c", config, *small, "-s", 0, "--exp-name", "own", "--env-step", 2000, timeout=600)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "own/result.json").read_text())
    assert result["reason"] == "env_step" and result["env_step"] >= 2000 and result["train_iter"] > 0
    ranked = load_checkpoint(tmp_path / "own/ckpt/latest.pth.tar")["run"]["callbacks"]["BestPolicy"]["last"]
    assert len(ranked) == (5 if path == DRAWN else 1)  # where battles are drawn, one evaluation can be luck
