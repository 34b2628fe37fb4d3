"""Drawn battles and the profile ``smacv2``: ranges, observations, opponents, ends, rewards, states, recordings."""

import numpy as np
import pytest

from dizoo.smac.battle import BattleEngine, BattleError, load_scenario
from dizoo.smac.battle.maps.generator import STARTS
from dizoo.smac.battle.maps.scenario import task_names
from dizoo.smac.battle.recording.recorder import BattleRecorder
from dizoo.smac.battle.recording.replay import parse_replay
from dizoo.smac.battle.teams.floors import play
from dizoo.smac.battle.teams.scripted import TEAMS, make_team, random_actions
from dizoo.smac.battle.teams.stateview import StateView
from dizoo.smac.search.search import play_again, search

SIGHT = dict(MARINE=9, MARAUDER=10, MEDIVAC=11, STALKER=10, ZEALOT=9, COLOSSUS=10, ZERGLING=8, HYDRALISK=9, BANELING=8)
MASK = dict(MARINE=5, MARAUDER=6, MEDIVAC=4, STALKER=6, ZEALOT=2, COLOSSUS=7, ZERGLING=2, HYDRALISK=5, BANELING=2)
RACE_OF = dict(zip(SIGHT, ["terran"] * 3 + ["protoss"] * 3 + ["zerg"] * 3, strict=True))


def duel(race: str, allies: list[str], enemies: list[str], places: list[tuple[float, float]], **options):
    """One battle of given units at given places, made from a formation; types are set in the state."""
    names = [t.name for t in load_scenario(f"{race}_5_vs_5").types]
    points = {"allies": [[4, 4]] * len(allies), "enemies": [[28, 28]] * len(enemies)}
    generator = dict(
        n_agents=len(allies), n_enemies=len(enemies), types=dict.fromkeys(names, 1 / 3), starts={"formation": 1.0},
        formation=points,
    )  # fmt: skip
    engine = BattleEngine({"generator": generator}, 1, num_threads=1, **options)
    state = engine.get_state()
    types = [engine.scenario.types[names.index(name)] for name in allies + enemies]
    state["type"][0] = [names.index(t.name) for t in types]
    state["x"][0], state["y"][0] = np.array(places, np.float32).T
    for field, values in (("hp", "hp"), ("shield", "shield"), ("energy", "energy_start")):
        state[field][0] = [getattr(t, values) for t in types]
    engine.set_state(state)
    return engine


def stop(engine, steps=1):
    for _ in range(steps):
        engine.step(np.where(engine.action_mask[..., 0], 0, 1))


@pytest.mark.parametrize("name", SIGHT)
def test_sight_and_mask_ranges_of_each_type(name):
    """Just inside and just outside: sight is exclusive, the mask inclusive. Healers are asked about an ally."""
    healer = name == "MEDIVAC"
    race, other = RACE_OF[name], "MARINE" if healer else name

    def seen(distance):
        places = [(5, 16), (5 + distance if healer else 5, 16 if healer else 28), (31, 3 if healer else 16)]
        if not healer:
            places[2] = (5 + distance, 16)
        engine = duel(race, [name, other], [other], places)
        layout = engine.scenario.obs_layout
        block = layout.other_allies if healer else layout.enemies
        row = engine.agent_state[0, 0]
        visible = block.read(row, "hp")[0] > 0
        distance_shown = block.read(row, "distance")[0]
        return visible, engine.action_mask[0, 0, 7 if healer else 6], distance_shown

    sight, mask = SIGHT[name], MASK[name]
    assert seen(sight - 0.01)[0] and not seen(sight)[0] and not seen(sight + 0.01)[0]
    assert seen(mask)[1] and not seen(mask + 0.01)[1]
    assert seen(sight / 2)[2] == pytest.approx(0.5)  # in units of the observer's own sight


def test_own_part_of_the_observation():
    engine = duel("protoss", ["STALKER"], ["ZEALOT"], [(8, 24), (30, 2)])
    names = [n for n in engine.obs_names if n.startswith("own.")]
    assert names == ["own.hp", "own.shield", "own.x", "own.y", "own.is_stalker", "own.is_zealot", "own.is_colossus"]
    np.testing.assert_array_equal(engine.agent_state[0, 0, -7:], [1, 1, 0.25, 0.75, 1, 0, 0])
    mirrored = BattleEngine("zerg_5_vs_5", 8, random_side=True, num_threads=1)
    own, x = mirrored.scenario.obs_layout.own, mirrored.units["x"][:, :5] / 32
    side = mirrored.battles["mirrored"][:, None]
    assert 0 < side.sum() < 8
    np.testing.assert_allclose(own.read(mirrored.agent_state, "x")[..., 0], np.where(side, 1 - x, x), atol=1e-6)


@pytest.mark.parametrize(("opponent", "turns"), [("chase", False), ("near", True)])
def test_who_chases_keeps_its_target_and_who_does_not_takes_the_nearest(opponent, turns):
    """A Zealot runs after the first Stalker; then the second comes nearer than the first is."""
    places = [(16, 10), (31, 31), (16, 16)]
    engine = duel("protoss", ["STALKER", "STALKER"], ["ZEALOT"], places, opponent=opponent)
    stop(engine)
    assert engine.units["target"][0, 2] == 0
    state = engine.get_state()
    state["x"][0, 1], state["y"][0, 1] = 16, state["y"][0, 2] + 3  # nearer than the first, out of its weapon's range
    engine.set_state(state)
    stop(engine)
    assert engine.units["target"][0, 2] == (1 if turns else 0)
    state = engine.get_state()
    state["hp"][0, 0], state["in_play"][0, 0] = 0.0, False
    engine.set_state(state)
    stop(engine)
    assert engine.units["target"][0, 2] == 1


def test_enemies_come_from_anywhere_and_healers_follow_their_fighters():
    places = [(2, 2), (30, 30), (30, 20), (16, 4)]
    engine = duel("terran", ["MARINE"], ["MARINE", "MEDIVAC", "MARAUDER"], places)
    before = engine.units[["x", "y"]][0].copy()
    stop(engine)
    after = engine.units[0]
    assert engine.units["target"][0, 1] == 0 and engine.units["target"][0, 3] == 0  # across the whole map
    # the Medivac flies 8/16 s at 2.75 cells/s towards the nearest fighter of its side, 10 cells north
    assert after["x"][2] == pytest.approx(30, abs=0.2) and after["y"][2] == pytest.approx(
        before["y"][2] + 1.375, abs=0.1
    )
    stop(engine, 12)
    healer, fighter = engine.units[0, 2], engine.units[0, 1]
    # and stays where it could heal it: range 4 between their edges, give or take the way of a tick
    assert np.hypot(healer["x"] - fighter["x"], healer["y"] - fighter["y"]) < 4 + 0.75 + 0.375 + 0.3


@pytest.mark.parametrize(
    ("allies", "enemies", "won"),
    [
        (["MARINE", "MEDIVAC"], ["MEDIVAC"], True),
        (["MEDIVAC"], ["MARINE", "MEDIVAC"], False),
        (["MEDIVAC"], ["MEDIVAC"], False),  # the allies' side is looked at first
    ],
)
def test_a_side_of_medivacs_only_is_beaten(allies, enemies, won):
    places = [(3 + 3 * i, 3) for i in range(len(allies))] + [(3 + 3 * i, 29) for i in range(len(enemies))]
    engine = duel("terran", allies, enemies, places)
    stop(engine)
    assert engine.terminated[0] and bool(engine.battle_won[0]) == won


def test_what_enemies_regain_costs_nothing():
    """SMAC pays the absolute value of a net gain of the enemies; SMACv2 pays nothing."""
    engine = duel("protoss", ["ZEALOT"], ["ZEALOT"], [(3, 3), (29, 29)])
    state = engine.get_state()
    state["shield"][0, 1] = 10.0
    engine.set_state(state)
    stop(engine)
    assert engine.units["shield"][0, 1] > 10 and engine.reward[0] == 0.0


@pytest.mark.parametrize("name", ["terran_5_vs_5", "protoss_5_vs_5", "zerg_5_vs_5"])
def test_random_games_stay_inside_end_in_time_and_differ(name):
    engine, rng = BattleEngine(name, 64, seed=3, num_threads=1), np.random.default_rng(0)
    radius = engine.kinds["radius"]
    while not (engine.terminated | engine.truncated).all():
        engine.step(random_actions(engine.action_mask, rng))
        for place in ("x", "y"):
            at = engine.units[place]
            assert (at >= radius - 1e-3).all() and (at <= 32 - radius + 1e-3).all()
    length = engine.episode_length
    assert length.max() <= 200
    np.testing.assert_array_equal(engine.truncated, (length == 200) & ~engine.terminated)


@pytest.mark.parametrize("team", TEAMS)
def test_scripted_teams_play_drawn_battles(team):
    engine = BattleEngine("terran_5_vs_5", 64, seed=1, num_threads=1)
    returns = play(engine, make_team(team, engine.scenario, 0))
    assert len(np.unique(np.round(returns, 6))) > 55  # every battle is another one
    assert engine.battle_won.mean() <= 0.05 if team == "random" else 0.1 < engine.battle_won.mean() < 0.5


MIXED = dict(n_agents=3, n_enemies=3, types={"MARINE": 0.5, "ZEALOT": 0.5}, starts={"reflect": 1.0})


@pytest.mark.parametrize(
    "source",
    [
        "protoss_10_vs_11",
        {"generator": MIXED, "type_slots": {"MARINE": 3, "ZEALOT": 1}},
        {"generator": {**MIXED, "types": {"ZEALOT": 1.0}}, "type_slots": {}},
    ],
)
def test_types_are_read_from_the_state(source):
    engine = BattleEngine(source, 16, num_threads=1)
    for side, ids in zip(StateView(engine.scenario).read(engine.global_state), (engine.agent_unit, engine.enemy_unit),
                         strict=True):  # fmt: skip
        np.testing.assert_array_equal(np.broadcast_to(side.type, (16, len(ids))), engine.kinds["type"][:, ids])
        np.testing.assert_allclose(side.points, (engine.units["hp"] + engine.units["shield"])[:, ids], rtol=1e-6)
        np.testing.assert_allclose(side.pos[..., 0], engine.units["x"][:, ids], atol=1e-5)


def outputs(engine):
    return [
        a.copy() for a in (engine.agent_state, engine.global_state, engine.action_mask, engine.reward, engine.kinds)
    ]


def test_state_and_clones_carry_who_fights():
    engine, other = (BattleEngine("zerg_5_vs_5", 6, seed=s, num_threads=1) for s in (1, 2))
    rng = np.random.default_rng(0)
    for _ in range(5):
        engine.step(random_actions(engine.action_mask, rng))
    other.set_state(engine.get_state())
    assert all(np.array_equal(a, b) for a, b in zip(outputs(engine), outputs(other), strict=True))
    for e in (engine, other):
        e.clone(np.array([0, 0, 1, 1, 5, 5]))
    assert np.array_equal(engine.kinds[0], engine.kinds[1]) and not np.array_equal(engine.kinds[1], engine.kinds[2])
    for _ in range(60):  # over the next battles, which are drawn from the battles' own streams
        action = random_actions(engine.action_mask, rng)
        for e in (engine, other):
            e.step(action)
            e.reset(e.terminated | e.truncated)
        assert all(np.array_equal(a, b) for a, b in zip(outputs(engine), outputs(other), strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(type=s["type"] + 3), r"state\['type'\]: found \d\. Values go from 0 to 2"),
        (
            lambda s: s.update(start_kind=s["start_kind"] + 3),
            r"state\['start_kind'\]: found \d\. Values go from 0 to 2",
        ),
        (lambda s: s.update(generator=s["generator"] + 1), "battles are of another generator"),
        (lambda s: s.pop("start_x"), r"state\['start_x'\]: missing"),
        (lambda s: s.update(BattleEngine("terran_5_vs_5", 2).get_state()), "battles are of another generator"),
    ],
)
def test_states_of_other_battles_are_refused_and_change_nothing(change, message):
    engine = BattleEngine("zerg_5_vs_5", 2, num_threads=1)
    before, state = outputs(engine), engine.get_state()
    change(state)
    with pytest.raises(BattleError, match=message):
        engine.set_state(state)
    assert all(np.array_equal(a, b) for a, b in zip(outputs(engine), before, strict=True))


def test_recordings_name_the_units_of_their_own_battle():
    engine = BattleEngine("terran_5_vs_5", 2, seed=4, num_threads=1)
    found = []

    def note(game):  # before the battle's next game is drawn
        e = game.number % 2
        found.append((game, [t.name for t in engine.lineup(e)], STARTS[engine.start_kind[e]]))

    recorder, rng = BattleRecorder(engine, 4, note), np.random.default_rng(0)
    recorder.reset()
    while len(found) < 4:
        recorder.step(random_actions(engine.action_mask, rng))
        recorder.reset(engine.terminated | engine.truncated)
    for game, types, start in found:
        header = parse_replay(game.content({}, {})).header
        assert [unit["type"] for unit in header["units"]] == types and header["start_kind"] == start
    assert len({tuple(types) for _, types, _ in found}) > 1


def test_the_search_wins_a_drawn_battle_and_shows_it():
    outcome = search("terran_5_vs_5", battles=512, rounds=6, seed=3, threads=1)
    assert outcome.won and outcome.rules == "smacv2" and outcome.again > 0
    game = play_again(outcome, "terran_5_vs_5")
    assert game.replay.won
    np.testing.assert_array_equal(game.action, outcome.plan.actions)


def test_all_tasks_start():
    for name in task_names():
        engine = BattleEngine(name, 2, num_threads=1)
        assert engine.alive.all() and engine.action_mask[:, :, 1].all()
