"""Phases P1 to P3 of a tick: who is targeted by whom, and where everybody wants to go (RULES 8)."""

from __future__ import annotations

import math

import numpy as np

from dizoo.smac.battle.compiler import inlined, phase
from dizoo.smac.battle.state import ATTACK_MOVE_COMMAND, MOVE_COMMAND, NO_UNIT, TARGET_COMMAND

_RETALIATION_CLASS = 2  # ranks behind every unit in scan range


@inlined
def near(ax, ay, bx, by, reach, reach_squared):
    """Whether a and b are within `reach` of each other; all float32, as RULES 5.2 says."""
    dx = abs(ax - bx)
    dy = abs(ay - by)
    if dx > reach or dy > reach:
        return False
    return dx + dy <= reach or dx * dx + dy * dy <= reach_squared


@inlined
def in_weapon_range(world, battle, unit, other):
    """Whether the edges of the two units are within the unit's weapon range."""
    i = world.unit_type[unit]
    j = world.unit_type[other]
    return near(
        battle.x[unit], battle.y[unit], battle.x[other], battle.y[other], world.reach[i, j], world.reach_squared[i, j]
    )


@inlined
def can_hit(world, unit, other):
    """Whether the plane of the other unit is among those that the unit's weapon reaches."""
    return (world.can_hit[unit] >> world.plane[other]) & 1 == 1


@inlined
def squared_distance(battle, unit, other):
    """Squared distance of two centres in float64 (the `query` of RULES 7 while positions equal the snapshot)."""
    dx = np.float64(battle.x[other]) - np.float64(battle.x[unit])
    dy = np.float64(battle.y[other]) - np.float64(battle.y[unit])
    return dx * dx + dy * dy


@phase
def clean_up_targets(world, battle, scratch, n_living):
    """P1: drop targets that died or got away; ascending id, each seeing the changes before it (RULES 8.1)."""
    for k in range(n_living):
        unit = scratch.living[k]
        target = battle.target[unit]
        scratch.prev_target[unit] = target
        command = battle.command[unit]
        if command == TARGET_COMMAND:
            aim = battle.command_unit[unit]
            battle.target[unit] = aim if battle.hp[aim] > 0.0 else NO_UNIT
        elif command == ATTACK_MOVE_COMMAND:
            if target == NO_UNIT:
                continue
            if battle.hp[target] == 0.0:
                battle.target[unit] = NO_UNIT
            elif battle.target[target] != unit and not in_weapon_range(world, battle, unit, target):
                battle.target[unit] = NO_UNIT
        else:
            battle.target[unit] = NO_UNIT


@phase
def choose_target(world, battle, enemy):
    """The ally in scan range that an enemy damage dealer goes for: healers first, then the nearest (RULES 8.3)."""
    best = NO_UNIT
    best_class = _RETALIATION_CLASS
    best_distance = math.inf
    scan = world.scan_range[enemy]
    query = scan + world.radius_max
    query_squared = query * query
    for ally in world.allies:
        if not battle.in_play[ally]:
            continue
        d2 = squared_distance(battle, enemy, ally)
        if d2 > query_squared or battle.hp[ally] <= 0.0 or not can_hit(world, enemy, ally):
            continue
        distance = math.sqrt(d2)
        if distance >= scan + world.radius[ally] and battle.target[ally] != enemy:
            continue
        rank = 0 if world.is_healer[ally] else 1
        if rank < best_class or (rank == best_class and distance < best_distance):
            best = ally
            best_class = rank
            best_distance = distance
    return best


@phase
def first_attacker(world, battle, enemy):
    """The living ally with the lowest id that targets this enemy from any distance (the 2e9 entries of RULES 8.3)."""
    for ally in world.allies:
        if battle.in_play[ally] and battle.target[ally] == enemy and can_hit(world, enemy, ally):
            return ally
    return NO_UNIT


@phase
def choose_patient(world, battle, healer):
    """What an enemy healer without a target goes for, and its speed on the way there (RULES 8.4).

    Returns:
        The weakest unit in scan range that is hurt or fighting, or NO_UNIT; the smallest speed among all units in range.
    """
    best = NO_UNIT
    best_hp = math.inf
    slowest = math.inf
    scan = world.scan_range[healer]
    query = scan + world.radius_max
    for other in world.enemies:
        if not battle.in_play[other] or not can_hit(world, healer, other):
            continue
        d2 = squared_distance(battle, healer, other)
        if d2 > query * query:
            continue
        slowest = min(slowest, world.speed[other])
        hp = battle.hp[other]
        if hp <= 0.0 or hp >= best_hp or math.sqrt(d2) >= scan + world.radius[other]:
            continue
        if hp < world.hp_max[other] or battle.target[other] != NO_UNIT:
            best = other
            best_hp = hp
    return best, (world.speed[healer] if slowest == math.inf else slowest)


@phase
def walk_to_point(battle, scratch, unit, x, y, speed):
    """Prefer to walk straight to a point, in float64; no slowing down near it (RULES 8.2)."""
    dx = x - np.float64(battle.x[unit])
    dy = y - np.float64(battle.y[unit])
    distance = math.sqrt(dx * dx + dy * dy)
    if speed > 0.0 and distance > 0.0:
        scratch.pref_x[unit] = dx * speed / distance
        scratch.pref_y[unit] = dy * speed / distance


@phase
def approach_or_attack(world, battle, scratch, unit, other, speed):
    """Make ready to fire at the other unit if it is in weapon range, else walk to it, in float32 (RULES 8.2, 15)."""
    if in_weapon_range(world, battle, unit, other) and can_hit(world, unit, other):
        battle.attacking[unit] = True
        return
    dx = battle.x[other] - battle.x[unit]
    dy = battle.y[other] - battle.y[unit]
    distance = np.float32(math.sqrt(dx * dx + dy * dy))
    pace = np.float32(speed)
    if pace > 0 and distance > 0:
        scratch.pref_x[unit] = dx * pace / distance
        scratch.pref_y[unit] = dy * pace / distance


@phase
def attack_move(world, battle, scratch, unit, healer_to_hunt):
    """An enemy's turn in P3: keep or choose a target, then go for it or on to the attack point."""
    target = battle.target[unit]
    speed = world.speed[unit]
    if world.is_healer[unit]:
        if target == NO_UNIT:
            target, speed = choose_patient(world, battle, unit)
    elif target == NO_UNIT:
        target = choose_target(world, battle, unit)
        if target == NO_UNIT:
            target = first_attacker(world, battle, unit)
    elif healer_to_hunt and not world.is_healer[target]:
        choice = choose_target(world, battle, unit)
        if choice != NO_UNIT:
            target = choice
    battle.target[unit] = target
    if target == NO_UNIT:
        walk_to_point(battle, scratch, unit, battle.command_x[unit], battle.command_y[unit], speed)
    else:
        approach_or_attack(world, battle, scratch, unit, target, speed)


@phase
def ally_healer_in_play(world, battle):
    """Whether any allied healer is listed among the living."""
    for ally in world.allies:
        if battle.in_play[ally] and world.is_healer[ally]:
            return True
    return False


@phase
def prefer_velocities(world, rules, battle, scratch, n_living):
    """P2 and P3: preferred velocities of all living units in ascending id; enemies choose their targets on the way."""
    healer_to_hunt = ally_healer_in_play(world, battle)
    for k in range(n_living):
        unit = scratch.living[k]
        scratch.pref_x[unit] = 0.0
        scratch.pref_y[unit] = 0.0
        command = battle.command[unit]
        if command == MOVE_COMMAND:
            walk_to_point(battle, scratch, unit, battle.command_x[unit], battle.command_y[unit], world.speed[unit])
        elif command == TARGET_COMMAND:
            aim = battle.command_unit[unit]
            if rules.hits_dead_targets or battle.hp[aim] > 0.0:
                approach_or_attack(world, battle, scratch, unit, aim, world.speed[unit])
        elif command == ATTACK_MOVE_COMMAND:
            attack_move(world, battle, scratch, unit, healer_to_hunt)
