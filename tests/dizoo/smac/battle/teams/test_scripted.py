"""Scripted teams on hand-made situations, and that they only ever choose available actions."""

import numpy as np
import pytest

from dizoo.smac.battle.errors import BattleError
from dizoo.smac.battle.maps.scenario import load_scenario
from dizoo.smac.battle.teams.scripted import (
    EAST,
    NO_OP,
    NORTH,
    SOUTH,
    STOP,
    TEAMS,
    WEST,
    AttackNearest,
    FocusFire,
    make_team,
    random_actions,
    walk_towards,
)
from dizoo.smac.battle.teams.stateview import StateView


def make_state(scenario, allies, enemies):
    """(1, S) global state out of per unit (hp fraction, x, y[, shield fraction]); a missing unit is dead."""
    rows = []
    for units, count, extra, shields in (
        (allies, scenario.n_agents, 1, scenario.ally_has_shields),
        (enemies, scenario.n_enemies, 0, scenario.enemy_has_shields),
    ):
        for k in range(count):
            block = np.zeros(3 + extra + shields + scenario.num_type_slots)
            if k in units:
                hp, x, y, *shield = units[k]
                block[0] = hp
                block[1 + extra : 3 + extra] = (x - 16) / 32, (y - 16) / 32
                if shields:
                    block[3 + extra] = shield[0] if shield else 0
            rows.append(block)
    flat = np.concatenate([*rows, np.zeros(scenario.n_agents * scenario.n_actions)])
    assert len(flat) == scenario.state_size
    return flat[None].astype(np.float32)


def make_mask(scenario, targets, dead=()):
    """(1, A, N): stop and all moves for everybody, plus the given targets per agent."""
    mask = np.zeros((1, scenario.n_agents, scenario.n_actions), dtype=bool)
    mask[0, :, 1:6] = True
    for agent, available in targets.items():
        mask[0, agent, [6 + t for t in available]] = True
    for agent in dead:
        mask[0, agent] = False
        mask[0, agent, NO_OP] = True
    return mask


@pytest.fixture
def marines():
    return load_scenario("3m")


def test_state_view_reads_positions_and_points():
    s = load_scenario("2s3z")
    state = make_state(s, {0: (0.5, 9, 16, 0.25), 4: (1.0, 8, 15, 1.0)}, {1: (0.75, 20.5, 17, 0.5)})
    allies, enemies = StateView(s).read(state)
    assert allies.pos[0, 0] == pytest.approx([9, 16], abs=1e-5)
    assert enemies.pos[0, 1] == pytest.approx([20.5, 17], abs=1e-5)
    # stalker: 80 hp and 80 shield; zealot: 100 and 50
    assert allies.points[0] == pytest.approx([40 + 20, 0, 0, 0, 150])
    assert enemies.points[0] == pytest.approx([0, 60 + 40, 0, 0, 0])
    assert allies.hurt[0].tolist() == [True, False, False, False, False]


def test_state_view_follows_the_agent_order_of_the_profile():
    scenario = load_scenario("MMM", "smac")
    allies, _ = StateView(scenario).read(np.zeros((1, scenario.state_size), np.float32))
    types = [scenario.types[t].name for t in allies.type[0]]
    assert types == ["MARAUDER"] * 2 + ["MARINE"] * 7 + ["MEDIVAC"]


def test_walk_towards():
    mask = np.ones((1, 1, 9), dtype=bool)

    def walk(x, y, blocked=()):
        m = mask.copy()
        m[0, 0, list(blocked)] = False
        return walk_towards(np.array([[[x, y]]]), m)[0, 0]

    assert [walk(3, 1), walk(-3, 1), walk(1, 3), walk(1, -3)] == [EAST, WEST, NORTH, SOUTH]
    assert walk(3, 1, [EAST]) == NORTH and walk(3, -1, [EAST]) == SOUTH
    assert walk(3, 1, [EAST, NORTH]) == STOP


def test_attack_nearest(marines):
    state = make_state(marines, {0: (1, 9, 16), 1: (1, 9, 12)}, {0: (1, 14, 16), 1: (0.2, 12, 16.5), 2: (1, 9, 22)})
    team = AttackNearest(marines)
    # agent 1 reaches nobody; the nearest enemy is 3 cells east and 4.5 north of it
    actions = team.act(state, make_mask(marines, {0: [0, 1, 2]}, dead=[2]))
    assert actions.tolist() == [[6 + 1, NORTH, NO_OP]]


def test_attack_nearest_chooses_anew_in_every_step(marines):
    team = AttackNearest(marines)
    mask = make_mask(marines, {k: [0, 1, 2] for k in range(3)})
    allies = {k: (1, 9, 16) for k in range(3)}
    assert team.act(make_state(marines, allies, {0: (1, 11, 16), 1: (1, 12, 16)}), mask).tolist() == [[6, 6, 6]]
    assert team.act(make_state(marines, allies, {0: (1, 13, 16), 1: (1, 12, 16)}), mask).tolist() == [[7, 7, 7]]


def test_focus_fire_takes_the_weakest_in_weapon_range(marines):
    # marines reach 5 + 2 x 0.375 = 5.75 cells, and half a cell more is walked
    enemies = {0: (0.9, 12, 16), 1: (0.3, 15.2, 16), 2: (0.1, 15.3, 16)}
    state = make_state(marines, {k: (1, 9, 16) for k in range(3)}, enemies)
    actions = FocusFire(marines).act(state, make_mask(marines, {0: [0, 1, 2], 1: [0]}))
    # agent 2 may not attack anybody yet and walks towards the nearest
    assert actions.tolist() == [[7, 6, EAST]]


def test_healers_and_what_cannot_be_hit():
    s = load_scenario("MMM")  # agent 0 medivac, 1-7 marines, 8-9 marauders; enemies in the same order
    allies = {0: (1, 9, 16), 1: (0.5, 10, 16), 2: (0.9, 9, 15), 8: (1, 12, 16)}
    enemies = {0: (1, 13, 16), 1: (1, 14, 16)}
    state = make_state(s, allies, enemies)
    dead = [k for k in range(10) if k not in allies]
    mask = make_mask(s, {0: [1, 2, 8], 1: [0, 1], 2: [0, 1], 8: [0, 1]}, dead)
    actions = AttackNearest(s).act(state, mask)[0]
    assert actions[0] in (6 + 1, 6 + 2)  # both hurt allies are one cell away
    assert (actions[1], actions[8]) == (6 + 0, 6 + 1)  # a marauder cannot shoot at the medivac
    focus = FocusFire(s).act(state, mask)[0]
    assert focus[0] == 6 + 1  # lost most
    # nobody hurt: SMAC's healer stands, ours follows the nearest fighter (one cell south)
    whole = {k: (1, *v[1:]) for k, v in allies.items()}
    state = make_state(s, {**whole, 1: (1, 12, 16)}, enemies)
    assert AttackNearest(s).act(state, mask)[0, 0] == STOP
    assert FocusFire(s).act(state, mask)[0, 0] == SOUTH


def test_random_actions_are_uniform_over_the_available():
    mask = np.zeros((20000, 7), dtype=bool)
    mask[:, [1, 2, 6]] = True
    counts = np.bincount(random_actions(mask, np.random.default_rng(0)), minlength=7)
    assert counts[[0, 3, 4, 5]].sum() == 0
    # three actions of 1/3 each: a standard deviation is 67
    assert np.abs(counts[[1, 2, 6]] - 20000 / 3).max() < 5 * 67


@pytest.mark.parametrize("team", TEAMS)
@pytest.mark.parametrize("name", ["MMM2", "2c_vs_64zg", "2s_vs_1sc"])
def test_every_team_chooses_available_actions_in_random_situations(name, team):
    s = load_scenario(name)
    rng = np.random.default_rng(1)
    script = make_team(team, s)
    for _ in range(5):
        state = rng.uniform(-0.5, 0.5, (64, s.state_size)).astype(np.float32)
        mask = rng.random((64, s.n_agents, s.n_actions)) < 0.3
        mask[:, :, NO_OP] = False
        dead = rng.random((64, s.n_agents)) < 0.2
        mask[dead] = False
        mask[dead, NO_OP] = True
        mask[~dead, STOP] = True
        actions = script.act(state, mask)
        assert actions.shape == (64, s.n_agents)
        assert np.take_along_axis(mask, actions[..., None], axis=2).all()


def test_unknown_team(marines):
    with pytest.raises(BattleError, match=r"no scripted team 'focus'\. Nearest: 'focus_fire'\. Known: random"):
        make_team("focus", marines)
