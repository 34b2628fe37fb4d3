"""Phase P4: a new velocity for every living unit by reciprocal collision avoidance (RULES 9; ORCA as in RVO2)."""

from __future__ import annotations

import math

import numpy as np

from dizoo.smac.battle.compiler import phase
from dizoo.smac.battle.lines import best_velocity, det, least_violation, set_line
from dizoo.smac.battle.state import TICK_S
from dizoo.smac.battle.targeting import squared_distance
from dizoo.smac.battle.units import GROUND
from dizoo.smac.battle.walls import wall_lines


@phase
def unit_line(world, battle, scratch, n, unit, other, d2):
    """The line that makes a unit take its share in not running into another (RULES 9.3).

    Two units at one point with one velocity have no direction to part in: no line.

    Returns:
        The new number of lines.
    """
    x = np.float64(battle.x[other]) - np.float64(battle.x[unit])
    y = np.float64(battle.y[other]) - np.float64(battle.y[unit])
    vx = battle.vx[unit] - battle.vx[other]
    vy = battle.vy[unit] - battle.vy[other]
    distance = world.body[unit] + world.body[other]
    share = 0.5 if scratch.pref_x[other] != 0.0 or scratch.pref_y[other] != 0.0 else 1.0
    if d2 > distance * distance:
        wx, wy = vx - x, vy - y
        w2 = wx * wx + wy * wy
        k = wx * x + wy * y
        if k < 0.0 and k * k > distance * distance * w2:
            length = math.sqrt(w2)
            nx, ny = wx / length, wy / length
            dx, dy = ny, -nx
            ux, uy = (distance - length) * nx, (distance - length) * ny
        else:
            leg = math.sqrt(d2 - distance * distance)
            if det(x, y, wx, wy) > 0.0:
                dx, dy = (x * leg - y * distance) / d2, (x * distance + y * leg) / d2
            else:
                dx, dy = (-x * leg - y * distance) / d2, (x * distance - y * leg) / d2
            along = vx * dx + vy * dy
            ux, uy = along * dx - vx, along * dy - vy
    else:
        wx, wy = vx - x / TICK_S, vy - y / TICK_S
        length = math.sqrt(wx * wx + wy * wy)
        if length == 0.0:
            return n
        nx, ny = wx / length, wy / length
        dx, dy = ny, -nx
        gap = distance / TICK_S - length
        ux, uy = gap * nx, gap * ny
    set_line(scratch.lines, n, battle.vx[unit] + share * ux, battle.vy[unit] + share * uy, dx, dy)
    return n + 1


@phase
def unit_lines(world, battle, scratch, n_living, n, unit):
    """Append the lines of all living units on the same plane within the largest body plus the own, ascending id."""
    reach = world.body_max + world.body[unit]
    for k in range(n_living):
        other = scratch.living[k]
        if other == unit or world.plane[other] != world.plane[unit]:
            continue
        d2 = squared_distance(battle, unit, other)
        if d2 <= reach * reach:
            n = unit_line(world, battle, scratch, n, unit, other, d2)
    return n


@phase
def avoid_collisions(world, rules, battle, scratch, n_living):
    """P4: new velocities from positions, velocities and preferences as they are before this phase.

    A unit that wants to stand is never pushed (RULES 9.1).
    """
    for k in range(n_living):
        unit = scratch.living[k]
        pref_x, pref_y = scratch.pref_x[unit], scratch.pref_y[unit]
        if pref_x == 0.0 and pref_y == 0.0:
            scratch.new_vx[unit] = 0.0
            scratch.new_vy[unit] = 0.0
            continue
        n_walls = wall_lines(world, rules, battle, scratch.lines, unit) if world.plane[unit] == GROUND else 0
        n = unit_lines(world, battle, scratch, n_living, n_walls, unit)
        speed = world.speed[unit]
        stopped, vx, vy = best_velocity(scratch.lines, n, speed, pref_x, pref_y, False)
        if stopped < n:
            vx, vy = least_violation(scratch.lines, scratch.projected, n, n_walls, stopped, speed, vx, vy)
        scratch.new_vx[unit] = vx
        scratch.new_vy[unit] = vy
