"""Phases P1 to P3 of a tick: who is targeted by whom, and where everybody wants to go (RULES 8)."""

from __future__ import annotations

import math

import numpy as np

from dizoo.smac.battle.compiler import phase
from dizoo.smac.battle.state import ATTACK_MOVE_COMMAND, MOVE_COMMAND, NO_UNIT, TARGET_COMMAND


@phase
def near(a, b, reach):
    """Whether the centres of two units are within `reach`; all in float32, as RULES 5.2 says."""
    limit = np.float32(reach)
    dx = abs(a.x - b.x)
    dy = abs(a.y - b.y)
    if dx > limit or dy > limit:
        return False
    return dx + dy <= limit or dx * dx + dy * dy <= np.float32(reach * reach)


@phase
def in_weapon_range(units, kinds, i, j):
    """Whether the edges of units i and j are within the weapon range of i."""
    return near(units[i], units[j], kinds[i].attack_range + kinds[j].radius + kinds[i].radius)


@phase
def can_hit(kinds, i, j):
    """Whether the plane of unit j is among those that the weapon of unit i reaches."""
    return (kinds[i].can_hit >> kinds[j].plane) & 1 == 1


@phase
def squared_distance(a, b):
    """Squared distance of the centres of two units in float64 (the `query` of RULES 7 while nobody moves)."""
    dx = np.float64(b.x) - np.float64(a.x)
    dy = np.float64(b.y) - np.float64(a.y)
    return dx * dx + dy * dy


@phase
def clean_up_targets(kinds, units, scratch, n_living):
    """P1: drop targets that died or got away; ascending id, each seeing the changes before it (RULES 8.1)."""
    for k in range(n_living):
        i = scratch.living[k]
        unit = units[i]
        target = unit.target
        scratch.drafts[i].prev_target = target
        if unit.command == TARGET_COMMAND:
            unit.target = unit.command_unit if units[unit.command_unit].hp > 0.0 else NO_UNIT
        elif unit.command != ATTACK_MOVE_COMMAND:
            unit.target = NO_UNIT
        elif target != NO_UNIT:
            if units[target].hp == 0.0 or (units[target].target != i and not in_weapon_range(units, kinds, i, target)):
                unit.target = NO_UNIT


@phase
def choose_target(world, units, enemy):
    """The ally in scan range that an enemy damage dealer goes for: healers first, then the nearest (RULES 8.3)."""
    best = NO_UNIT
    best_class = 2
    best_distance = math.inf
    scan = world.kinds[enemy].scan_range
    query = scan + world.map.radius_max
    me = units[enemy]
    for i in world.allies:
        ally = units[i]
        d2 = squared_distance(me, ally)
        if d2 > query * query or not ally.in_play or ally.hp <= 0.0 or not can_hit(world.kinds, enemy, i):
            continue
        distance = math.sqrt(d2)
        if distance >= scan + world.kinds[i].radius and ally.target != enemy:
            continue
        rank = 0 if world.kinds[i].is_healer else 1
        if rank < best_class or (rank == best_class and distance < best_distance):
            best = i
            best_class = rank
            best_distance = distance
    return best


@phase
def first_attacker(world, units, enemy):
    """The living ally with the lowest id that targets this enemy from any distance (the 2e9 entries of RULES 8.3)."""
    for i in world.allies:
        if units[i].target == enemy and units[i].in_play and can_hit(world.kinds, enemy, i):
            return i
    return NO_UNIT


@phase
def choose_patient(world, units, healer):
    """What an enemy healer without a target goes for, and its speed on the way there (RULES 8.4).

    Returns:
        The weakest unit in scan range that is hurt or fighting, or NO_UNIT; the smallest speed among all units in range.
    """
    best = NO_UNIT
    best_hp = math.inf
    slowest = math.inf
    scan = world.kinds[healer].scan_range
    query = scan + world.map.radius_max
    for i in world.enemies:
        other, kind = units[i], world.kinds[i]
        d2 = squared_distance(units[healer], other)
        if d2 > query * query or not other.in_play or not can_hit(world.kinds, healer, i):
            continue
        slowest = min(slowest, kind.speed)
        if other.hp <= 0.0 or other.hp >= best_hp or math.sqrt(d2) >= scan + kind.radius:
            continue
        if other.hp < kind.hp_max or other.target != NO_UNIT:
            best = i
            best_hp = other.hp
    return best, (world.kinds[healer].speed if slowest == math.inf else slowest)


@phase
def walk_to_point(unit, draft, x, y, speed):
    """Prefer to walk straight to a point, in float64; no slowing down near it (RULES 8.2)."""
    dx = x - np.float64(unit.x)
    dy = y - np.float64(unit.y)
    distance = math.sqrt(dx * dx + dy * dy)
    if speed > 0.0 and distance > 0.0:
        draft.pref_x = dx * speed / distance
        draft.pref_y = dy * speed / distance


@phase
def walk_to_unit(unit, draft, other, speed):
    """Prefer to walk straight to another unit, in float32 (RULES 15)."""
    dx = other.x - unit.x
    dy = other.y - unit.y
    distance = np.float32(math.sqrt(dx * dx + dy * dy))
    pace = np.float32(speed)
    if pace > 0 and distance > 0:
        draft.pref_x = dx * pace / distance
        draft.pref_y = dy * pace / distance


@phase
def approach_or_attack(kinds, units, draft, i, target, speed):
    """Make unit i ready to fire at its target if it is in weapon range, else walk to it (RULES 8.2)."""
    if in_weapon_range(units, kinds, i, target) and can_hit(kinds, i, target):
        units[i].attacking = True
    else:
        walk_to_unit(units[i], draft, units[target], speed)


@phase
def attack_move(world, units, draft, i, healer_to_hunt):
    """An enemy's turn in P3: keep or choose a target, then go for it or on to the attack point."""
    unit, kind = units[i], world.kinds[i]
    target = unit.target
    speed = kind.speed
    if kind.is_healer:
        if target == NO_UNIT:
            target, speed = choose_patient(world, units, i)
    elif target == NO_UNIT:
        target = choose_target(world, units, i)
        if target == NO_UNIT:
            target = first_attacker(world, units, i)
    elif healer_to_hunt and not world.kinds[target].is_healer:
        choice = choose_target(world, units, i)
        if choice != NO_UNIT:
            target = choice
    unit.target = target
    if target == NO_UNIT:
        walk_to_point(unit, draft, unit.command_x, unit.command_y, speed)
    else:
        approach_or_attack(world.kinds, units, draft, i, target, speed)


@phase
def ally_healer_in_play(world, units):
    """Whether any allied healer is listed among the living."""
    for i in world.allies:
        if world.kinds[i].is_healer and units[i].in_play:
            return True
    return False


@phase
def prefer_velocities(world, units, scratch, n_living):
    """P2 and P3: preferred velocities of all living units in ascending id; enemies choose their targets on the way."""
    healer_to_hunt = ally_healer_in_play(world, units)
    for k in range(n_living):
        i = scratch.living[k]
        unit = units[i]
        draft = scratch.drafts[i]
        draft.pref_x = 0.0
        draft.pref_y = 0.0
        if unit.command == ATTACK_MOVE_COMMAND:
            attack_move(world, units, draft, i, healer_to_hunt)
        elif unit.command == MOVE_COMMAND:
            walk_to_point(unit, draft, unit.command_x, unit.command_y, world.kinds[i].speed)
        elif unit.command == TARGET_COMMAND:
            if world.rules.hits_dead_targets or units[unit.command_unit].hp > 0.0:
                approach_or_attack(world.kinds, units, draft, i, unit.command_unit, world.kinds[i].speed)
