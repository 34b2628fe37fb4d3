"""Lines that keep a ground unit off the walls (RULES 9.2): at most one per facing edge of each rectangle in reach."""

from __future__ import annotations

import math

import numpy as np

from dizoo.smac.battle.kernels.compiler import inlined, outlined
from dizoo.smac.battle.kernels.lines import det, set_line

COVERED = -1e-5
EDGE_DX = np.array([1.0, 0.0, -1.0, 0.0])  # edge i runs from corner i to corner i + 1, counter-clockwise
EDGE_DY = np.array([0.0, 1.0, 0.0, -1.0])


@inlined
def left_leg(vx, vy, leg, radius):
    """Direction of the left tangent from the origin to the circle of `radius` around v; `leg` is its length."""
    squared = vx * vx + vy * vy
    return (vx * leg - vy * radius) / squared, (vx * radius + vy * leg) / squared


@inlined
def right_leg(vx, vy, leg, radius):
    """Direction of the right tangent."""
    squared = vx * vx + vy * vy
    return (vx * leg + vy * radius) / squared, (-vx * radius + vy * leg) / squared


@inlined
def already_covered(lines, n, ax, ay, bx, by, radius):
    """Whether one of the first n lines already keeps both ends of an edge at the unit's radius."""
    for j in range(n):
        px, py, dx, dy = lines[j].px, lines[j].py, lines[j].dx, lines[j].dy
        if det(ax - px, ay - py, dx, dy) - radius >= COVERED and det(bx - px, by - py, dx, dy) - radius >= COVERED:
            return True
    return False


@inlined
def corner_line(lines, n, cx, cy, vx, vy, radius):
    """Line tangent to the circle around corner (cx, cy) on the side of the velocity (cut-off circle)."""
    wx, wy = vx - cx, vy - cy
    length = math.sqrt(wx * wx + wy * wy)
    if length == 0.0:
        return n  # the velocity points exactly at the corner: no direction to turn away in
    wx, wy = wx / length, wy / length
    set_line(lines, n, cx + radius * wx, cy + radius * wy, wy, -wx)
    return n + 1


@inlined
def offset_line(lines, n, base_x, base_y, dx, dy, radius, on_both_axes):
    """Line along (dx, dy) at a distance from `base`; the reference adds one number to both coordinates (RULES 9.2)."""
    if on_both_axes:
        set_line(lines, n, base_x - radius * dy, base_y - radius * dy, dx, dy)
    else:
        set_line(lines, n, base_x - radius * dy, base_y + radius * dx, dx, dy)
    return n + 1


@inlined
def velocity_obstacle_line(lines, n, i1, i2, left_edge, ax, ay, bx, by, leg_a, leg_b, vx, vy, radius, on_both_axes):
    """Steps 4 to 7 of RULES 9.2: the line for the truncated cone that an edge casts in velocity space.

    (ax, ay) and (bx, by) are the left and right corner relative to the unit, leg_a and leg_b the lengths of the
    tangents to them, (vx, vy) and `radius` those of the unit. Edge i1 starts at the left corner, i2 at the right one
    (i1 again if only one corner counts); `left_edge` is the edge before the original one. For `on_both_axes` see
    `offset_line`.

    Returns the new number of lines.
    """
    left_x, left_y = left_leg(ax, ay, leg_a, radius)
    right_x, right_y = right_leg(bx, by, leg_b, radius)
    left_foreign = det(left_x, left_y, -EDGE_DX[left_edge], -EDGE_DY[left_edge]) >= 0.0
    if left_foreign:
        left_x, left_y = -EDGE_DX[left_edge], -EDGE_DY[left_edge]
    right_foreign = det(right_x, right_y, EDGE_DX[i2], EDGE_DY[i2]) <= 0.0
    if right_foreign:
        right_x, right_y = EDGE_DX[i2], EDGE_DY[i2]

    single = i1 == i2
    cx, cy = bx - ax, by - ay
    t = 0.5 if single else ((vx - ax) * cx + (vy - ay) * cy) / (cx * cx + cy * cy)
    t_left = (vx - ax) * left_x + (vy - ay) * left_y
    t_right = (vx - bx) * right_x + (vy - by) * right_y
    if (t < 0.0 and t_left < 0.0) or (single and t_left < 0.0 and t_right < 0.0):
        return corner_line(lines, n, ax, ay, vx, vy, radius)
    if t > 1.0 and t_right < 0.0:
        return corner_line(lines, n, bx, by, vx, vy, radius)

    to_cut = to_left = to_right = math.inf
    if not (t < 0.0 or t > 1.0 or single):
        to_cut = (vx - (ax + t * cx)) ** 2 + (vy - (ay + t * cy)) ** 2
    if not t_left < 0.0:
        to_left = (vx - (ax + t_left * left_x)) ** 2 + (vy - (ay + t_left * left_y)) ** 2
    if not t_right < 0.0:
        to_right = (vx - (bx + t_right * right_x)) ** 2 + (vy - (by + t_right * right_y)) ** 2
    if to_cut <= to_left and to_cut <= to_right:
        return offset_line(lines, n, ax, ay, -EDGE_DX[i1], -EDGE_DY[i1], radius, on_both_axes)
    if to_left <= to_right:
        return n if left_foreign else offset_line(lines, n, ax, ay, left_x, left_y, radius, on_both_axes)
    return n if right_foreign else offset_line(lines, n, bx, by, -right_x, -right_y, radius, on_both_axes)


@outlined
def edge_line(lines, n, i, ax, ay, bx, by, vx, vy, radius, on_both_axes):
    """Steps 1 to 3 of RULES 9.2 for edge i from a to b (relative to the unit); returns the new number of lines."""
    ex, ey = bx - ax, by - ay
    if not det(ax, ay, ex, ey) < 0.0 or already_covered(lines, n, ax, ay, bx, by, radius):
        return n
    s = -(ax * ex + ay * ey) / (ex * ex + ey * ey)
    qx, qy = -ax - s * ex, -ay - s * ey
    q = qx * qx + qy * qy
    a_squared, b_squared = ax * ax + ay * ay, bx * bx + by * by
    r_squared = radius * radius
    after = (i + 1) % 4
    before = (i + 3) % 4
    if s < 0.0 and a_squared < r_squared:
        length = math.sqrt(a_squared)
        if length == 0.0:
            return n  # the unit stands exactly on the corner
        set_line(lines, n, 0.0, 0.0, -ay / length, ax / length)
        return n + 1
    if s > 1.0 and b_squared <= r_squared:
        return n  # the next edge handles the corner
    if 0.0 < s < 1.0 and q <= r_squared:
        set_line(lines, n, 0.0, 0.0, -EDGE_DX[i], -EDGE_DY[i])
        return n + 1
    i1, i2 = i, after
    if s < 0.0 and q <= r_squared:
        i2 = i
        bx, by, b_squared = ax, ay, a_squared
    elif s > 1.0 and q <= r_squared:
        i1 = after
        ax, ay, a_squared = bx, by, b_squared
    if a_squared < r_squared or b_squared < r_squared:
        return n  # s exactly 0 or 1 at a corner nearer than the radius: the reference computes NaN here
    leg_a, leg_b = math.sqrt(a_squared - r_squared), math.sqrt(b_squared - r_squared)
    return velocity_obstacle_line(lines, n, i1, i2, before, ax, ay, bx, by, leg_a, leg_b, vx, vy, radius, on_both_axes)


@inlined
def corner(wall, i):
    """Corner i (0 to 3) of a wall, counter-clockwise from the bottom left."""
    return (wall.x1 if i == 1 or i == 2 else wall.x0), (wall.y1 if i >= 2 else wall.y0)


@inlined
def in_reach(wall, x, y, reach):
    """Whether the wall is within `reach` of a point."""
    dx = max(0.0, abs(x - 0.5 * (wall.x0 + wall.x1)) - 0.5 * (wall.x1 - wall.x0))
    dy = max(0.0, abs(y - 0.5 * (wall.y0 + wall.y1)) - 0.5 * (wall.y1 - wall.y0))
    if dx > reach or dy > reach:
        return False
    return dx + dy <= reach or dx * dx + dy * dy <= reach * reach


@inlined
def no_wall_near(clearance, x, y, reach):
    """Whether the cell of a point is known to be farther than `reach` from every wall; False outside the grid."""
    if not (0.0 <= x < clearance.shape[1] and 0.0 <= y < clearance.shape[0]):
        return False
    return clearance[int(y), int(x)] > reach


@inlined
def wall_lines(world, lines, unit, kind):
    """Write the lines of all walls within one second of travel, in the order of the walls.

    Returns the number of lines, written from the start of `lines`.
    """
    x, y = np.float64(unit.x), np.float64(unit.y)
    radius = kind.body
    reach = radius + kind.speed
    if no_wall_near(world.clearance, x, y, reach):
        return 0
    on_both_axes = world.rules.wall_offset_on_both_axes
    n = 0
    for k in range(world.walls.shape[0]):
        wall = world.walls[k]
        if not in_reach(wall, x, y, reach):
            continue
        for i in range(4):
            ax, ay = corner(wall, i)
            bx, by = corner(wall, (i + 1) % 4)
            n = edge_line(lines, n, i, ax - x, ay - y, bx - x, by - y, unit.vx, unit.vy, radius, on_both_axes)
    return n
