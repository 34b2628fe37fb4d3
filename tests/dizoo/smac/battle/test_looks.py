"""SMACv2's conic field of view: what an agent sees and may name depends on the direction it looks in."""

import numpy as np
import pytest

from dizoo.smac.battle import BattleEngine, BattleError
from dizoo.smac.battle.kernels.state import HIDDEN, MOVE_COMMAND, OWNER, TARGET_COMMAND
from dizoo.smac.battle.recording.recorder import BattleRecorder
from dizoo.smac.battle.recording.replay import parse_replay, target_unit
from dizoo.smac.battle.teams.floors import play
from dizoo.smac.battle.teams.scripted import make_team, random_actions

STOP, NORTH, FIRST_LOOK, DIRECTIONS = 1, 2, 6, 12
FIRST_TARGET = FIRST_LOOK + DIRECTIONS


def battle(allies, enemies, types="MARINE", **options):
    """One battle of one type (Marines: sight 9, target range 5) at given places."""
    generator = dict(
        n_agents=len(allies), n_enemies=len(enemies), types={types: 1.0}, starts={"formation": 1.0},
        formation={"allies": allies, "enemies": enemies},
    )  # fmt: skip
    options = {"num_fov_actions": DIRECTIONS, **options}
    return BattleEngine({"generator": generator}, 1, num_threads=1, **options)


def around(distance, *degrees):
    """Places at a distance from (16, 16), by angle."""
    return [[16 + distance * np.cos(a), 16 + distance * np.sin(a)] for a in np.radians(degrees)]


def seen(engine, block="enemies"):
    """(E, A, n) whether each agent's observation shows each enemy or other ally."""
    return getattr(engine.scenario.obs_layout, block).read(engine.agent_state, "hp") > 0


def look(engine, *directions):
    """Restore the battle as it was, with all agents looking in the given directions."""
    state = engine.get_state()
    state["look"][:, engine.agent_unit] = directions
    engine.set_state(state)


def test_sizes_and_names():
    """SMACv2's: an action per direction, two entries of each agent's own part and of its part of the state."""
    engine = BattleEngine("protoss_5_vs_5", 1, num_threads=1, num_fov_actions=DIRECTIONS)
    assert (engine.action_shape, engine.obs_shape, engine.global_obs_shape) == (23, 92 + 2, 130 + 5 * 2 + 5 * 12)
    own = [name.removeprefix("own.") for name in engine.obs_names if name.startswith("own.")]
    assert own == ["hp", "shield", "x", "y", "fov_x", "fov_y", "is_stalker", "is_zealot", "is_colossus"]
    ally = [name.removeprefix("ally0.") for name in engine.state_names if name.startswith("ally0.")]
    assert ally[4:] == ["shield", "fov_x", "fov_y", "is_stalker", "is_zealot", "is_colossus"]
    assert not any("fov" in name for name in engine.obs_names if not name.startswith("own"))


def test_a_cone_by_hand():
    """Twelve cones of 30 degrees, the first around east. The fifth enemy is opposite: SMACv2's arctangents see it."""
    engine = battle([[16, 16]], around(4, 0, 14, -14, 16, 180) + around(7, 2) + around(9.5, -2))
    assert seen(engine)[0, 0].tolist() == [True, True, True, False, False, True, False]
    assert engine.action_mask[0, 0, FIRST_TARGET:].tolist() == [True, True, True, False, False, False, False]
    assert engine.action_mask[0, 0, FIRST_LOOK:FIRST_TARGET].all() and not engine.action_mask[0, 0, 0]
    for direction, shown in ((6, [False] * 4 + [True, False, False]), (1, [False] * 3 + [True] + [False] * 3)):
        look(engine, direction)
        assert seen(engine)[0, 0].tolist() == shown
        assert engine.action_mask[0, 0, FIRST_TARGET:].tolist() == shown
        angle = np.radians(30 * direction)
        own = engine.scenario.obs_layout.own
        shown = [own.read(engine.agent_state, name)[0, 0, 0] for name in ("fov_x", "fov_y")]
        assert shown == pytest.approx([np.cos(angle), np.sin(angle)], abs=1e-7)
        allies = engine.scenario.state_layout.allies
        assert [allies.read(engine.global_state, name)[0, 0] for name in ("fov_x", "fov_y")] == shown


@pytest.mark.parametrize("directions", [1, 2, 3, 12])
def test_the_cones_share_out_what_is_seen_all_around(directions):
    """Each unit in sight is seen in the direction nearest to it, by arctangents of two arguments; two on a border."""
    engine = BattleEngine("zerg_20_vs_20", 8, num_threads=1, num_fov_actions=directions, random_side=True)
    whole = BattleEngine("zerg_20_vs_20", 8, num_threads=1, random_side=True)
    sides = engine.battles["mirrored"]
    assert 0 < sides.sum() < 8 and (sides == whole.battles["mirrored"]).all()
    us, them = (engine.units[:, ids] for ids in (engine.agent_unit, engine.enemy_unit))
    dx, dy = (them[axis][:, None].astype(float) - us[axis][..., None] for axis in "xy")
    angle = np.arctan2(dy, np.where(sides[:, None, None], -dx, dx))  # as the agents see it
    times = np.zeros(angle.shape, int)
    for direction in range(directions):
        look(engine, *[direction] * 20)
        off = np.abs(np.angle(np.exp(1j * (angle - 2 * np.pi * direction / directions))))
        inside = off <= np.pi / directions + 1e-7
        np.testing.assert_array_equal(seen(engine), seen(whole) & inside)
        named = engine.action_mask[..., engine.scenario.first_target :]
        np.testing.assert_array_equal(named, whole.action_mask[..., FIRST_LOOK:] & inside)
        times += seen(engine)
    assert ((times >= 1) == seen(whole)).all() and (times > 1).mean() < 0.05


def test_a_look_lasts_and_leaves_the_order():
    engine = battle([[16, 6]], [[16, 30]])
    engine.step([[NORTH]])
    before = engine.units[0, 0].copy()
    engine.step([[FIRST_LOOK + 3]])
    after = engine.units[0, 0].copy()
    assert (after["command"], after["command_y"]) == (MOVE_COMMAND, before["command_y"]) and after["y"] > before["y"]
    engine.step([[STOP]])
    assert after["look"] == engine.units["look"][0, 0] == 3
    engine.reset()
    assert engine.units["look"][0, 0] == 0


def test_allies_are_seen_and_healed_in_the_cone_only():
    engine = battle([[16, 16], [16, 18], [18, 16]], [[3, 3]])
    assert seen(engine, "other_allies")[0].tolist() == [[False, True], [False, False], [False, False]]
    engine = BattleEngine("MMM", 1, rules="smac", num_threads=1, num_fov_actions=DIRECTIONS)
    healer = int(np.flatnonzero(engine.kinds["is_healer"][0, engine.agent_unit])[0])
    whole = BattleEngine("MMM", 1, rules="smac", num_threads=1)
    named = np.zeros_like(whole.action_mask[0, healer])
    for direction in range(DIRECTIONS):
        look(engine, *[direction] * engine.agent_num)
        mine = engine.action_mask[0, healer, FIRST_TARGET:]
        flags = engine.scenario.obs_layout.enemies.read(engine.agent_state, "can_target")[0, healer]
        assert (flags <= mine[: len(flags)]).all() and not (named[FIRST_LOOK:] & mine).any()
        named[FIRST_LOOK:] |= mine
    assert named[FIRST_LOOK:].sum() > 1
    np.testing.assert_array_equal(named[FIRST_LOOK:], whole.action_mask[0, healer, FIRST_LOOK:])


def test_the_first_to_see_an_enemy_has_it_in_its_cone():
    """With extended partial observability: agent 0 looks past the enemy, 56 degrees to the north; agent 1 sees it."""
    places = [[10, 16], [12, 22]], [[14, 22]]
    assert battle(*places, prob_obs_enemy=0.0).get_state()["sightings"][0, :, 0].tolist() == [HIDDEN, OWNER]
    whole = battle(*places, prob_obs_enemy=0.0, num_fov_actions=0)
    assert whole.get_state()["sightings"][0, :, 0].tolist() == [OWNER, HIDDEN]


def test_an_order_outside_the_cone_is_not_sent():
    for degrees, sent in ((180, False), (10, True)):
        engine = battle([[16, 16]], around(4, degrees), action_mask=False)
        assert engine.action_mask[0, 0, FIRST_TARGET]
        engine.step([[FIRST_TARGET]])
        assert (engine.units["command"][0, 0] == TARGET_COMMAND) == sent


def test_states_hold_the_looks():
    engine, other = (
        BattleEngine("terran_5_vs_5", 8, seed, num_threads=threads, num_fov_actions=5)
        for seed, threads in ((0, 1), (1, 2))
    )
    rng = np.random.default_rng(0)
    for step in range(40):
        actions = random_actions(engine.action_mask, rng)
        engine.step(actions)
        if step >= 5:
            other.step(actions)
        if step >= 4:
            if step == 4:
                other.set_state(engine.get_state())
            np.testing.assert_array_equal(other.agent_state, engine.agent_state)
            np.testing.assert_array_equal(other.global_state, engine.global_state)
            for each in (engine, other):
                each.reset(each.terminated | each.truncated)
    state = engine.get_state()
    with pytest.raises(BattleError, match=r"state\['look'\]: found 5. Values go from 0 to 4"):
        engine.set_state({**state, "look": np.full_like(state["look"], 5)})
    assert "look" not in BattleEngine("terran_5_vs_5", 1, num_threads=1).get_state()
    for wrong, right in ((-1, "a whole number of at least 0"), (361, "at most 360")):
        with pytest.raises(BattleError, match=f"num_fov_actions: found {wrong}. It is {right}"):
            BattleEngine("3m", 1, num_fov_actions=wrong)


def test_scripts_look_at_their_targets():
    """Without looking, a team would fight only what happens to be east of it."""
    engine = BattleEngine("terran_5_vs_5", 256, num_threads=1, num_fov_actions=DIRECTIONS)
    play(engine, make_team("attack_nearest", engine.scenario, 0))
    assert 0.05 < engine.battle_won.mean() < 0.5


def test_recordings_name_looks_and_targets():
    engine, games = battle([[16, 16]], around(4, 0, 180)), []
    recorder = BattleRecorder(engine, 1, games.append)
    recorder.reset()
    while not games:
        recorder.step(np.where(engine.action_mask[..., 0], 0, FIRST_LOOK + 2))
    header = parse_replay(games[0].content({}, {})).header
    assert header["action_names"][FIRST_LOOK + 2] == "look 60 degrees"
    assert header["action_names"][FIRST_TARGET:] == ["target 0", "target 1"]
    assert target_unit(header, 0, FIRST_TARGET + 1) == 2 and target_unit(header, 0, FIRST_LOOK + 2) is None
