"""What agents and trainers see: action mask, observations and global state (RULES 5.2, 12, 13).

`obs_names` and `state_names` are the layout table: index by index what the writers below write.
"""

from __future__ import annotations

import math

import numpy as np

from dizoo.smac.battle.compiler import inlined, phase
from dizoo.smac.battle.rules import SIGHT_RANGE, TARGET_RANGE
from dizoo.smac.battle.scenario import FIRST_TARGET_ACTION, Scenario
from dizoo.smac.battle.state import NO_ACTION
from dizoo.smac.battle.targeting import near, squared_distance

NO_OP, STOP, FIRST_MOVE = 0, 1, 2
DIRECTIONS = ("north", "south", "east", "west")
_RANGE = np.float32(TARGET_RANGE)
_RANGE_SQUARED = np.float32(TARGET_RANGE * TARGET_RANGE)


def obs_names(scenario: Scenario) -> list[str]:
    """Meaning of each entry of one agent's observation, in order; its length is the observation size O.

    Args:
        scenario: the map.

    Returns:
        Names such as ``can_move.north``, ``enemy3.distance``, ``ally.0.hp`` (the n-th other ally), ``own.hp``.
    """
    slots = [f"type{i}" for i in range(scenario.num_type_slots)]

    def tail(shield: bool) -> list[str]:
        return ["hp", *(["shield"] if shield else []), *slots]

    seen = ["distance", "dx", "dy"]
    names = [f"can_move.{d}" for d in DIRECTIONS]
    for j in range(scenario.n_enemies):
        names += [f"enemy{j}.{f}" for f in ["can_target", *seen, *tail(scenario.enemy_has_shields)]]
    for j in range(scenario.n_agents - 1):
        names += [f"other_ally{j}.{f}" for f in ["visible", *seen, *tail(scenario.ally_has_shields)]]
    return names + [f"own.{f}" for f in tail(scenario.ally_has_shields)]


def state_names(scenario: Scenario) -> list[str]:
    """Meaning of each entry of the global state, in order; its length is the state size S.

    Args:
        scenario: the map.

    Returns:
        Names such as ``ally0.hp``, ``enemy3.x``, ``last_action.agent2.action5``.
    """
    slots = [f"type{i}" for i in range(scenario.num_type_slots)]
    ally = ["hp", "cooldown_or_energy", "x", "y", *(["shield"] if scenario.ally_has_shields else []), *slots]
    enemy = ["hp", "x", "y", *(["shield"] if scenario.enemy_has_shields else []), *slots]
    names = [f"ally{k}.{f}" for k in range(scenario.n_agents) for f in ally]
    names += [f"enemy{j}.{f}" for j in range(scenario.n_enemies) for f in enemy]
    actions = range(scenario.n_actions)
    return names + [f"last_action.agent{k}.action{n}" for k in range(scenario.n_agents) for n in actions]


@inlined
def heading(battle, direction):
    """Unit vector of north, south, east, west (0 to 3); east and west change places on the mirrored map."""
    if direction < 2:
        return 0.0, 1.0 - 2.0 * direction
    east = (direction == 2) != battle.mirrored[0]
    return (1.0 if east else -1.0), 0.0


@phase
def can_move(world, rules, battle, unit, direction):
    """Whether the cell one ahead is open; SMAClite exchanges width and height in the bounds (RULES 5.2)."""
    dx, dy = heading(battle, direction)
    x = np.float64(battle.x[unit]) + dx
    y = np.float64(battle.y[unit]) + dy
    if not (0.0 <= x < world.width and 0.0 <= y < world.height):
        return False
    if rules.swap_move_bounds and not (x < world.height and y < world.width):
        return False
    return world.open_cells[int(y), int(x)]


@phase
def write_action_mask(world, rules, battle, mask):
    """Availability of all actions of all agents into mask (A, N) bool."""
    for k in range(world.n_agents):
        unit = world.agent_unit[k]
        row = mask[k]
        row[:] = False
        if not battle.in_play[unit]:
            row[NO_OP] = True
            continue
        row[STOP] = True
        for direction in range(4):
            row[FIRST_MOVE + direction] = can_move(world, rules, battle, unit, direction)
        x, y = battle.x[unit], battle.y[unit]
        healer = world.is_healer[unit]
        others = world.agent_unit if healer else world.enemy_unit
        n_targets = min(others.shape[0], world.n_actions - FIRST_TARGET_ACTION)
        for j in range(n_targets):
            other = others[j]
            if battle.in_play[other] and not (healer and world.is_healer[other]):
                row[FIRST_TARGET_ACTION + j] = near(
                    x, y, battle.x[other], battle.y[other], _RANGE, _RANGE_SQUARED
                )


@inlined
def fraction(value, maximum):
    """value / maximum, 0 where there is no maximum (a shown shield of a type without shields)."""
    return value / maximum if maximum > 0.0 else 0.0


@phase
def write_tail(world, battle, unit, show_shield, row, at):
    """Write shield (if shown) and type one-hot of a unit into row[at:]."""
    if show_shield:
        row[at] = fraction(battle.shield[unit], world.shield_max[unit])
        at += 1
    for i in range(world.n_slots):
        row[at + i] = 1.0 if i == world.slot[unit] else 0.0


@phase
def write_body(world, battle, unit, show_shield, row, at):
    """Write hit points, shield and type one-hot of a unit into row[at:]."""
    row[at] = battle.hp[unit] / world.hp_max[unit]
    write_tail(world, battle, unit, show_shield, row, at + 1)


@phase
def write_seen(world, battle, unit, other, flag, distance, show_shield, row, at):
    """Write the block of a visible unit into row[at:]."""
    row[at] = flag
    row[at + 1] = distance / SIGHT_RANGE
    dx = np.float64(battle.x[other] - battle.x[unit]) / SIGHT_RANGE
    row[at + 2] = -dx if battle.mirrored[0] else dx
    row[at + 3] = np.float64(battle.y[other] - battle.y[unit]) / SIGHT_RANGE
    write_body(world, battle, other, show_shield, row, at + 4)


@phase
def target_flag(world, rules, battle, unit, j, distance, mask):
    """Flag in the block of enemy j: in target range, or for a healer whether ally j is (RULES 12)."""
    if not world.is_healer[unit]:
        return distance <= TARGET_RANGE
    if not rules.healer_flags_show_healers:
        return mask[FIRST_TARGET_ACTION + j]
    if j >= world.n_agents:
        return False
    ally = world.agent_unit[j]
    if ally == unit or not battle.in_play[ally]:
        return False
    return squared_distance(battle, unit, ally) <= TARGET_RANGE * TARGET_RANGE


@phase
def write_observation(world, rules, battle, agent, mask, row):
    """The observation of one agent into row (O,) f32, given its row of the action mask; zeros out of play."""
    unit = world.agent_unit[agent]
    if not battle.in_play[unit]:
        row[:] = 0.0
        return
    for direction in range(4):
        row[direction] = mask[FIRST_MOVE + direction]
    at = 4
    block = 5 + world.show_enemy_shield + world.n_slots
    for j in range(world.n_enemies):
        other = world.enemy_unit[j]
        d2 = squared_distance(battle, unit, other)
        if battle.in_play[other] and d2 <= SIGHT_RANGE * SIGHT_RANGE:
            distance = math.sqrt(d2)
            flag = target_flag(world, rules, battle, unit, j, distance, mask)
            write_seen(world, battle, unit, other, flag, distance, world.show_enemy_shield, row, at)
        else:
            row[at : at + block] = 0.0
        at += block
    block = 5 + world.show_ally_shield + world.n_slots
    for k in range(world.n_agents):
        other = world.agent_unit[k]
        if other == unit:
            continue
        d2 = squared_distance(battle, unit, other)
        if battle.in_play[other] and d2 <= SIGHT_RANGE * SIGHT_RANGE:
            write_seen(world, battle, unit, other, 1.0, math.sqrt(d2), world.show_ally_shield, row, at)
        else:
            row[at : at + block] = 0.0
        at += block
    write_body(world, battle, unit, world.show_ally_shield, row, at)


@phase
def write_position(world, battle, unit, row, at):
    """Write the position as offsets from the map's centre, in map sizes."""
    x = (np.float64(battle.x[unit]) - 0.5 * world.width) / world.width
    row[at] = -x if battle.mirrored[0] else x
    row[at + 1] = (np.float64(battle.y[unit]) - 0.5 * world.height) / world.height


@phase
def write_global_state(world, battle, row):
    """The global state into row (S,) f32: allies, enemies, one-hots of the last actions; zeros for units out of play."""
    row[:] = 0.0
    at = 0
    for unit in world.agent_unit:
        if battle.in_play[unit]:
            row[at] = battle.hp[unit] / world.hp_max[unit]
            timer = battle.energy[unit] if world.is_healer[unit] else battle.cooldown[unit]
            row[at + 1] = timer * world.cooldown_scale[unit]
            write_position(world, battle, unit, row, at + 2)
            write_tail(world, battle, unit, world.show_ally_shield, row, at + 4)
        at += 4 + world.show_ally_shield + world.n_slots
    for unit in world.enemy_unit:
        if battle.in_play[unit]:
            row[at] = battle.hp[unit] / world.hp_max[unit]
            write_position(world, battle, unit, row, at + 1)
            write_tail(world, battle, unit, world.show_enemy_shield, row, at + 3)
        at += 3 + world.show_enemy_shield + world.n_slots
    for k in range(world.n_agents):
        if battle.last_action[k] != NO_ACTION:
            row[at + battle.last_action[k]] = 1.0
        at += world.n_actions


@phase
def write_features(world, rules, battle, mask, observations, state):
    """Mask (A, N), observations (A, O) and global state (S,) of one battle."""
    write_action_mask(world, rules, battle, mask)
    for agent in range(world.n_agents):
        write_observation(world, rules, battle, agent, mask[agent], observations[agent])
    write_global_state(world, battle, state)
