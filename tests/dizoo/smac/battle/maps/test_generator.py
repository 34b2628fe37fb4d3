"""Generators: what is drawn has the stated distribution, everybody stands free, and what cannot be is refused."""

import json
from statistics import NormalDist

import numpy as np
import pytest

from dizoo.smac.battle import BattleEngine, load_scenario
from dizoo.smac.battle.errors import BattleError, MapError
from dizoo.smac.battle.maps.command import check, main, show
from dizoo.smac.battle.maps.generator import STARTS
from dizoo.smac.battle.maps.scenario import task_names

RACES = {  # types in the order in which SMACv2 lists them, weights, and the order in which agents are sorted
    "terran": (("MARINE", "MARAUDER", "MEDIVAC"), (0.45, 0.45, 0.10), ("MARAUDER", "MARINE", "MEDIVAC")),
    "protoss": (("STALKER", "ZEALOT", "COLOSSUS"), (0.45, 0.45, 0.10), ("COLOSSUS", "STALKER", "ZEALOT")),
    "zerg": (("ZERGLING", "BANELING", "HYDRALISK"), (0.45, 0.10, 0.45), ("BANELING", "HYDRALISK", "ZERGLING")),
}
EXCEPTION = {"terran": 2, "zerg": 1}
SIZES = {  # observation and state of terran and zerg, then of protoss
    "5_vs_5": (82, 120, 92, 130),
    "10_vs_10": (162, 290, 182, 310),
    "20_vs_20": (322, 780, 362, 820),
    "10_vs_11": (170, 306, 191, 327),
    "20_vs_23": (346, 858, 389, 901),
}
FALSE_ALARMS = 1e-6  # of each statistical test


def draws(name: str, battles: int, **options) -> BattleEngine:
    return BattleEngine(name, battles, num_threads=1, **options)


def likely(successes: float, trials: float, p: float) -> bool:
    """Whether a binomial count is within what all but `FALSE_ALARMS` of such tests show."""
    bound = NormalDist().inv_cdf(1 - FALSE_ALARMS / 2) * np.sqrt(trials * p * (1 - p))
    return abs(successes - trials * p) <= bound + 1


def sides(engine: BattleEngine, field: str) -> tuple[np.ndarray, np.ndarray]:
    values = engine.kinds[field].astype(np.float64)
    return values[:, : engine.agent_num], values[:, engine.agent_num :]


@pytest.mark.parametrize("name", task_names())
def test_sizes_and_constants_of_the_tasks(name):
    race, _, size = name.partition("_")
    scenario = load_scenario(name)
    sizes = SIZES[size][2:] if race == "protoss" else SIZES[size][:2]
    assert (scenario.obs_size, scenario.state_size) == sizes
    n_agents, n_enemies = (int(n) for n in size.split("_vs_"))
    assert (scenario.n_agents, scenario.n_enemies, scenario.n_actions) == (n_agents, n_enemies, 6 + n_enemies)
    assert (scenario.episode_limit, scenario.num_type_slots, scenario.profile.name) == (200, 3, "smacv2")
    points = {"terran": 91.5, "protoss": 174.5, "zerg": 54.75}[race]  # SMACV2's weights times hit points and shields
    assert scenario.max_reward == pytest.approx(10 * n_enemies + 200 + n_enemies * points)
    types, weights, order = RACES[race]
    assert tuple(t.name for t in scenario.types) == types and tuple(scenario.generator.weights.values()) == weights
    assert tuple(types[t] for t in scenario.agent_order) == order
    assert [types[i] for i in np.argsort(scenario.slots[0])] == {
        "terran": ["MARINE", "MARAUDER", "MEDIVAC"],
        "protoss": ["STALKER", "ZEALOT", "COLOSSUS"],
        "zerg": ["ZERGLING", "HYDRALISK", "BANELING"],
    }[race]


@pytest.mark.parametrize("race", RACES)
def test_teams_have_the_stated_distribution(race):
    """100,000 teams of five: independent types, drawn again where all are exceptions."""
    n, weights, exception = 100_000, RACES[race][1], EXCEPTION.get(race)
    allies, enemies = sides(draws(f"{race}_5_vs_5", n), "type")
    np.testing.assert_array_equal(np.sort(allies, axis=1), np.sort(enemies, axis=1))  # agents are sorted, enemies not
    again = 0.0 if exception is None else weights[exception] ** 5
    for t, weight in enumerate(weights):
        with_five = again if t == exception else 0.0
        # P(k of five), given that not all are exceptions
        for k, binomial in enumerate((1, 5, 10, 10, 5, 1)):
            p = (binomial * weight**k * (1 - weight) ** (5 - k) - (with_five if k == 5 else 0)) / (1 - again)
            if exception is not None and t != exception and k == 0:
                p = ((1 - weight) ** 5 - again) / (1 - again)
            assert likely(((enemies == t).sum(axis=1) == k).sum(), n, max(p, 0.0)), (t, k)
    if exception is not None:
        assert not (allies == exception).all(axis=1).any()


@pytest.mark.parametrize(("name", "exception"), [("terran_10_vs_11", 2), ("zerg_20_vs_23", 1)])
def test_further_enemies_are_drawn_by_the_same_rule(name, exception):
    engine = draws(name, 4000)
    _, enemies = sides(engine, "type")
    extras = enemies[:, engine.agent_num :]
    assert not (extras == exception).all(axis=1).any()
    others = [t for t in range(3) if t != exception]
    share = {1: 0.5, 3: 0.45 / (1 - 0.1**3)}[extras.shape[1]]  # a single one is never an exception
    assert likely((extras[:, 0] == others[0]).sum(), len(extras), share)


@pytest.mark.parametrize("name", ["terran_5_vs_5", "protoss_10_vs_11", "zerg_20_vs_23", "protoss_20_vs_20"])
def test_everybody_starts_inside_and_free(name):
    engine = draws(name, 1000)
    x, y, radius = (engine.kinds[field].astype(np.float64) for field in ("start_x", "start_y", "radius"))
    for place in (x, y):
        assert (place >= radius - 1e-3).all() and (place <= 32 - radius + 1e-3).all()
    apart = np.hypot(x[:, :, None] - x[:, None], y[:, :, None] - y[:, None]) - radius[:, :, None] - radius[:, None]
    plane = engine.kinds["plane"]
    other = (plane[:, :, None] == plane[:, None]) & ~np.eye(x.shape[1], dtype=bool)
    assert apart[other].min() > -1e-5  # positions are single precision
    np.testing.assert_array_equal(engine.units["x"], engine.kinds["start_x"])


def test_mirrored_starts():
    """Each enemy stands where an ally of its type would be in a mirror; further ones in their own half."""
    engine = draws("terran_10_vs_11", 20_000)
    reflected = engine.start_kind == STARTS.index("reflect")
    assert likely(reflected.sum(), len(reflected), 0.5)
    place = {}
    for field in ("type", "start_x", "start_y"):
        allies, enemies = sides(engine, field)
        place[field] = allies[reflected], enemies[reflected]
    own = np.stack([place["type"][0], 32 - place["start_x"][0], place["start_y"][0]], axis=-1)
    mirror = np.stack([place[field][1][:, :10] for field in place], axis=-1)
    for a, b in zip(own[:2000], mirror[:2000], strict=True):
        np.testing.assert_allclose(a[np.lexsort(a.T)], b[np.lexsort(b.T)], atol=2e-6)
    x, y = place["start_x"][0], place["start_y"][0]
    assert x.max() <= 15 and likely((x < 7.5).sum(), x.size, 0.5) and likely((y < 16).sum(), y.size, 0.5)
    further = place["start_x"][1][:, 10]
    assert likely((further > 24).sum(), len(further), 0.5) and further.min() > 15


def test_surrounded_starts():
    """Allies in the middle; enemies in one to four groups on diagonals, each of which is as likely as the others."""
    engine = draws("zerg_10_vs_10", 20_000)
    chosen = engine.start_kind == STARTS.index("surrounded")
    (ax, ex), (ay, ey) = sides(engine, "start_x"), sides(engine, "start_y")
    ax, ay, dx, dy = ax[chosen], ay[chosen], ex[chosen] - 16, ey[chosen] - 16
    assert np.hypot(ax - 16, ay - 16).max() < 4.0
    clear = (np.minimum(np.abs(dx), np.abs(dy)) > 4.0).all(axis=1)  # no group was pushed into another quadrant
    quadrant = ((dx > 0) + 2 * (dy > 0))[clear]
    assert len(quadrant) > 3000 and np.abs(np.abs(dx[clear]) - np.abs(dy[clear])).max() < 6.0  # around a diagonal
    assert [likely((quadrant[:, 0] == q).sum(), len(quadrant), 0.25) for q in range(4)] == [True] * 4
    changes = (np.diff(quadrant, axis=1) != 0).sum(axis=1)  # groups are handed out in list order
    assert set(changes.tolist()) == {0, 1, 2, 3}


def test_group_count_is_uniform_and_members_are_multinomial():
    """The number of occupied diagonals against its exact distribution, on a map where no group can be mistaken."""
    one = {"MARINE": 1.0}
    generator = dict(n_agents=1, n_enemies=3, types=one, starts={"surrounded": 1.0})
    engine = draws({"size": [200, 200], "generator": generator}, 40_000)
    _, x = sides(engine, "start_x")
    _, y = sides(engine, "start_y")
    quadrant = (x > 100) + 2 * (y > 100)
    ordered = np.sort(quadrant, axis=1)
    groups = 1 + (np.diff(ordered, axis=1) != 0).sum(axis=1)
    # 3 units in g groups: P(all in one) = g^-2, P(all apart) = (g - 1)(g - 2) / g^2
    p_one = np.mean([1 / g**2 for g in (1, 2, 3, 4)])
    p_three = np.mean([(g - 1) * (g - 2) / g**2 for g in (1, 2, 3, 4)])
    for k, p in ((1, p_one), (2, 1 - p_one - p_three), (3, p_three)):
        assert likely((groups == k).sum(), len(groups), p), k


@pytest.mark.parametrize("race", RACES)
def test_agents_are_sorted_by_type_and_place(race):
    engine = draws(f"{race}_10_vs_10", 500)
    rank = np.argsort(engine.scenario.agent_order)
    types, x, y = (sides(engine, field)[0] for field in ("type", "start_x", "start_y"))
    for e in range(engine.num_envs):
        keys = list(zip(rank[types[e].astype(int)], x[e], y[e], strict=True))
        assert keys == sorted(keys)
    np.testing.assert_array_equal(engine.agent_unit, np.arange(10))


def test_without_copying_sides_are_independent():
    generator = dict(
        n_agents=4, n_enemies=4, types={"MARINE": 0.5, "MARAUDER": 0.5}, enemies_copy_allies=False,
        starts={"reflect": 1.0},
    )  # fmt: skip
    engine = draws({"generator": generator}, 20_000)
    allies, enemies = (side.sum(axis=1) for side in sides(engine, "type"))
    assert abs(np.corrcoef(allies, enemies)[0, 1]) < 0.04  # 5.6 standard deviations
    assert likely((enemies == 0).sum(), len(enemies), 1 / 16)


def test_a_formation_is_kept_where_there_is_room():
    points = {"allies": [[5, 5], [5, 9]], "enemies": [[9, 9], [9, 9]]}
    generator = dict(
        n_agents=2, n_enemies=2, types={"ZEALOT": 1.0}, starts={"formation": 1.0}, formation=points
    )  # fmt: skip
    engine = draws({"size": [20, 16], "generator": generator}, 3)
    start = np.stack([engine.kinds["start_x"], engine.kinds["start_y"]], axis=-1)
    np.testing.assert_array_equal(start[:, :3], [[[5, 5], [5, 9], [9, 9]]] * 3)
    assert (np.hypot(*(start[:, 3] - 9).T) >= 1.0).all() and (np.hypot(*(start[:, 3] - 9).T) < 2.0).all()
    assert (engine.start_kind == STARTS.index("formation")).all()


GOOD = dict(n_agents=3, n_enemies=3, types={"MARINE": 0.5, "MEDIVAC": 0.5}, starts={"reflect": 1.0})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(types={"MARINE": 0.5, "MEDIVAC": 0.4}), r"generator: types sum to 0\.9\. They sum to 1\."),
        (
            dict(types={"MARINE": 1.5, "MEDIVAC": -0.5}),
            r"types\.MEDIVAC is -0\.5\. It is a finite number of at least 0",
        ),
        (dict(types={"MARIN": 1.0}), r"unknown unit 'MARIN'\. Nearest: 'MARINE'"),
        (dict(exceptions=["MARINE", "MEDIVAC"]), "exceptions leave no type"),
        (dict(exceptions=["ZEALOT"]), "exceptions names 'ZEALOT'. Types: MARINE, MEDIVAC"),
        (dict(types={"MARINE": 0.0, "MEDIVAC": 1.0}, exceptions=["MEDIVAC"]), "exceptions leave no type"),
        (dict(starts={"reflect": 0.7, "surrounded": 0.7}), r"starts sum to 1\.4"),
        (dict(starts={"mirror": 1.0}), r"generator: starts: unknown field 'mirror'"),
        (dict(starts={"formation": 1.0}), "starts has 'formation', but there is none"),
        (
            dict(formation={"allies": [[1, 1]], "enemies": []}),
            r"formation: allies has 1 points\. It is a list of 3 points",
        ),
        (dict(n_agents=0), "n_agents is 0. It is a whole number of at least 1"),
        (dict(n_agents=400), r"starts\.reflect has to place 400 units in 15 x 32 cells\. There is surely room for 58"),
        (dict(copies=True), "generator: unknown field 'copies'"),
    ],
)
def test_a_generator_that_cannot_be_is_refused_in_one_line(changes, message):
    with pytest.raises(MapError, match=message) as error:
        load_scenario({"generator": {**GOOD, **changes}})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(groups=[]), "groups and a generator. A map has one of them"),
        (dict(n_agents=4), r"number of allied units is stated as 4\. The generator draws 3"),
        (dict(type_slots={"MARINE": 0, "MEDIVAC": 0}), "two types share a slot"),
        (dict(type_slots={"MARINE": 0}), "type 'MEDIVAC' has no place in type_slots"),
        (dict(size=[4, 4]), r"starts\.reflect has to place 3 units in 1 x 4 cells"),
    ],
)
def test_a_map_that_does_not_fit_its_generator_is_refused(fields, message):
    with pytest.raises(MapError, match=message):
        load_scenario({"generator": GOOD, **fields})


def test_units_of_a_drawn_map_are_asked_of_the_engine():
    with pytest.raises(MapError, match=r"units are drawn for every battle\. Ask BattleEngine\.lineup"):
        load_scenario("terran_5_vs_5").unit_type  # noqa: B018


def test_check_and_show(tmp_path, capsys):
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"generator": GOOD}))
    assert check(str(path)) == [] and main(["check", str(path)]) == 0
    path.write_text(json.dumps({"generator": {**GOOD, "starts": {"reflect": 0.5}}}))
    assert main(["check", str(path)]) == 1 and "starts sum to 0.5" in capsys.readouterr().out
    text = show("zerg_5_vs_5")
    assert "5 of zergling 0.45, baneling 0.1, hydralisk 0.45 vs 5 of" in text and "smacv2 rules" in text
    assert (
        "starts surrounded 0.5, reflect 0.5; enemies copy the allies; a team of baneling alone is drawn again" in text
    )
    assert text.count("sample ") == 3 and text.count(" 31 ") == 3


def test_a_drawn_map_has_its_own_rules_unless_others_are_asked_for():
    assert (
        load_scenario({"generator": GOOD}).profile.name == "smacv2" and load_scenario("3m").profile.name == "smaclite"
    )
    other = load_scenario({"generator": GOOD}, "smac")
    assert other.profile.name == "smac" and other.obs_size == load_scenario({"generator": GOOD}).obs_size - 2
    with pytest.raises(BattleError, match="opponent: found 'flee'"):
        BattleEngine("terran_5_vs_5", 1, opponent="flee")
