"""Phases P1 to P3 of a tick: who targets whom, and where each unit wants to go (RULES 8)."""

from __future__ import annotations

import math

import numpy as np

from dizoo.smac.battle.kernels.compiler import inlined, outlined
from dizoo.smac.battle.kernels.state import ATTACK_MOVE_COMMAND, MOVE_COMMAND, NO_UNIT, TARGET_COMMAND
from dizoo.smac.battle.maps.rules import OPPONENTS

ATTACK_MOVE, CHASE, NEAR = map(OPPONENTS.index, ("attack_move", "chase", "near"))


@inlined
def near(a, b, reach):
    """Whether the centres of two units are within `reach`; in float32, as in RULES 5.2."""
    limit = np.float32(reach)
    dx = abs(a.x - b.x)
    dy = abs(a.y - b.y)
    if dx > limit or dy > limit:
        return False
    return dx + dy <= limit or dx * dx + dy * dy <= np.float32(reach * reach)


@inlined
def in_weapon_range(units, kinds, i, j):
    """Whether the edges of units i and j are within the weapon range of i."""
    return near(units[i], units[j], kinds[i].attack_range + kinds[j].radius + kinds[i].radius)


@inlined
def can_hit(kinds, i, j):
    """Whether the weapon of unit i reaches the plane of unit j."""
    return (kinds[i].can_hit >> kinds[j].plane) & 1 == 1


@inlined
def squared_distance(a, b):
    """Squared distance of the centres of two units in float64 (the `query` of RULES 7 while no unit moves)."""
    dx = np.float64(b.x) - np.float64(a.x)
    dy = np.float64(b.y) - np.float64(a.y)
    return dx * dx + dy * dy


@inlined
def clean_up_targets(world, units, battle, scratch):
    """P1: drop targets that died or escaped; by ascending id, each seeing the changes before it (RULES 8.1).

    Nobody escapes a fighter that chases.
    """
    kinds = world.kinds
    for k in range(scratch.everyone.size[0]):
        i = scratch.everyone.ids[k]
        unit = units[i]
        target = unit.target
        scratch.drafts[i].prev_target = target
        if unit.command == TARGET_COMMAND:
            unit.target = unit.command_unit if units[unit.command_unit].hp > 0.0 else NO_UNIT
        elif unit.command != ATTACK_MOVE_COMMAND:
            unit.target = NO_UNIT
        elif target != NO_UNIT:
            chases = battle.opponent == CHASE and not kinds[i].is_healer
            loses = not chases and units[target].target != i and not in_weapon_range(units, kinds, i, target)
            if units[target].hp == 0.0 or loses:
                unit.target = NO_UNIT


@inlined
def measure(roster, x, y, squared):
    """Write the squared distances of a roster's units from a point into `squared`; branch-free and vectorised."""
    for k in range(roster.size[0]):
        dx = roster.x[k] - x
        dy = roster.y[k] - y
        squared[k] = dx * dx + dy * dy


@inlined
def choose_target(world, units, scratch, enemy):
    """Choose the ally in scan range that an enemy fighter attacks: healers first, then the nearest (RULES 8.3)."""
    best = NO_UNIT
    best_class = 2
    best_distance = math.inf
    scan = world.kinds[enemy].scan_range
    query = scan + world.map.radius_max
    query_squared = query * query
    measure(scratch.allies, np.float64(units[enemy].x), np.float64(units[enemy].y), scratch.squared)
    for k in range(scratch.allies.size[0]):
        if scratch.squared[k] > query_squared:
            continue
        i = scratch.allies.ids[k]
        kind = world.kinds[i]
        if not can_hit(world.kinds, enemy, i):
            continue
        distance = math.sqrt(scratch.squared[k])
        if distance >= scan + kind.radius and units[i].target != enemy:
            continue
        rank = 0 if kind.is_healer else 1
        if rank < best_class or (rank == best_class and distance < best_distance):
            best = i
            best_class = rank
            best_distance = distance
    return best


@outlined
def nearest_target(world, units, scratch, enemy):
    """Choose the nearest ally that an enemy fighter can hit, wherever it is."""
    best = NO_UNIT
    best_squared = math.inf
    measure(scratch.allies, np.float64(units[enemy].x), np.float64(units[enemy].y), scratch.squared)
    for k in range(scratch.allies.size[0]):
        i = scratch.allies.ids[k]
        if scratch.squared[k] < best_squared and can_hit(world.kinds, enemy, i):
            best = i
            best_squared = scratch.squared[k]
    return best


@inlined
def note_attackers(world, units, scratch):
    """Record for each unit the first ally that targets it and that it can hit (the 2e9 entries of RULES 8.3)."""
    for k in range(scratch.allies.size[0]):
        i = scratch.allies.ids[k]
        target = units[i].target
        if target == NO_UNIT:
            continue
        draft = scratch.drafts[target]
        if draft.attacker == NO_UNIT and can_hit(world.kinds, target, i):
            draft.attacker = i


@outlined
def choose_patient(world, units, healer):
    """Choose the target of an enemy healer that has none, and its speed on the way (RULES 8.4).

    Returns:
        The weakest unit in scan range that is hurt or fighting, or NO_UNIT; the lowest speed among all units in range.
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


@inlined
def walk_to_point(unit, draft, x, y, speed):
    """Prefer to walk straight to a point, in float64, without slowing down near it (RULES 8.2)."""
    dx = x - np.float64(unit.x)
    dy = y - np.float64(unit.y)
    distance = math.sqrt(dx * dx + dy * dy)
    if speed > 0.0 and distance > 0.0:
        draft.pref_x = dx * speed / distance
        draft.pref_y = dy * speed / distance


@inlined
def walk_to_unit(unit, draft, other, speed):
    """Prefer to walk straight to another unit, in float32 (RULES 15)."""
    dx = other.x - unit.x
    dy = other.y - unit.y
    distance = np.float32(math.sqrt(dx * dx + dy * dy))
    pace = np.float32(speed)
    if pace > 0 and distance > 0:
        draft.pref_x = dx * pace / distance
        draft.pref_y = dy * pace / distance


@inlined
def approach_or_attack(kinds, units, draft, i, target, speed):
    """Prepare unit i to fire if its target is in weapon range, else to walk to it (RULES 8.2)."""
    if in_weapon_range(units, kinds, i, target) and can_hit(kinds, i, target):
        units[i].attacking = True
    else:
        walk_to_unit(units[i], draft, units[target], speed)


@outlined
def follow_fighter(world, units, draft, healer, speed):
    """Prefer to walk to the nearest fighter of an enemy healer's side, up to where it could heal it."""
    best = NO_UNIT
    best_squared = math.inf
    for i in world.enemies:
        d2 = squared_distance(units[healer], units[i])
        if units[i].in_play and not world.kinds[i].is_healer and d2 < best_squared:
            best = i
            best_squared = d2
    if best != NO_UNIT and not in_weapon_range(units, world.kinds, healer, best):
        walk_to_unit(units[healer], draft, units[best], speed)


@inlined
def attack_move(world, units, battle, scratch, i, healer_to_hunt):
    """Take an enemy's turn in P3: keep or choose a target, then go for it or on to the attack point.

    Opponents that go for the nearest ally have no scan range, and their healers follow them.
    """
    unit, kind, draft = units[i], world.kinds[i], scratch.drafts[i]
    target = unit.target
    speed = kind.speed
    if kind.is_healer:
        if target == NO_UNIT:
            target, speed = choose_patient(world, units, i)
    elif battle.opponent != ATTACK_MOVE:
        if target == NO_UNIT:
            target = nearest_target(world, units, scratch, i)
    elif target == NO_UNIT or (healer_to_hunt and not world.kinds[target].is_healer):
        choice = choose_target(world, units, scratch, i)
        if choice != NO_UNIT:
            target = choice
        elif target == NO_UNIT:
            target = draft.attacker
    unit.target = target
    if target != NO_UNIT:
        approach_or_attack(world.kinds, units, draft, i, target, speed)
    elif kind.is_healer and battle.opponent != ATTACK_MOVE:
        follow_fighter(world, units, draft, i, speed)
    else:
        walk_to_point(unit, draft, unit.command_x, unit.command_y, speed)


@inlined
def any_healer(kinds, roster):
    """Whether a roster contains a healer."""
    for k in range(roster.size[0]):
        if kinds[roster.ids[k]].is_healer:
            return True
    return False


@inlined
def prefer_velocities(world, units, battle, scratch):
    """P2 and P3: set preferred velocities of all living units by ascending id; enemies choose targets on the way."""
    healer_to_hunt = any_healer(world.kinds, scratch.allies)
    note_attackers(world, units, scratch)
    for k in range(scratch.everyone.size[0]):
        i = scratch.everyone.ids[k]
        unit = units[i]
        draft = scratch.drafts[i]
        draft.pref_x = 0.0
        draft.pref_y = 0.0
        if unit.command == ATTACK_MOVE_COMMAND:
            attack_move(world, units, battle, scratch, i, healer_to_hunt)
        elif unit.command == MOVE_COMMAND:
            walk_to_point(unit, draft, unit.command_x, unit.command_y, world.kinds[i].speed)
        elif unit.command == TARGET_COMMAND:
            if world.rules.hits_dead_targets or units[unit.command_unit].hp > 0.0:
                approach_or_attack(world.kinds, units, draft, i, unit.command_unit, world.kinds[i].speed)
