"""Starting a battle: nominal placement, and the variations that may be asked for (jittered starts, mirrored map)."""

from __future__ import annotations

from dizoo.smac.battle.compiler import phase
from dizoo.smac.battle.rng import next_unit
from dizoo.smac.battle.state import ATTACK_MOVE_COMMAND, NO_ACTION, NO_UNIT, STOP_COMMAND

JITTER_SWEEPS = 24  # each unit is offered this many moves; more no longer change the spread noticeably


@phase
def is_open(world, x, y):
    """Whether a point lies in an open cell of the map."""
    if not (0.0 <= x < world.width and 0.0 <= y < world.height):
        return False
    return world.open_cells[int(y), int(x)]


@phase
def is_clear_of_walls(world, unit, x, y):
    """Whether the unit's bounding square at (x, y) touches open cells only (its corners; bodies are at most cells wide)."""
    r = world.body[unit]
    return (
        is_open(world, x, y)
        and is_open(world, x - r, y - r)
        and is_open(world, x - r, y + r)
        and is_open(world, x + r, y - r)
        and is_open(world, x + r, y + r)
    )


@phase
def is_legal_start(world, battle, unit, x, y):
    """Whether a unit may start at (x, y): inside its jitter box is the caller's business, walls and others are ours.

    Where the map itself places a unit nearer to a wall or to another unit than its body allows, that much is allowed.
    """
    if not is_open(world, x, y):
        return False
    if is_clear_of_walls(world, unit, world.start_x[unit], world.start_y[unit]) and not is_clear_of_walls(
        world, unit, x, y
    ):
        return False
    for other in range(world.n_units):
        if other == unit or world.plane[other] != world.plane[unit]:
            continue
        dx, dy = x - battle.x[other], y - battle.y[other]
        nominal_x = float(world.start_x[unit]) - world.start_x[other]
        nominal_y = float(world.start_y[unit]) - world.start_y[other]
        apart = world.body[unit] + world.body[other]
        allowed = min(apart * apart, nominal_x * nominal_x + nominal_y * nominal_y)
        if dx * dx + dy * dy < allowed:
            return False
    return True


@phase
def offer_move(world, battle, unit, x, y, jitter):
    """Move a unit to (x, y) if that is legal and within `jitter` of its nominal start in each coordinate."""
    if abs(x - world.start_x[unit]) > jitter or abs(y - world.start_y[unit]) > jitter:
        return
    if is_legal_start(world, battle, unit, x, y):
        battle.x[unit] = x
        battle.y[unit] = y


@phase
def jitter_starts(world, battle, jitter):
    """Spread the starts over all legal placements within `jitter` of the nominal ones.

    A dense group leaves its members no room, so its units are first offered one common shift, then take turns with small and
    large moves of their own (the hard-disk Monte Carlo of Metropolis et al. 1953): every state on the way is legal.
    """
    for group in range(world.n_groups):
        shift_x = (2.0 * next_unit(battle.stream) - 1.0) * jitter
        shift_y = (2.0 * next_unit(battle.stream) - 1.0) * jitter
        legal = True
        for unit in range(world.n_units):
            if world.group[unit] == group:
                battle.x[unit] += shift_x
                battle.y[unit] += shift_y
        for unit in range(world.n_units):
            if world.group[unit] == group:
                legal = legal and is_legal_start(world, battle, unit, float(battle.x[unit]), float(battle.y[unit]))
        if not legal:
            for unit in range(world.n_units):
                if world.group[unit] == group:
                    battle.x[unit] = world.start_x[unit]
                    battle.y[unit] = world.start_y[unit]
    for sweep in range(JITTER_SWEEPS):
        step = jitter if sweep % 2 == 0 else 0.25 * jitter
        for unit in range(world.n_units):
            dx = (2.0 * next_unit(battle.stream) - 1.0) * step
            dy = (2.0 * next_unit(battle.stream) - 1.0) * step
            offer_move(world, battle, unit, battle.x[unit] + dx, battle.y[unit] + dy, jitter)


@phase
def start_battle(world, rules, battle):
    """Reset one battle: full health at the start positions; enemies are sent to the attack point (RULES 4)."""
    for unit in range(world.n_units):
        battle.x[unit] = world.start_x[unit]
        battle.y[unit] = world.start_y[unit]
        battle.vx[unit] = 0.0
        battle.vy[unit] = 0.0
        battle.hp[unit] = world.hp_max[unit]
        battle.shield[unit] = world.shield_max[unit]
        battle.energy[unit] = world.energy_start[unit]
        battle.cooldown[unit] = 0.0
        battle.shield_cooldown[unit] = 0.0
        battle.healing[unit] = 0.0
        battle.target[unit] = NO_UNIT
        battle.attacking[unit] = False
        battle.in_play[unit] = True
        battle.command[unit] = STOP_COMMAND if world.is_ally[unit] else ATTACK_MOVE_COMMAND
        battle.command_unit[unit] = NO_UNIT
        battle.command_x[unit] = 0.0 if world.is_ally[unit] else world.attack_x
        battle.command_y[unit] = 0.0 if world.is_ally[unit] else world.attack_y
        battle.value[unit] = 0.0
    if not rules.last_action_survives_reset:
        battle.last_action[:] = NO_ACTION
    battle.clock[0] = 0
    battle.tick_reward[0] = 0.0
    battle.mirrored[0] = rules.random_side and next_unit(battle.stream) < 0.5
    if rules.start_jitter > 0.0:
        jitter_starts(world, battle, rules.start_jitter)
