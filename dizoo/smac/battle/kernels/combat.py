"""Phases P5 and P6 of a tick: move, regenerate, fire, heal; then remove the dead (RULES 10)."""

from __future__ import annotations

import math

import numpy as np

from dizoo.smac.battle.kernels.compiler import inlined, outlined
from dizoo.smac.battle.kernels.rng import next_unit
from dizoo.smac.battle.kernels.state import ATTACK_MOVE_COMMAND, NO_UNIT, TARGET_COMMAND, TICK_S
from dizoo.smac.battle.kernels.targeting import near
from dizoo.smac.battle.maps.units import BEAM, BLAST, HEAL

SHIELD_DELAY_S = 10.0  # after a hit
SHIELD_PER_TICK = 2.0 * TICK_S
ENERGY_PER_TICK = 0.5625 * TICK_S
HEAL_PER_TICK = 9.0 * TICK_S
HP_PER_ENERGY = 3.0
ENERGY_TO_START_HEALING = 5.0


@inlined
def hit(world, units, attacker, victim):
    """Apply all hits of one attack to one unit (RULES 10.1); returns the damage and the kill reward.

    The kill reward is 0 unless the victim is an enemy that dies.
    """
    target, kind = units[victim], world.kinds[victim]
    base = world.damage[world.kinds[attacker].type, kind.type]
    reward = 0.0
    for _ in range(world.kinds[attacker].attacks):
        if target.hp == 0.0:
            break
        if kind.shield_max > 0.0:
            target.shield_cooldown = SHIELD_DELAY_S
        absorbed = min(base, target.shield) if target.shield > 0.0 else 0.0
        target.shield -= absorbed
        wound = max(0.0, min(base - absorbed - kind.armor, target.hp))
        target.hp -= wound
        reward += absorbed + wound
        if target.hp == 0.0:
            reward += world.rules.reward_death_value
    return 0.0 if kind.is_ally else reward


@outlined
def heal(world, units, draft, healer, patient):
    """Run one tick of healing, paid with energy in advance; a dead patient may be revived (RULES 10.2)."""
    me, other = units[healer], units[patient]
    hp_max = world.kinds[patient].hp_max
    turned_away = draft.prev_target != me.target and me.energy < ENERGY_TO_START_HEALING
    if turned_away or other.hp == hp_max:
        me.target = NO_UNIT
        return
    if other.hp == 0.0 and not world.rules.heals_dead_targets:
        return
    wanted = min(hp_max - other.hp, HEAL_PER_TICK)
    if me.healing < wanted:
        spent = min(1.0, me.energy)
        me.energy -= spent
        me.healing += HP_PER_ENERGY * spent
    given = min(wanted, me.healing)
    me.healing -= given
    other.hp += given


@inlined
def was_near(draft, unit, radius):
    """Whether, at the start of the tick, a unit stood within `radius` of where `unit` is now."""
    dx = draft.start_x - np.float64(unit.x)
    dy = draft.start_y - np.float64(unit.y)
    return dx * dx + dy * dy <= radius * radius


@outlined
def blast(world, units, scratch, i):
    """A suicide unit explodes and hits all units of the other side around it, on all planes (RULES 10.3)."""
    me, kind = units[i], world.kinds[i]
    reward = 0.0
    if not kind.is_ally and me.hp > 0.0:
        reward = me.hp + (world.rules.reward_death_value if world.rules.reward_own_death else 0.0)
    me.hp = 0.0
    scratch.drafts[i].exploded = True
    for j in world.enemies if kind.is_ally else world.allies:
        if not units[j].in_play or not was_near(scratch.drafts[j], me, kind.blast_radius + world.map.radius_max):
            continue
        if near(units[j], me, kind.blast_radius + world.kinds[j].radius):
            reward += hit(world, units, i, j)
    return reward


@outlined
def beam(world, units, scratch, i, target):
    """A beam hits a rectangle around its target, `width` across the line of fire, `height` along it (RULES 10.4)."""
    aim, kind = units[target], world.kinds[i]
    query = 0.5 * math.hypot(kind.beam_width, kind.beam_height)
    angle = np.float32(math.atan(np.float32(-1.0) / ((aim.y - units[i].y) / (aim.x - units[i].x))))
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    aim_u, aim_v = aim.x * cos + aim.y * sin, -aim.x * sin + aim.y * cos
    reward = 0.0
    for j in world.enemies if kind.is_ally else world.allies:
        other = units[j]
        if not other.in_play or not was_near(scratch.drafts[j], aim, query):
            continue
        u, v = other.x * cos + other.y * sin, -other.x * sin + other.y * cos
        gap_u = max(np.float64(abs(aim_u - u)) - 0.5 * kind.beam_width, 0.0)
        gap_v = max(np.float64(abs(aim_v - v)) - 0.5 * kind.beam_height, 0.0)
        if gap_u * gap_u + gap_v * gap_v <= world.kinds[j].radius * world.kinds[j].radius:
            reward += hit(world, units, i, j)
    return reward


@inlined
def use_weapon(world, units, scratch, i, target):
    """Fire at, explode at or heal the target, which may already be dead; returns the reward."""
    weapon = world.kinds[i].weapon
    if weapon == HEAL:
        heal(world, units, scratch.drafts[i], i, target)
        return 0.0
    if weapon == BLAST:
        return blast(world, units, scratch, i)
    if weapon == BEAM:
        return beam(world, units, scratch, i, target)
    return hit(world, units, i, target)


@inlined
def keep_inside(map, unit, radius):
    """Move a unit that left the map back to its edge."""
    unit.x = np.float32(min(max(np.float64(unit.x), radius), map.width - radius))
    unit.y = np.float32(min(max(np.float64(unit.y), radius), map.height - radius))


@inlined
def move(unit, draft):
    """Set the new velocity and follow it for one tick."""
    unit.vx = draft.new_vx
    unit.vy = draft.new_vy
    unit.x = np.float32(np.float64(unit.x) + draft.new_vx * TICK_S)
    unit.y = np.float32(np.float64(unit.y) + draft.new_vy * TICK_S)


@inlined
def run_timers(unit, kind):
    """Run weapon and shield timers, then regeneration; branch-free, as units of all kinds come in random order."""
    unit.cooldown = max(unit.cooldown - TICK_S, 0.0)
    unit.shield_cooldown = max(unit.shield_cooldown - TICK_S, 0.0)
    recovered = SHIELD_PER_TICK if unit.shield_cooldown == 0.0 else 0.0
    unit.shield = min(unit.shield + recovered, kind.shield_max)
    unit.energy = min(unit.energy + ENERGY_PER_TICK, kind.energy_max)
    unit.hp = min(unit.hp + kind.regen_per_tick, kind.hp_max)


@inlined
def weapon_cooldown(rules, kind, battle):
    """Return the seconds until the weapon is ready again; drawn from the battle's stream if periods vary."""
    if kind.period == 0.0 or rules.weapon_delay_max <= rules.weapon_delay_min:
        return kind.period
    spread = rules.weapon_delay_max - rules.weapon_delay_min
    return max(0.0, kind.period + rules.weapon_delay_min + spread * next_unit(battle))


@inlined
def act(world, units, battle, scratch, i):
    """Carry out the command at the end of a unit's turn (RULES 10, item 7); returns the reward.

    Stop also drops the target, but P1 has done that already.
    """
    unit = units[i]
    if not unit.attacking:
        return 0.0
    if unit.command == TARGET_COMMAND:
        target = unit.command_unit
    elif unit.command == ATTACK_MOVE_COMMAND:
        target = unit.target
    else:
        return 0.0
    if target == NO_UNIT:
        return 0.0
    unit.attacking = False
    if unit.cooldown > 0.0:
        return 0.0
    unit.cooldown = weapon_cooldown(world.rules, world.kinds[i], battle)
    return use_weapon(world, units, scratch, i, target)


@inlined
def execute(world, units, battle, scratch, n_order):
    """P5: units take their turns in the order `scratch.order[:n_order]`; returns the reward from damage and kills.

    Units that died before their turn do nothing.
    """
    reward = 0.0
    for k in range(n_order):
        i = scratch.order[k]
        if units[i].hp == 0.0:
            continue
        move(units[i], scratch.drafts[i])
        if world.rules.stays_inside:
            keep_inside(world.map, units[i], world.kinds[i].radius)
        run_timers(units[i], world.kinds[i])
        reward += act(world, units, battle, scratch, i)
    return reward


@outlined
def explode_the_killed(world, units, scratch):
    """Explode units that explode when killed, and in turn those they kill; returns the reward."""
    reward = 0.0
    again = True
    while again:
        again = False
        for k in range(scratch.everyone.size[0]):
            i = scratch.everyone.ids[k]
            if world.kinds[i].explodes and units[i].hp == 0.0 and not scratch.drafts[i].exploded:
                reward += blast(world, units, scratch, i)
                again = True
    return reward


@inlined
def remove_dead(units, scratch):
    """P6: remove units without hit points from play."""
    for k in range(scratch.everyone.size[0]):
        i = scratch.everyone.ids[k]
        if units[i].hp == 0.0:
            units[i].in_play = False
