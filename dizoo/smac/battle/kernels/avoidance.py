"""Phase P4: a new velocity for every living unit by reciprocal collision avoidance (RULES 9; ORCA as in RVO2)."""

from __future__ import annotations

import math

import numpy as np

from dizoo.smac.battle.kernels.compiler import inlined
from dizoo.smac.battle.kernels.lines import best_velocity, det, least_violation, set_line
from dizoo.smac.battle.kernels.state import TICK_S
from dizoo.smac.battle.kernels.targeting import measure
from dizoo.smac.battle.kernels.walls import wall_lines
from dizoo.smac.battle.maps.units import GROUND


@inlined
def turn_apart(x, y, d2, vx, vy, distance):
    """Return the ORCA line of two discs that do not touch yet, over a horizon of one second (RULES 9.3).

    (x, y) is the other's relative position and d2 its squared length, (vx, vy) the relative velocity, `distance` the
    sum of the radii. The result is the line's direction (dx, dy) and the smallest change (ux, uy) of the relative
    velocity that reaches it.
    """
    wx, wy = vx - x, vy - y
    w2 = wx * wx + wy * wy
    k = wx * x + wy * y
    if k < 0.0 and k * k > distance * distance * w2:
        length = math.sqrt(w2)
        inverse = 1.0 / length
        nx, ny = wx * inverse, wy * inverse
        return ny, -nx, (distance - length) * nx, (distance - length) * ny
    leg = math.sqrt(d2 - distance * distance)
    side = leg if det(x, y, wx, wy) > 0.0 else -leg
    inverse = 1.0 / d2
    dx, dy = (x * side - y * distance) * inverse, (x * distance + y * side) * inverse
    along = vx * dx + vy * dy
    return dx, dy, along * dx - vx, along * dy - vy


@inlined
def unit_line(lines, n, me, other, d2, distance, share):
    """Append the line for a unit's share in avoiding another (RULES 9.3); returns the new number of lines.

    Two units at one point with the same velocity have no direction to part in, so they get no line.
    """
    x = np.float64(other.x) - np.float64(me.x)
    y = np.float64(other.y) - np.float64(me.y)
    vx = me.vx - other.vx
    vy = me.vy - other.vy
    if d2 > distance * distance:
        dx, dy, ux, uy = turn_apart(x, y, d2, vx, vy, distance)
    else:
        wx, wy = vx - x / TICK_S, vy - y / TICK_S
        length = math.sqrt(wx * wx + wy * wy)
        if length == 0.0:
            return n
        inverse = 1.0 / length
        nx, ny = wx * inverse, wy * inverse
        dx, dy = ny, -nx
        gap = distance / TICK_S - length
        ux, uy = gap * nx, gap * ny
    set_line(lines, n, me.vx + share * ux, me.vy + share * uy, dx, dy)
    return n + 1


@inlined
def unit_lines(kinds, units, scratch, n, i, reach):
    """Append the lines of all living units on the plane of unit i that are within `reach`, in ascending id."""
    me, kind = units[i], kinds[i]
    everyone = scratch.everyone
    measure(everyone, np.float64(me.x), np.float64(me.y), scratch.squared)
    reach_squared = reach * reach
    for k in range(everyone.size[0]):
        d2 = scratch.squared[k]
        if d2 > reach_squared:
            continue
        j = everyone.ids[k]
        if j == i or kinds[j].plane != kind.plane:
            continue
        draft = scratch.drafts[j]
        share = 0.5 if draft.pref_x != 0.0 or draft.pref_y != 0.0 else 1.0
        n = unit_line(scratch.lines, n, me, units[j], d2, kind.body + kinds[j].body, share)
    return n


@inlined
def avoid_collisions(world, units, scratch):
    """P4: compute new velocities from the positions, velocities and preferences before this phase.

    A unit that wants to stand is never pushed (RULES 9.1).
    """
    for k in range(scratch.everyone.size[0]):
        i = scratch.everyone.ids[k]
        draft = scratch.drafts[i]
        vx, vy = draft.pref_x, draft.pref_y
        if vx != 0.0 or vy != 0.0:
            kind = world.kinds[i]
            n_walls = wall_lines(world, scratch.lines, units[i], kind) if kind.plane == GROUND else 0
            reach = world.map.body_max + kind.body
            n = unit_lines(world.kinds, units, scratch, n_walls, i, reach)
            stopped, vx, vy = best_velocity(scratch.lines, n, kind.speed, vx, vy, False)
            if stopped < n:
                vx, vy = least_violation(scratch.lines, scratch.projected, n, n_walls, stopped, kind.speed, vx, vy)
        draft.new_vx = vx
        draft.new_vy = vy
