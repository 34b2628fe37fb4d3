"""Start of a battle: nominal placement, and the optional variations (jittered starts, mirrored battle)."""

from __future__ import annotations

import numpy as np

from dizoo.smac.battle.kernels.compiler import inlined, outlined
from dizoo.smac.battle.kernels.rng import next_unit
from dizoo.smac.battle.kernels.state import ATTACK_MOVE_COMMAND, NO_ACTION, NO_UNIT, STOP_COMMAND

JITTER_SWEEPS = 24  # moves offered to each unit; more no longer change the spread noticeably


@inlined
def is_open(world, x, y):
    """Whether a point is in an open cell of the map."""
    if not (0.0 <= x < world.map.width and 0.0 <= y < world.map.height):
        return False
    return world.open_cells[int(y), int(x)]


@inlined
def is_clear_of_walls(world, x, y, r):
    """Whether a point and the corners of the square around it are in open cells."""
    return (
        is_open(world, x, y)
        and is_open(world, x - r, y - r)
        and is_open(world, x - r, y + r)
        and is_open(world, x + r, y - r)
        and is_open(world, x + r, y + r)
    )


@inlined
def is_apart(kinds, units, i, x, y):
    """Whether unit i at (x, y) touches no unit of its plane; two may be as close as the map itself places them."""
    kind = kinds[i]
    for j in range(kinds.shape[0]):
        other = kinds[j]
        if j == i or other.plane != kind.plane:
            continue
        dx, dy = x - units[j].x, y - units[j].y
        nominal_x = np.float64(kind.start_x) - np.float64(other.start_x)
        nominal_y = np.float64(kind.start_y) - np.float64(other.start_y)
        touching = kind.body + other.body
        if dx * dx + dy * dy < min(touching * touching, nominal_x * nominal_x + nominal_y * nominal_y):
            return False
    return True


@outlined
def is_legal_start(world, units, i, x, y):
    """Whether unit i may start at (x, y): on open ground, clear of others and (if its nominal start is) of walls."""
    kind = world.kinds[i]
    nominal_is_clear = is_clear_of_walls(world, np.float64(kind.start_x), np.float64(kind.start_y), kind.body)
    clear = is_clear_of_walls(world, x, y, kind.body if nominal_is_clear else 0.0)
    return clear and is_apart(world.kinds, units, i, x, y)


@outlined
def shift_group(world, units, group, dx, dy):
    """Move a whole group, if every unit of it may start there."""
    n_units = world.kinds.shape[0]
    for i in range(n_units):
        if world.kinds[i].group == group:
            units[i].x = world.kinds[i].start_x + dx
            units[i].y = world.kinds[i].start_y + dy
    legal = True
    for i in range(n_units):
        if world.kinds[i].group == group:
            legal = legal and is_legal_start(world, units, i, np.float64(units[i].x), np.float64(units[i].y))
    if not legal:
        for i in range(n_units):
            if world.kinds[i].group == group:
                units[i].x = world.kinds[i].start_x
                units[i].y = world.kinds[i].start_y


@inlined
def offer_move(world, units, i, x, y, jitter):
    """Move unit i to (x, y) if that is legal and within `jitter` of its nominal start in each coordinate."""
    kind = world.kinds[i]
    if abs(x - kind.start_x) <= jitter and abs(y - kind.start_y) <= jitter and is_legal_start(world, units, i, x, y):
        units[i].x = x
        units[i].y = y


@inlined
def signed_draw(battle, size):
    """A float uniform in [-size, size)."""
    return (2.0 * next_unit(battle) - 1.0) * size


@outlined
def jitter_starts(world, units, battle, jitter):
    """Spread the starts over the legal placements within `jitter` of the nominal ones.

    A dense group leaves its members no room, so its units are first offered one common shift, then take turns with
    large and small moves of their own (hard-disk Monte Carlo, Metropolis et al. 1953). Every state on the way is legal.
    """
    for group in range(world.map.n_groups):
        dx = signed_draw(battle, jitter)
        dy = signed_draw(battle, jitter)
        shift_group(world, units, group, dx, dy)
    for sweep in range(JITTER_SWEEPS):
        size = jitter if sweep % 2 == 0 else 0.25 * jitter
        for i in range(world.kinds.shape[0]):
            dx = signed_draw(battle, size)
            dy = signed_draw(battle, size)
            offer_move(world, units, i, units[i].x + dx, units[i].y + dy, jitter)


@inlined
def place_unit(world, unit, kind):
    """Place a unit at its nominal start with full health; enemies are sent to the attack point (RULES 3, 4)."""
    unit.x = kind.start_x
    unit.y = kind.start_y
    unit.vx = 0.0
    unit.vy = 0.0
    unit.hp = kind.hp_max
    unit.shield = kind.shield_max
    unit.energy = kind.energy_start
    unit.cooldown = 0.0
    unit.shield_cooldown = 0.0
    unit.healing = 0.0
    unit.target = NO_UNIT
    unit.attacking = False
    unit.in_play = True
    unit.look = 0
    unit.command = STOP_COMMAND if kind.is_ally else ATTACK_MOVE_COMMAND
    unit.command_unit = NO_UNIT
    unit.command_x = world.map.attack_x
    unit.command_y = world.map.attack_y
    unit.value = 0.0


@inlined
def start_battle(world, units, battle, last_action):
    """Reset one battle; its random stream continues."""
    for i in range(units.shape[0]):
        place_unit(world, units[i], world.kinds[i])
    if not world.rules.last_action_survives_reset:
        last_action[:] = NO_ACTION
    n_opponents = world.opponents.shape[0]
    battle.opponent = world.opponents[int(n_opponents * next_unit(battle)) if n_opponents > 1 else 0]
    battle.clock = 0
    battle.tick_reward = 0.0
    battle.mirrored = world.rules.random_side and next_unit(battle) < 0.5
    share = world.rules.jitter_share
    if world.rules.start_jitter > 0.0 and (share >= 1.0 or next_unit(battle) < share):
        jitter_starts(world, units, battle, world.rules.start_jitter)
