"""What agents and trainers see: action mask, observations and global state (RULES 5.2, 12, 13).

`obs_names` and `state_names` are the layout table: index by index what the writers below write.
"""

from __future__ import annotations

import math

import numpy as np

from dizoo.smac.battle.kernels.compiler import inlined
from dizoo.smac.battle.kernels.state import NO_ACTION
from dizoo.smac.battle.kernels.targeting import near, squared_distance
from dizoo.smac.battle.maps.rules import SIGHT_RANGE, TARGET_RANGE
from dizoo.smac.battle.maps.scenario import FIRST_TARGET_ACTION, Scenario

NO_OP, STOP, FIRST_MOVE = 0, 1, 2
_PER_SIGHT = 1.0 / SIGHT_RANGE
DIRECTIONS = ("north", "south", "east", "west")


def obs_names(scenario: Scenario) -> list[str]:
    """Meaning of each entry of one agent's observation, in order; its length is the observation size O.

    Args:
        scenario: the map.

    Returns:
        Names such as ``can_move.north``, ``enemy3.distance``, ``other_ally0.hp`` (in index order, without the agent),
        ``own.is_marine``.
    """
    seen = ["distance", "dx", "dy"]
    ally, enemy = (["hp", *_tail_names(scenario, side)] for side in (True, False))
    names = [f"can_move.{d}" for d in DIRECTIONS]
    names += [f"enemy{j}.{f}" for j in range(scenario.n_enemies) for f in ["can_target", *seen, *enemy]]
    names += [f"other_ally{j}.{f}" for j in range(scenario.n_agents - 1) for f in ["visible", *seen, *ally]]
    return names + [f"own.{f}" for f in ally]


def state_names(scenario: Scenario) -> list[str]:
    """Meaning of each entry of the global state, in order; its length is the state size S.

    Args:
        scenario: the map.

    Returns:
        Names such as ``ally0.hp``, ``enemy3.is_marine``, ``last_action.agent2.action5``.
    """
    ally = ["hp", "cooldown_or_energy", "x", "y", *_tail_names(scenario, True)]
    enemy = ["hp", "x", "y", *_tail_names(scenario, False)]
    names = [f"ally{k}.{f}" for k in range(scenario.n_agents) for f in ally]
    names += [f"enemy{j}.{f}" for j in range(scenario.n_enemies) for f in enemy]
    actions = range(scenario.n_actions)
    return names + [f"last_action.agent{k}.action{n}" for k in range(scenario.n_agents) for n in actions]


def _tail_names(scenario: Scenario, ally: bool) -> list[str]:
    """What `write_tail` writes of a side's units; ``type<i>`` where the one-hot has a place for no type of its."""
    units = np.flatnonzero(scenario.is_ally == ally)
    names = ["shield"] if (scenario.ally_has_shields if ally else scenario.enemy_has_shields) else []
    for i in range(scenario.num_type_slots):
        here = units[scenario.type_slot[units] == i]
        types = dict.fromkeys(scenario.types[t].name.lower() for t in scenario.unit_type[here])
        names.append(f"is_{'_or_'.join(types)}" if types else f"type{i}")
    return names


@inlined
def heading(battle, direction):
    """Unit vector of north, south, east, west (0 to 3); east and west change places in a mirrored battle."""
    if direction < 2:
        return 0.0, 1.0 - 2.0 * direction
    return (1.0 if (direction == 2) != battle.mirrored else -1.0), 0.0


@inlined
def can_move(world, unit, battle, direction):
    """Whether the cell one ahead is open; SMAClite exchanges width and height in the bounds (RULES 5.2)."""
    dx, dy = heading(battle, direction)
    x, y = np.float64(unit.x) + dx, np.float64(unit.y) + dy
    width, height = world.map.width, world.map.height
    if not (0.0 <= x < width and 0.0 <= y < height):
        return False
    if world.rules.swap_move_bounds and not (x < height and y < width):
        return False
    return world.open_cells[int(y), int(x)]


@inlined
def write_action_mask(world, units, battle, agent, row):
    """Availability of all actions of one agent into row (N,) bool."""
    row[:] = False
    i = world.agent_unit[agent]
    me = units[i]
    if not me.in_play:
        row[NO_OP] = True
        return
    row[STOP] = True
    for direction in range(4):
        row[FIRST_MOVE + direction] = can_move(world, me, battle, direction)
    healer = world.kinds[i].is_healer
    others = world.agent_unit if healer else world.enemy_unit
    for j in range(min(others.shape[0], row.shape[0] - FIRST_TARGET_ACTION)):
        other = units[others[j]]
        if other.in_play and near(me, other, TARGET_RANGE):
            row[FIRST_TARGET_ACTION + j] = not (healer and world.kinds[others[j]].is_healer)


@inlined
def write_tail(unit, kind, show_shield, n_slots, row, at):
    """Write shield (if shown; 0 for a type without) and type one-hot of a unit into row[at:]."""
    if show_shield:
        row[at] = unit.shield / kind.shield_max if kind.shield_max > 0.0 else 0.0
        at += 1
    for i in range(n_slots):
        row[at + i] = 0.0
    if n_slots > 0:
        row[at + kind.slot] = 1.0


@inlined
def write_seen(battle, me, other, kind, flag, distance, show_shield, n_slots, row, at):
    """Write the block of a visible unit into row[at:]."""
    dx = np.float64(other.x - me.x) * _PER_SIGHT
    row[at] = flag
    row[at + 1] = distance * _PER_SIGHT
    row[at + 2] = -dx if battle.mirrored else dx
    row[at + 3] = np.float64(other.y - me.y) * _PER_SIGHT
    row[at + 4] = other.hp / kind.hp_max
    write_tail(other, kind, show_shield, n_slots, row, at + 5)


@inlined
def target_flag(world, units, i, j, distance, mask):
    """Flag in the block of enemy j: in target range; for a healer, whether *ally* j is (RULES 12)."""
    if not world.kinds[i].is_healer:
        return distance <= TARGET_RANGE
    if not world.rules.healer_flags_show_healers:
        return mask[FIRST_TARGET_ACTION + j]
    if j >= world.agent_unit.shape[0]:
        return False
    k = world.agent_unit[j]
    return k != i and units[k].in_play and squared_distance(units[i], units[k]) <= TARGET_RANGE * TARGET_RANGE


@inlined
def write_enemy_blocks(world, units, battle, i, mask, row):
    """What unit i sees of the enemies, into row (K * block,)."""
    me = units[i]
    show_shield, n_slots = world.map.show_enemy_shield, world.map.n_slots
    block = 5 + show_shield + n_slots
    at = 0
    for j in range(world.enemy_unit.shape[0]):
        k = world.enemy_unit[j]
        d2 = squared_distance(me, units[k])
        if units[k].in_play and d2 <= SIGHT_RANGE * SIGHT_RANGE:
            distance = math.sqrt(d2)
            flag = 1.0 if target_flag(world, units, i, j, distance, mask) else 0.0
            write_seen(battle, me, units[k], world.kinds[k], flag, distance, show_shield, n_slots, row, at)
        else:
            row[at : at + block] = 0.0
        at += block


@inlined
def write_ally_blocks(world, units, battle, i, row):
    """What unit i sees of the other allies, into row ((A - 1) * block,)."""
    me = units[i]
    show_shield, n_slots = world.map.show_ally_shield, world.map.n_slots
    block = 5 + show_shield + n_slots
    at = 0
    for k in world.agent_unit:
        if k == i:
            continue
        d2 = squared_distance(me, units[k])
        if units[k].in_play and d2 <= SIGHT_RANGE * SIGHT_RANGE:
            write_seen(battle, me, units[k], world.kinds[k], 1.0, math.sqrt(d2), show_shield, n_slots, row, at)
        else:
            row[at : at + block] = 0.0
        at += block


@inlined
def write_observation(world, units, battle, agent, mask, row):
    """The observation of one agent into row (O,) f32, given its row of the action mask; zeros out of play."""
    i = world.agent_unit[agent]
    me, kind = units[i], world.kinds[i]
    if not me.in_play:
        row[:] = 0.0
        return
    for direction in range(4):
        row[direction] = mask[FIRST_MOVE + direction]
    own_at = row.shape[0] - (1 + world.map.show_ally_shield + world.map.n_slots)
    allies_at = 4 + world.enemy_unit.shape[0] * (5 + world.map.show_enemy_shield + world.map.n_slots)
    write_enemy_blocks(world, units, battle, i, mask, row[4:allies_at])
    write_ally_blocks(world, units, battle, i, row[allies_at:own_at])
    row[own_at] = me.hp / kind.hp_max
    write_tail(me, kind, world.map.show_ally_shield, world.map.n_slots, row, own_at + 1)


@inlined
def write_position(world, unit, battle, row, at):
    """Write the position as offsets from the map's centre, in map sizes."""
    x = (np.float64(unit.x) - 0.5 * world.map.width) / world.map.width
    row[at] = -x if battle.mirrored else x
    row[at + 1] = (np.float64(unit.y) - 0.5 * world.map.height) / world.map.height


@inlined
def write_global_state(world, units, battle, last_action, row):
    """The global state into row (S,) f32: allies, enemies, last actions; zeros for units out of play."""
    row[:] = 0.0
    at = 0
    n_slots = world.map.n_slots
    for i in world.agent_unit:
        unit, kind = units[i], world.kinds[i]
        if unit.in_play:
            row[at] = unit.hp / kind.hp_max
            row[at + 1] = (unit.energy if kind.is_healer else unit.cooldown) * kind.cooldown_scale
            write_position(world, unit, battle, row, at + 2)
            write_tail(unit, kind, world.map.show_ally_shield, n_slots, row, at + 4)
        at += 4 + world.map.show_ally_shield + n_slots
    for i in world.enemy_unit:
        unit, kind = units[i], world.kinds[i]
        if unit.in_play:
            row[at] = unit.hp / kind.hp_max
            write_position(world, unit, battle, row, at + 1)
            write_tail(unit, kind, world.map.show_enemy_shield, n_slots, row, at + 3)
        at += 3 + world.map.show_enemy_shield + n_slots
    for action in last_action:
        if action != NO_ACTION:
            row[at + action] = 1.0
        at += world.map.n_actions


@inlined
def write_features(world, units, battle, last_action, mask, observations, state):
    """Mask (A, N), observations (A, O) and global state (S,) of one battle."""
    for agent in range(world.agent_unit.shape[0]):
        write_action_mask(world, units, battle, agent, mask[agent])
        write_observation(world, units, battle, agent, mask[agent], observations[agent])
    write_global_state(world, units, battle, last_action, state)
