"""Phases P5 and P6 of a tick: move, regenerate, fire, heal; then take the dead out of play (RULES 10)."""

from __future__ import annotations

import math

import numpy as np

from dizoo.smac.battle.compiler import inlined, phase
from dizoo.smac.battle.rng import next_unit
from dizoo.smac.battle.state import ATTACK_MOVE_COMMAND, NO_UNIT, STOP_COMMAND, TARGET_COMMAND, TICK_S
from dizoo.smac.battle.targeting import near
from dizoo.smac.battle.units import BEAM, BLAST, HEAL

SHIELD_DELAY_S = 10.0  # after a hit
SHIELD_PER_TICK = 2.0 * TICK_S
ENERGY_PER_TICK = 0.5625 * TICK_S
HEAL_PER_TICK = 9.0 * TICK_S
HP_PER_ENERGY = 3.0
ENERGY_TO_START_HEALING = 5.0


@phase
def hit(world, battle, attacker, victim, death_reward):
    """All hits of one attack on one unit (RULES 10.1).

    Returns:
        Damage done plus `death_reward` for a kill if the victim is an enemy, else 0.
    """
    reward = 0.0
    base = world.damage[world.unit_type[attacker], world.unit_type[victim]]
    for _ in range(world.attacks[attacker]):
        if battle.hp[victim] == 0.0:
            break
        amount = base
        if world.shield_max[victim] > 0.0:
            battle.shield_cooldown[victim] = SHIELD_DELAY_S
        absorbed = 0.0
        if battle.shield[victim] > 0.0:
            absorbed = min(amount, battle.shield[victim])
            battle.shield[victim] -= absorbed
            amount -= absorbed
        wound = max(0.0, min(amount - world.armor[victim], battle.hp[victim]))
        battle.hp[victim] -= wound
        if not world.is_ally[victim]:
            reward += absorbed + wound
            if battle.hp[victim] == 0.0:
                reward += death_reward
    return reward


@phase
def heal(world, rules, battle, scratch, healer, patient):
    """One tick of healing, paid with energy in advance; a dead patient may be revived (RULES 10.2)."""
    new_patient = scratch.prev_target[healer] != battle.target[healer]
    lost = new_patient and battle.energy[healer] < ENERGY_TO_START_HEALING
    if lost or battle.hp[patient] == world.hp_max[patient]:
        battle.target[healer] = NO_UNIT
        return
    if battle.hp[patient] == 0.0 and not rules.heals_dead_targets:
        return
    wanted = min(world.hp_max[patient] - battle.hp[patient], HEAL_PER_TICK)
    if battle.healing[healer] < wanted:
        spent = min(1.0, battle.energy[healer])
        battle.energy[healer] -= spent
        battle.healing[healer] += HP_PER_ENERGY * spent
    given = min(wanted, battle.healing[healer])
    battle.healing[healer] -= given
    battle.hp[patient] += given


@inlined
def opponents(world, unit):
    """Ids of the other side, ascending."""
    return world.enemies if world.is_ally[unit] else world.allies


@inlined
def was_within(scratch, x, y, radius_squared, other):
    """Whether a unit stood within the radius of a point at the start of the tick."""
    dx = scratch.snap_x[other] - x
    dy = scratch.snap_y[other] - y
    return dx * dx + dy * dy <= radius_squared


@phase
def blast(world, rules, battle, scratch, unit):
    """A suicide unit goes off and hits everyone of the other side around it, on all planes (RULES 10.3)."""
    reward = 0.0 if world.is_ally[unit] else battle.hp[unit]
    if rules.reward_own_death and reward > 0.0:
        reward += rules.reward_death_value
    battle.hp[unit] = 0.0
    scratch.exploded[unit] = True
    x, y = battle.x[unit], battle.y[unit]
    query = world.blast_radius[unit] + world.radius_max
    for other in opponents(world, unit):
        if not battle.in_play[other] or not was_within(scratch, np.float64(x), np.float64(y), query * query, other):
            continue
        reach = world.blast_radius[unit] + world.radius[other]
        if near(battle.x[other], battle.y[other], x, y, np.float32(reach), np.float32(reach * reach)):
            reward += hit(world, battle, unit, other, rules.reward_death_value)
    return reward


@phase
def beam(world, rules, battle, scratch, unit, target):
    """A beam sweeps a rectangle centred on the target, `width` across the line of fire and `height` along it (RULES 10.4)."""
    x, y = battle.x[target], battle.y[target]
    query = 0.5 * math.hypot(world.beam_width[unit], world.beam_height[unit])
    angle = np.float32(math.atan(np.float32(-1.0) / ((y - battle.y[unit]) / (x - battle.x[unit]))))
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    target_u = x * cos + y * sin
    target_v = -x * sin + y * cos
    half_width, half_height = 0.5 * world.beam_width[unit], 0.5 * world.beam_height[unit]
    reward = 0.0
    for other in opponents(world, unit):
        if not battle.in_play[other] or not was_within(scratch, np.float64(x), np.float64(y), query * query, other):
            continue
        u = battle.x[other] * cos + battle.y[other] * sin
        v = -battle.x[other] * sin + battle.y[other] * cos
        gap_u = max(np.float64(abs(target_u - u)) - half_width, 0.0)
        gap_v = max(np.float64(abs(target_v - v)) - half_height, 0.0)
        if gap_u * gap_u + gap_v * gap_v <= world.radius[other] * world.radius[other]:
            reward += hit(world, battle, unit, other, rules.reward_death_value)
    return reward


@phase
def use_weapon(world, rules, battle, scratch, unit, target):
    """Fire, blast or heal at the target, which may be dead already; returns the reward (RULES 10.1 to 10.4)."""
    weapon = world.weapon[unit]
    if weapon == HEAL:
        heal(world, rules, battle, scratch, unit, target)
        return 0.0
    if weapon == BLAST:
        return blast(world, rules, battle, scratch, unit)
    if weapon == BEAM:
        return beam(world, rules, battle, scratch, unit, target)
    return hit(world, battle, unit, target, rules.reward_death_value)


@phase
def run_timers(world, battle, unit):
    """Weapon and shield timers, then regeneration of shield, energy and hit points."""
    if battle.cooldown[unit] > 0.0:
        battle.cooldown[unit] = max(0.0, battle.cooldown[unit] - TICK_S)
    if battle.shield_cooldown[unit] > 0.0:
        battle.shield_cooldown[unit] = max(0.0, battle.shield_cooldown[unit] - TICK_S)
    if battle.shield_cooldown[unit] == 0.0 and battle.shield[unit] < world.shield_max[unit]:
        battle.shield[unit] = min(battle.shield[unit] + SHIELD_PER_TICK, world.shield_max[unit])
    if battle.energy[unit] < world.energy_max[unit]:
        battle.energy[unit] = min(battle.energy[unit] + ENERGY_PER_TICK, world.energy_max[unit])
    if world.regen_per_tick[unit] > 0.0 and battle.hp[unit] < world.hp_max[unit]:
        battle.hp[unit] = min(battle.hp[unit] + world.regen_per_tick[unit], world.hp_max[unit])


@phase
def act(world, rules, battle, scratch, unit):
    """What the command does at the end of a unit's turn (RULES 10, item 7); returns the reward."""
    command = battle.command[unit]
    if command == TARGET_COMMAND:
        target = battle.command_unit[unit]
    elif command == ATTACK_MOVE_COMMAND:
        target = battle.target[unit]
    else:
        if command == STOP_COMMAND:
            battle.target[unit] = NO_UNIT
        return 0.0
    if target == NO_UNIT or not battle.attacking[unit]:
        return 0.0
    battle.attacking[unit] = False
    if battle.cooldown[unit] > 0.0:
        return 0.0
    battle.cooldown[unit] = world.period[unit]
    if rules.weapon_delay_max > rules.weapon_delay_min and world.period[unit] > 0.0:
        spread = rules.weapon_delay_max - rules.weapon_delay_min
        battle.cooldown[unit] += rules.weapon_delay_min + spread * next_unit(battle.stream)
    return use_weapon(world, rules, battle, scratch, unit, target)


@phase
def execute(world, rules, battle, scratch, n_order):
    """P5: the units take their turns in the order `scratch.order[:n_order]`; who died before its turn does nothing.

    Returns:
        The tick's reward from damage and kills.
    """
    reward = 0.0
    for k in range(n_order):
        unit = scratch.order[k]
        if battle.hp[unit] == 0.0:
            continue
        vx, vy = scratch.new_vx[unit], scratch.new_vy[unit]
        battle.vx[unit] = vx
        battle.vy[unit] = vy
        battle.x[unit] = np.float32(np.float64(battle.x[unit]) + vx * TICK_S)
        battle.y[unit] = np.float32(np.float64(battle.y[unit]) + vy * TICK_S)
        run_timers(world, battle, unit)
        reward += act(world, rules, battle, scratch, unit)
    return reward


@phase
def explode_the_killed(world, rules, battle, scratch, n_living):
    """Blast units that explode when killed go off, and so do those they kill; returns the reward."""
    reward = 0.0
    again = True
    while again:
        again = False
        for k in range(n_living):
            unit = scratch.living[k]
            if world.explodes[unit] and battle.hp[unit] == 0.0 and not scratch.exploded[unit]:
                reward += blast(world, rules, battle, scratch, unit)
                again = True
    return reward


@phase
def remove_dead(battle, scratch, n_living):
    """P6: units without hit points leave play."""
    for k in range(n_living):
        unit = scratch.living[k]
        if battle.hp[unit] == 0.0:
            battle.in_play[unit] = False
