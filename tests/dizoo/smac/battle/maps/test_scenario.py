"""Scenarios of the shipped maps: sizes, placement, walls and unit stats against the published tables."""

import dataclasses
import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from dizoo.smac.battle.errors import BattleError, MapError
from dizoo.smac.battle.maps.mapfile import terrain_grid, terrain_presets
from dizoo.smac.battle.maps.rules import SMACLITE
from dizoo.smac.battle.maps.scenario import (
    AIR,
    BEAM,
    BLAST,
    COLOSSUS_PLANE,
    GROUND,
    HEAL,
    load_scenario,
    map_names,
)
from dizoo.smac.battle.maps.terrain import merge_blocked, reachable

DATA = Path(__file__).parents[4] / "data"

# agents, enemies, episode limit, actions, observation, state, max reward: SMAC's own figures
SIZES = {
    "3m": (3, 3, 60, 9, 30, 48, 365),
    "8m": (8, 8, 120, 14, 80, 168, 640),
    "25m": (25, 25, 150, 31, 250, 950, 1575),
    "5m_vs_6m": (5, 6, 70, 12, 55, 98, 530),
    "8m_vs_9m": (8, 9, 120, 15, 85, 179, 695),
    "10m_vs_11m": (10, 11, 150, 17, 105, 243, 805),
    "27m_vs_30m": (27, 30, 180, 36, 285, 1170, 1850),
    "MMM": (10, 10, 150, 16, 160, 290, 1015),
    "MMM2": (10, 12, 180, 18, 176, 322, 1205),
    "2s3z": (5, 5, 120, 11, 80, 120, 1020),
    "3s5z": (8, 8, 150, 14, 128, 216, 1510),
    "3s5z_vs_3s6z": (8, 9, 170, 15, 136, 230, 1670),
    "3s_vs_3z": (3, 3, 150, 9, 36, 54, 680),
    "3s_vs_4z": (3, 4, 200, 10, 42, 61, 840),
    "3s_vs_5z": (3, 5, 250, 11, 48, 68, 1000),
    "1c3s5z": (9, 9, 180, 15, 162, 270, 1870),
    "2m_vs_1z": (2, 1, 150, 7, 16, 26, 360),
    "corridor": (6, 24, 400, 30, 156, 282, 1280),
    "6h_vs_8z": (6, 8, 150, 14, 78, 140, 1480),
    "2s_vs_1sc": (2, 1, 300, 7, 17, 27, 510),
    "so_many_baneling": (7, 32, 100, 38, 202, 397, 1480),
    "bane_vs_bane": (24, 24, 200, 30, 336, 984, 1260),
    "2c_vs_64zg": (2, 64, 400, 70, 332, 342, 3080),
}

# walls of the presets, x y width height in the order of the rules
RECTS = {
    "SIMPLE": [(0, 0, 32, 8), (0, 24, 32, 8)],
    "ALL_GREEN": [(1, 1, 30, 2), (1, 3, 2, 28), (29, 3, 2, 28), (3, 29, 28, 2)],
    "NARROW": [(0, 0, 32, 8), (14, 8, 2, 7), (14, 17, 2, 15), (0, 24, 32, 8)],
    "RAVINE": [
        (0, 0, 32, 6), (0, 6, 3, 1), (29, 6, 3, 1), (0, 7, 2, 1), (30, 7, 2, 1), (0, 8, 1, 1), (31, 8, 1, 1),
        (4, 12, 24, 1), (0, 17, 1, 15), (31, 17, 1, 15), (1, 18, 1, 14), (30, 18, 2, 14), (2, 19, 1, 13),
        (29, 19, 3, 13), (3, 20, 29, 12),
    ],
    "PENTAGON": [
        (0, 0, 32, 7), (0, 7, 8, 1), (20, 7, 12, 1), (0, 8, 7, 24), (21, 8, 11, 24), (7, 20, 1, 12), (20, 20, 12, 12),
        (8, 21, 1, 11), (19, 21, 13, 11), (9, 22, 1, 10), (18, 22, 14, 10), (10, 23, 1, 9), (17, 23, 15, 9),
        (11, 24, 1, 8), (16, 24, 16, 8), (12, 25, 20, 7),
    ],
    "OCTAGON": [
        (0, 0, 32, 5), (0, 5, 10, 1), (22, 5, 10, 1), (0, 6, 9, 1), (23, 6, 9, 1), (0, 7, 8, 1), (24, 7, 8, 1),
        (0, 8, 7, 1), (25, 8, 7, 1), (0, 9, 6, 1), (26, 9, 6, 1), (0, 10, 5, 22), (27, 10, 5, 22), (5, 22, 1, 10),
        (26, 22, 6, 10), (6, 23, 1, 9), (25, 23, 7, 9), (7, 24, 1, 8), (24, 24, 8, 8), (8, 25, 1, 7), (23, 25, 9, 7),
        (9, 26, 1, 6), (22, 26, 10, 6), (10, 27, 22, 5),
    ],
    "CORRIDOR": [
        (0, 0, 32, 1), (0, 1, 2, 1), (14, 1, 18, 11), (0, 2, 1, 30), (13, 3, 19, 8), (1, 12, 1, 20), (15, 12, 17, 1),
        (2, 13, 9, 19), (26, 13, 6, 1), (11, 14, 1, 4), (27, 14, 5, 1), (12, 15, 1, 2), (28, 15, 4, 1), (29, 16, 3, 1),
        (30, 17, 2, 1), (31, 18, 1, 14), (11, 22, 1, 10), (12, 23, 1, 9), (13, 24, 1, 8), (14, 25, 1, 7),
        (15, 26, 1, 6), (16, 27, 1, 5), (17, 28, 1, 4), (18, 29, 1, 3), (19, 30, 1, 2), (30, 30, 2, 2), (20, 31, 12, 1),
    ],
}  # fmt: skip


@pytest.mark.parametrize("rules", ["smaclite", "smac"])
@pytest.mark.parametrize("name", SIZES)
def test_sizes(name, rules):
    s = load_scenario(name, rules)
    found = (s.n_agents, s.n_enemies, s.episode_limit, s.n_actions, s.obs_size, s.state_size, s.max_reward)
    assert found == SIZES[name]


def test_the_23_maps_are_shipped():
    assert map_names() == list(SIZES)


@pytest.mark.parametrize("name", SIZES)
def test_arrays_agree_with_each_other(name):
    s = load_scenario(name)
    units = s.n_agents + s.n_enemies
    assert {len(a) for a in (s.unit_type, s.is_ally, s.index, s.group, s.start_pos, s.type_slot)} == {units}
    assert s.start_pos.dtype == np.float32 and s.rects.dtype == np.float64
    assert sorted(s.index[s.is_ally]) == list(range(s.n_agents))
    assert sorted(s.index[~s.is_ally]) == list(range(s.n_enemies))
    assert (np.diff(s.group) >= 0).all()
    assert s.type_slot.min() >= (0 if s.num_type_slots else -1) and s.type_slot.max() < max(s.num_type_slots, 1)


def test_placement_equals_the_recorded_games_exactly():
    recorded = json.loads((DATA / "smaclite_placement.json").read_text())
    assert len(recorded) == 12
    for name, units in recorded.items():
        s = load_scenario(name)
        assert [s.types[t].name for t in s.unit_type] == [u[0] for u in units], name
        assert s.is_ally.tolist() == [u[1] == "ally" for u in units], name
        want = np.array([u[2:] for u in units], dtype=np.float32)
        assert np.array_equal(s.start_pos, want), name


def test_placement_by_hand():
    # 3 marines of radius 0.375 around (9, 16): a 2 x 2 grid. Its width counts the two diameters of a row, 1.5, its
    # height two rows of 0.75 and one gap, 1.55. First row y = 16 - 0.775 + 0.375 = 15.6, x = 9 - 0.75 + 0.375 = 8.625;
    # next unit 0.375 + 0.05 + 0.375 = 0.8 further; second row 0.8 higher. Enemies are mirrored about (23, 16).
    s = load_scenario("3m")
    ally = np.array([[8.625, 15.6], [9.425, 15.6], [8.625, 16.4]])
    assert s.start_pos[:3] == pytest.approx(ally, abs=1e-6)
    assert s.start_pos[3:] == pytest.approx(np.array([32.0, 32.0]) - ally, abs=1e-6)


@pytest.mark.parametrize("preset", RECTS)
def test_rectangles_of_the_presets(preset):
    rects = merge_blocked(terrain_grid("test", preset, "smaclite"))
    assert [tuple(r) for r in rects.astype(int).tolist()] == RECTS[preset]


def test_checkerboard_is_walkable_where_x_plus_y_is_even():
    grid = terrain_grid("test", "CHECKERBOARD", "smaclite")
    y, x = np.indices((32, 32))
    assert np.array_equal(grid, (x + y) % 2 == 0)
    assert len(merge_blocked(grid)) == 512


def test_rectangles_cover_exactly_the_blocked_cells_of_random_grids():
    rng = np.random.default_rng(3)
    for density in (0.05, 0.3, 0.7, 1.0):
        grid = rng.random((9, 13)) > density
        covered = np.zeros_like(grid)
        for x, y, w, h in merge_blocked(grid).astype(int):
            assert not grid[y : y + h, x : x + w].any()
            covered[y : y + h, x : x + w] = True
        assert np.array_equal(covered, ~grid)


def test_rectangles_grow_right_then_up_and_may_overlap():
    # top row "#.", bottom row "##": the bottom rectangle cannot grow up; the upper cell starts its own.
    assert merge_blocked(np.array([[False, False], [False, True]])).tolist() == [[0, 0, 2, 1], [0, 1, 1, 1]]
    # "##" over ".#": the cell (1, 0) grows up over (1, 1); (0, 1) then grows right over (1, 1) again.
    assert merge_blocked(np.array([[True, False], [False, False]])).tolist() == [[1, 0, 1, 2], [0, 1, 2, 1]]


def test_reachable_goes_over_edges_not_corners():
    grid = np.array([[True, False], [False, True]])
    assert reachable(grid, (0, 0)).tolist() == [[True, False], [False, False]]
    assert not reachable(grid, (1, 0)).any()


def test_every_terrain_preset_has_a_use_in_both_profiles():
    for preset in terrain_presets():
        for profile in ("smaclite", "smac"):
            grid = terrain_grid("test", preset.lower(), profile)
            assert grid.shape == (32, 32) and grid.any()


def test_the_smac_profile_has_the_confirmed_grid_of_simple():
    grid = load_scenario("3m", "smac").open_cells
    y, x = np.nonzero(grid)
    # exactly the cells x 2..29, y 7..24
    assert (x.min(), x.max(), y.min(), y.max()) == (2, 29, 7, 24) and len(x) == 28 * 18


def test_names_do_not_depend_on_case():
    assert load_scenario("mmm").name == load_scenario("MmM").name == "MMM"


def test_unknown_map_names_the_nearest():
    with pytest.raises(MapError, match=r"no map '3s5v'\. Nearest: .*'3s5z'.*maps list"):
        load_scenario("3s5v")


def test_unknown_profile():
    with pytest.raises(BattleError, match=r"rules: found 'sc2'\. Known profiles: 'smaclite', 'smac', 'smacv2'\."):
        load_scenario("3m", "sc2")


def test_a_changed_profile_changes_the_reward_scale():
    profile = dataclasses.replace(SMACLITE, reward_death_value=0.0, reward_win=100.0)
    # 3 marines of 45 hp and the win; deaths pay nothing
    assert load_scenario("3m", profile).max_reward == 100 + 3 * 45


def test_unit_stats_of_both_profiles():
    lite = {t.name: t for t in load_scenario("1c3s5z").types}
    sc2 = {t.name: t for t in load_scenario("1c3s5z", "smac").types}
    stalker = lite["STALKER"]
    assert (stalker.hp, stalker.shield, stalker.armor, stalker.damage, stalker.cooldown) == (80, 80, 1, 13, 1.34)
    assert (stalker.speed, stalker.attack_range, stalker.radius, stalker.bonus) == (4.13, 6, 0.625, {"ARMORED": 5})
    # SMAC loads the Liberty data in Normal seconds
    assert (sc2["STALKER"].damage, sc2["STALKER"].bonus, sc2["STALKER"].cooldown) == (10, {"ARMORED": 4}, 1.44)
    assert (sc2["COLOSSUS"].damage, sc2["COLOSSUS"].attacks, sc2["COLOSSUS"].cooldown) == (20, 2, 2.2)
    assert (lite["COLOSSUS"].plane, sc2["COLOSSUS"].plane) == (GROUND, COLOSSUS_PLANE)
    assert lite["COLOSSUS"].weapon == BEAM and (lite["COLOSSUS"].beam_width, lite["COLOSSUS"].beam_height) == (2.8, 0.3)
    assert sc2["STALKER"].can_hit == (1 << GROUND) | (1 << AIR) | (1 << COLOSSUS_PLANE)
    assert (sc2["ZEALOT"].radius, sc2["ZEALOT"].separation_radius) == (0.5, 0.375)
    assert lite["ZEALOT"].separation_radius == lite["ZEALOT"].radius == 0.5
    bane = next(t for t in load_scenario("so_many_baneling").types if t.name == "BANELING")
    assert (bane.weapon, bane.blast_radius, bane.damage, bane.explodes_on_death) == (BLAST, 2.2, 80, False)
    bane = next(t for t in load_scenario("so_many_baneling", "smac").types if t.name == "BANELING")
    assert (bane.damage, bane.bonus, bane.explodes_on_death) == (20, {"LIGHT": 15, "STRUCTURE": 60}, True)
    medivac = load_scenario("MMM").types[0]
    assert medivac.is_healer and medivac.weapon == HEAL and medivac.plane == AIR
    assert (medivac.energy_max, medivac.energy_start) == (200, 50)


def test_agent_order_of_the_two_profiles():
    def allies(rules):
        s = load_scenario("MMM", rules)
        names = {int(i): s.types[t].name for i, t, a in zip(s.index, s.unit_type, s.is_ally, strict=True) if a}
        return [names[k] for k in range(s.n_agents)]

    assert allies("smaclite") == ["MEDIVAC"] + ["MARINE"] * 7 + ["MARAUDER"] * 2
    assert allies("smac") == ["MARAUDER"] * 2 + ["MARINE"] * 7 + ["MEDIVAC"]


def test_smac_sorts_equal_types_by_x_then_y():
    s = load_scenario("8m", "smac")
    pos = s.start_pos[s.is_ally][np.argsort(s.index[s.is_ally])].tolist()
    assert pos == sorted(pos)
    enemies = s.index[~s.is_ally]
    assert enemies.tolist() == list(range(8))  # enemies keep their order


def test_enemy_type_slots_are_swapped_only_in_smac():
    def slots(rules, ally):
        s = load_scenario("2s3z", rules)
        return {
            s.types[t].name: int(k) for t, k, a in zip(s.unit_type, s.type_slot, s.is_ally, strict=True) if a == ally
        }

    assert slots("smaclite", True) == slots("smaclite", False) == slots("smac", True) == {"STALKER": 0, "ZEALOT": 1}
    assert slots("smac", False) == {"STALKER": 1, "ZEALOT": 0}


def test_package_data_has_a_schema_line():
    for name in ("maps", "units", "terrains"):
        text = (resources.files("dizoo.smac.battle.maps") / "data" / f"{name}.json").read_text()
        assert json.loads(text)["schema"] == f"dimix-{name}-1"
