"""What agents and trainers see: action mask, observations and global state (RULES 5.2, 12, 13).

``maps/layout.py`` defines where each value goes: the blocks are in the map's tables, the columns of a part below.
"""

from __future__ import annotations

import math

import numpy as np

from dizoo.smac.battle.kernels.compiler import inlined
from dizoo.smac.battle.kernels.sightings import in_reach, in_view, may_see
from dizoo.smac.battle.kernels.state import NO_ACTION
from dizoo.smac.battle.kernels.targeting import squared_distance
from dizoo.smac.battle.maps.layout import ALLY_STATE, ENEMY_STATE, OWN, SEEN_ENEMY
from dizoo.smac.battle.maps.scenario import FIRST_LOOK_ACTION

NO_OP, STOP, FIRST_MOVE = 0, 1, 2

# Columns of a part; those shown on only some maps come last (`write_tail`).
_FLAG, _DISTANCE, _DX, _DY, _HP = map(SEEN_ENEMY.index, ("can_target", "distance", "dx", "dy", "hp"))
_ALLY_HP, _ALLY_TIMER, _ALLY_X, _ALLY_Y = map(ALLY_STATE.index, ("hp", "cooldown_or_energy", "x", "y"))
_ENEMY_HP, _ENEMY_X, _ENEMY_Y = map(ENEMY_STATE.index, ("hp", "x", "y"))
_SEEN, _OWN, _ALLY, _ENEMY = map(len, (SEEN_ENEMY, OWN, ALLY_STATE, ENEMY_STATE))


@inlined
def heading(battle, direction):
    """Unit vector of north, south, east, west (0 to 3); a mirrored battle swaps east and west."""
    if direction < 2:
        return 0.0, 1.0 - 2.0 * direction
    return (1.0 if (direction == 2) != battle.mirrored else -1.0), 0.0


@inlined
def can_move(world, unit, battle, direction):
    """Whether the next cell is open; SMAClite swaps width and height in the bounds (RULES 5.2)."""
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
    """Write which actions one agent may take into row (N,) bool."""
    row[:] = False
    i = world.agent_unit[agent]
    me = units[i]
    if not me.in_play:
        row[NO_OP] = True
        return
    row[STOP] = True
    for direction in range(4):
        row[FIRST_MOVE + direction] = can_move(world, me, battle, direction)
    first = world.map.first_target
    row[FIRST_LOOK_ACTION:first] = True
    healer = world.kinds[i].is_healer
    others = world.agent_unit if healer else world.enemy_unit
    for j in range(min(others.shape[0], row.shape[0] - first)):
        other = units[others[j]]
        if other.in_play and (not world.rules.action_mask or in_reach(world, units, battle, i, others[j])):
            row[first + j] = not (healer and world.kinds[others[j]].is_healer)


@inlined
def write_shield(unit, kind, show_shield, row, at):
    """Write a unit's shield (if shown; 0 for a type without) into row[at]; returns the next column."""
    if not show_shield:
        return at
    row[at] = unit.shield / kind.shield_max if kind.shield_max > 0.0 else 0.0
    return at + 1


@inlined
def write_type(kind, n_slots, row, at):
    """Write the type one-hot into row[at:]."""
    for i in range(n_slots):
        row[at + i] = 0.0
    if n_slots > 0:
        row[at + kind.slot] = 1.0


@inlined
def write_tail(unit, kind, show_shield, n_slots, row, at):
    """Write shield (if shown) and type one-hot of a unit into row[at:]."""
    write_type(kind, n_slots, row, write_shield(unit, kind, show_shield, row, at))


@inlined
def write_seen(battle, me, per_sight, other, kind, flag, distance, show_shield, n_slots, row, at):
    """Write the block of a visible unit into row[at:]."""
    dx = np.float64(other.x - me.x) * per_sight
    row[at + _FLAG] = flag
    row[at + _DISTANCE] = distance * per_sight
    row[at + _DX] = -dx if battle.mirrored else dx
    row[at + _DY] = np.float64(other.y - me.y) * per_sight
    row[at + _HP] = other.hp / kind.hp_max
    write_tail(other, kind, show_shield, n_slots, row, at + _SEEN)


@inlined
def target_flag(world, units, battle, i, j, distance, mask):
    """Flag in the block of enemy j, in view: whether it, or for a healer *ally* j, is in target range (RULES 12)."""
    reach = world.kinds[i].target_range
    if not world.kinds[i].is_healer:
        return distance <= reach
    if j >= world.agent_unit.shape[0]:
        return False
    k = world.agent_unit[j]
    if not world.rules.healer_flags_show_healers:
        return mask[world.map.first_target + j] and (world.rules.action_mask or in_reach(world, units, battle, i, k))
    near_enough = squared_distance(units[i], units[k]) <= reach * reach
    return k != i and units[k].in_play and near_enough and in_view(world, battle, units[i], units[k])


@inlined
def write_enemy_blocks(world, units, battle, sightings, agent, mask, row):
    """Write what an agent sees of the enemies into row (O,)."""
    i = world.agent_unit[agent]
    me, kind = units[i], world.kinds[i]
    show_shield, n_slots = world.map.show_enemy_shield, world.map.n_slots
    at, size = world.map.obs_enemies_first, world.map.obs_enemies_size
    for j in range(world.enemy_unit.shape[0]):
        k = world.enemy_unit[j]
        d2 = squared_distance(me, units[k])
        in_sight = units[k].in_play and d2 <= kind.sight_squared and may_see(sightings, agent, j)
        if in_sight and in_view(world, battle, me, units[k]):
            distance = math.sqrt(d2)
            flag = 1.0 if target_flag(world, units, battle, i, j, distance, mask) else 0.0
            write_seen(
                battle, me, kind.per_sight, units[k], world.kinds[k], flag, distance, show_shield, n_slots, row, at
            )
        else:
            row[at : at + size] = 0.0
        at += size


@inlined
def write_ally_blocks(world, units, battle, i, row):
    """Write what unit i sees of the other allies into row (O,)."""
    me, kind = units[i], world.kinds[i]
    show_shield, n_slots = world.map.show_ally_shield, world.map.n_slots
    at, size = world.map.obs_other_allies_first, world.map.obs_other_allies_size
    for k in world.agent_unit:
        if k == i:
            continue
        d2 = squared_distance(me, units[k])
        if units[k].in_play and d2 <= kind.sight_squared and in_view(world, battle, me, units[k]):
            distance = math.sqrt(d2)
            write_seen(
                battle, me, kind.per_sight, units[k], world.kinds[k], 1.0, distance, show_shield, n_slots, row, at
            )
        else:
            row[at : at + size] = 0.0
        at += size


@inlined
def write_observation(world, units, battle, sightings, agent, mask, row):
    """Write one agent's observation into row (O,) f32, given its row of the action mask; zeros out of play."""
    i = world.agent_unit[agent]
    me, kind = units[i], world.kinds[i]
    if not me.in_play:
        row[:] = 0.0
        return
    for direction in range(4):
        row[world.map.obs_can_move_first + direction] = mask[FIRST_MOVE + direction]
    write_enemy_blocks(world, units, battle, sightings, agent, mask, row)
    write_ally_blocks(world, units, battle, i, row)
    at = world.map.obs_own_first
    row[at] = me.hp / kind.hp_max
    at = write_shield(me, kind, world.map.show_ally_shield, row, at + _OWN)
    if world.rules.own_position:
        x = np.float64(me.x) / world.map.width
        row[at] = 1.0 - x if battle.mirrored else x
        row[at + 1] = np.float64(me.y) / world.map.height
        at += 2
    write_type(kind, world.map.n_slots, row, write_look(world, me, row, at))


@inlined
def write_look(world, unit, row, at):
    """Write the direction that an agent looks in into row[at:], if it has one; returns the next column.

    It is the agent's own direction: in a mirrored battle, the first one is still its east.
    """
    if world.directions.shape[0] == 0:
        return at
    row[at] = world.directions[unit.look, 0]
    row[at + 1] = world.directions[unit.look, 1]
    return at + 2


@inlined
def write_position(world, unit, battle, row, x_at, y_at):
    """Write the position as offsets from the map's centre, in map sizes."""
    x = (np.float64(unit.x) - 0.5 * world.map.width) / world.map.width
    row[x_at] = -x if battle.mirrored else x
    row[y_at] = (np.float64(unit.y) - 0.5 * world.map.height) / world.map.height


@inlined
def write_global_state(world, units, battle, last_action, row):
    """Write the global state into row (S,) f32: allies, enemies, last actions; zeros for units out of play."""
    row[:] = 0.0
    n_slots = world.map.n_slots
    at, size = world.map.state_allies_first, world.map.state_allies_size
    for i in world.agent_unit:
        unit, kind = units[i], world.kinds[i]
        if unit.in_play:
            row[at + _ALLY_HP] = unit.hp / kind.hp_max
            row[at + _ALLY_TIMER] = (unit.energy if kind.is_healer else unit.cooldown) * kind.cooldown_scale
            write_position(world, unit, battle, row, at + _ALLY_X, at + _ALLY_Y)
            end = write_shield(unit, kind, world.map.show_ally_shield, row, at + _ALLY)
            write_type(kind, n_slots, row, write_look(world, unit, row, end))
        at += size
    at, size = world.map.state_enemies_first, world.map.state_enemies_size
    for i in world.enemy_unit:
        unit, kind = units[i], world.kinds[i]
        if unit.in_play:
            row[at + _ENEMY_HP] = unit.hp / kind.hp_max
            write_position(world, unit, battle, row, at + _ENEMY_X, at + _ENEMY_Y)
            write_tail(unit, kind, world.map.show_enemy_shield, n_slots, row, at + _ENEMY)
        at += size
    at, size = world.map.state_last_actions_first, world.map.state_last_actions_size
    for action in last_action:
        if action != NO_ACTION:
            row[at + action] = 1.0
        at += size


@inlined
def write_features(world, units, battle, last_action, sightings, mask, observations, state):
    """Write mask (A, N), observations (A, O) and global state (S,) of one battle."""
    for agent in range(world.agent_unit.shape[0]):
        write_action_mask(world, units, battle, agent, mask[agent])
        write_observation(world, units, battle, sightings, agent, mask[agent], observations[agent])
    write_global_state(world, units, battle, last_action, state)
