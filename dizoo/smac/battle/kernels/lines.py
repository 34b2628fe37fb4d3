"""Linear programs of collision avoidance: the allowed velocity nearest to a wanted one (RULES 9.4; RVO2's ORCA).

Half-planes are points p and unit directions d; a line allows a velocity w if det(d, p - w) <= 0.
"""

from __future__ import annotations

import math

from dizoo.smac.battle.kernels.compiler import inlined, outlined

PARALLEL = 1e-5  # determinants below this count as parallel


@inlined
def det(ax, ay, bx, by):
    """Determinant of two vectors: positive if b lies to the left of a."""
    return ax * by - ay * bx


@inlined
def set_line(lines, n, px, py, dx, dy):
    """Store line n."""
    line = lines[n]
    line.px = px
    line.py = py
    line.dx = dx
    line.dy = dy


@outlined
def best_on_line(lines, k, speed_max, opt_x, opt_y, by_direction):
    """LP1: find the best velocity on line k that all earlier lines and the speed limit allow.

    If `by_direction`, (opt_x, opt_y) is a direction, and best means farthest along it; else it is a velocity, and best
    means nearest to it.

    Returns:
        Whether there is such a velocity; its x; its y.
    """
    px, py, dx, dy = lines[k].px, lines[k].py, lines[k].dx, lines[k].dy
    along = px * dx + py * dy
    discriminant = along * along + speed_max * speed_max - (px * px + py * py)
    if discriminant < 0.0:
        return False, 0.0, 0.0
    root = math.sqrt(discriminant)
    left = -along - root
    right = -along + root
    for j in range(k):
        other = lines[j]
        denominator = det(dx, dy, other.dx, other.dy)
        numerator = det(other.dx, other.dy, px - other.px, py - other.py)
        if abs(denominator) < PARALLEL:
            if numerator < 0.0:
                return False, 0.0, 0.0
            continue
        t = numerator / denominator
        if denominator >= 0.0:
            right = min(right, t)
        else:
            left = max(left, t)
        if left > right:
            return False, 0.0, 0.0
    if by_direction:
        t = right if opt_x * dx + opt_y * dy > 0.0 else left
    else:
        t = dx * (opt_x - px) + dy * (opt_y - py)
        if t < left:
            t = left
        elif t > right:
            t = right
    return True, px + t * dx, py + t * dy


@inlined
def best_velocity(lines, n, speed_max, opt_x, opt_y, by_direction):
    """LP2: find the best velocity under the first n lines, taken one after another.

    Returns:
        The number of the first line that left no velocity, n if there was none; the velocity's x; its y.
    """
    if by_direction:
        x, y = speed_max * opt_x, speed_max * opt_y
    else:
        x, y = opt_x, opt_y
        squared = opt_x * opt_x + opt_y * opt_y
        if squared > speed_max * speed_max:
            length = math.sqrt(squared)
            x, y = speed_max * (opt_x / length), speed_max * (opt_y / length)
    for k in range(n):
        line = lines[k]
        if det(line.dx, line.dy, line.px - x, line.py - y) > 0.0:
            found, new_x, new_y = best_on_line(lines, k, speed_max, opt_x, opt_y, by_direction)
            if not found:
                return k, x, y
            x, y = new_x, new_y
    return n, x, y


@inlined
def project(lines, projected, n_fixed, i):
    """Project every soft line j < i onto line i: the lines on which both are violated equally. Fixed lines stay.

    Returns the number of lines written to `projected`.
    """
    for j in range(n_fixed):
        set_line(projected, j, lines[j].px, lines[j].py, lines[j].dx, lines[j].dy)
    n = n_fixed
    px, py, dx, dy = lines[i].px, lines[i].py, lines[i].dx, lines[i].dy
    for j in range(n_fixed, i):
        other = lines[j]
        jx, jy = other.dx, other.dy
        denominator = det(dx, dy, jx, jy)
        if abs(denominator) <= PARALLEL:
            if dx * jx + dy * jy > 0.0:
                continue
            qx, qy = 0.5 * (px + other.px), 0.5 * (py + other.py)
        else:
            t = det(jx, jy, px - other.px, py - other.py) / denominator
            qx, qy = px + t * dx, py + t * dy
        ex, ey = jx - dx, jy - dy
        length = math.sqrt(ex * ex + ey * ey)
        set_line(projected, n, qx, qy, ex / length, ey / length)
        n += 1
    return n


@outlined
def least_violation(lines, projected, n, n_fixed, start, speed_max, x, y):
    """LP3: if no velocity satisfies all lines, find the one whose largest violation of a soft line is smallest.

    Of the n lines, the first `n_fixed` are hard (walls); `projected` is space for as many. `start` is the line at which
    `best_velocity` stopped, and (x, y) the velocity so far. Returns the velocity's x and y.
    """
    violation = 0.0
    for i in range(start, n):
        line = lines[i]
        if det(line.dx, line.dy, line.px - x, line.py - y) <= violation:
            continue
        n_projected = project(lines, projected, n_fixed, i)
        done, new_x, new_y = best_velocity(projected, n_projected, speed_max, -line.dy, line.dx, True)
        if done == n_projected:
            x, y = new_x, new_y
        violation = det(line.dx, line.dy, line.px - x, line.py - y)
    return x, y
