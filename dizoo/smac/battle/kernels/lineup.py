"""Drawing of a battle: teams and starts, as the map's generator says (``maps/generator.py``, after SMACv2)."""

from __future__ import annotations

import math

import numpy as np

from dizoo.smac.battle.kernels.compiler import inlined, outlined
from dizoo.smac.battle.kernels.rng import next_unit
from dizoo.smac.battle.kernels.starting import is_clear_of_walls
from dizoo.smac.battle.maps.generator import INNER, MIDDLE, STARTS

REFLECT, SURROUNDED, FORMATION = map(STARTS.index, ("reflect", "surrounded", "formation"))
GAP = 0.05  # cells between two units, at least, of which one had to give way
SLACK = 1e-3  # cells by which a unit may reach into a wall or over the map's edge
GOLDEN_ANGLE = math.pi * (3.0 - math.sqrt(5.0))
SPACING = 0.25  # cells: place n of the spiral is SPACING * sqrt(n) from its centre
DIAGONALS = 4


@inlined
def draw_type(world, battle):
    """Draw a type by the weights."""
    u = next_unit(battle)
    t = 0
    while u >= world.weight_up_to[t]:
        t += 1
    return t


@inlined
def draw_types(world, kinds, first, last, battle):
    """Draw the types of units [first, last), anew as long as all of them are exceptions."""
    ordinary = first == last
    while not ordinary:
        for i in range(first, last):
            t = draw_type(world, battle)
            kinds[i].type = t
            ordinary = ordinary or not world.is_exception[t]


@inlined
def draw_teams(world, kinds, battle):
    """Draw both sides' types; enemies repeat the allies' one by one, if the generator says so."""
    n_agents, n_units = world.agent_unit.shape[0], kinds.shape[0]
    draw_types(world, kinds, 0, n_agents, battle)
    first = n_agents
    if world.draw.enemies_copy_allies:
        first = min(2 * n_agents, n_units)
        for j in range(n_agents, first):
            kinds[j].type = kinds[j - n_agents].type
    draw_types(world, kinds, first, n_units, battle)


@outlined
def adopt_types(world, kinds):
    """Fill in what follows from the units' types, and keep their starts."""
    n_agents = world.agent_unit.shape[0]
    for i in range(kinds.shape[0]):
        t, x, y = kinds[i].type, kinds[i].start_x, kinds[i].start_y
        kinds[i] = world.types[0 if i < n_agents else 1, t]
        kinds[i].start_x = x
        kinds[i].start_y = y


@inlined
def is_free(world, kinds, i, x, y):
    """Whether unit i may start at a point: inside the map, on open ground, apart from the units before it."""
    me = kinds[i]
    for j in range(i):
        other = kinds[j]
        dx, dy = x - np.float64(other.start_x), y - np.float64(other.start_y)
        distance = me.radius + other.radius + GAP
        if other.plane == me.plane and dx * dx + dy * dy < distance * distance:
            return False
    return is_clear_of_walls(world, x, y, me.radius - SLACK)


@outlined
def place(world, kinds, i, x, y, right):
    """Start unit i at a point, or at the first free place of a spiral around it; its x is at most `right`."""
    r = kinds[i].radius
    x = min(max(x, r), min(right, world.map.width - r))
    y = min(max(y, r), world.map.height - r)
    kinds[i].start_x = x
    kinds[i].start_y = y
    farthest = math.hypot(world.map.width, world.map.height)
    for n in range(int((farthest / SPACING) ** 2)):
        away, angle = SPACING * math.sqrt(n), GOLDEN_ANGLE * n
        px = np.float32(x + away * math.cos(angle))
        py = np.float32(y + away * math.sin(angle))
        if px <= right and is_free(world, kinds, i, np.float64(px), np.float64(py)):
            kinds[i].start_x = px
            kinds[i].start_y = py
            return


@inlined
def start_mirrored(world, kinds, battle):
    """Spread the allies over the left half; enemies mirror them, and further ones are spread over the right half."""
    width, height = world.map.width, world.map.height
    n_agents = world.agent_unit.shape[0]
    right = 0.5 * width - MIDDLE
    for i in range(n_agents):
        x = right * next_unit(battle)
        place(world, kinds, i, x, height * next_unit(battle), right)
    for i in range(n_agents, min(2 * n_agents, kinds.shape[0])):
        x, y = width - np.float64(kinds[i - n_agents].start_x), kinds[i - n_agents].start_y
        if world.draw.enemies_copy_allies:  # as free as the ally
            kinds[i].start_x = x
            kinds[i].start_y = y
        else:
            place(world, kinds, i, x, np.float64(y), width)
    for i in range(2 * n_agents, kinds.shape[0]):
        x = width * (0.5 + 0.5 * next_unit(battle))
        place(world, kinds, i, x, height * next_unit(battle), width)


@inlined
def start_surrounded(world, kinds, battle):
    """Put the allies in the middle and the enemies in one to four groups, each on another diagonal."""
    n_agents, n_units = world.agent_unit.shape[0], kinds.shape[0]
    half_x, half_y = 0.5 * world.map.width, 0.5 * world.map.height
    for i in range(n_agents):
        place(world, kinds, i, half_x, half_y, world.map.width)
    groups = 1 + int(DIAGONALS * next_unit(battle))
    used = 0  # bits of the diagonals
    i = n_agents
    for group in range(groups):
        diagonal = int(DIAGONALS * next_unit(battle))
        while (used >> diagonal) & 1:
            diagonal = int(DIAGONALS * next_unit(battle))
        used |= 1 << diagonal
        t = next_unit(battle)  # 0: at the corner, 1: at the inner end
        x = half_x + (1.0 if diagonal & 1 else -1.0) * (half_x + t * (INNER - half_x))
        y = half_y + (1.0 if diagonal & 2 else -1.0) * (half_y + t * (INNER - half_y))
        for _ in range(group_size(n_units - i, groups - group, battle)):
            place(world, kinds, i, x, y, world.map.width)
            i += 1


@inlined
def group_size(units, groups, battle):
    """Draw how many of some units go to the first of some groups, if each goes to any of them alike."""
    n = 0
    for _ in range(units):
        if groups == 1 or next_unit(battle) * groups < 1.0:
            n += 1
    return n


@inlined
def comes_before(world, a, b):
    """Whether an agent is numbered before another: by type, then x, then y."""
    rank_a, rank_b = world.type_rank[a.type], world.type_rank[b.type]
    if rank_a != rank_b:
        return rank_a < rank_b
    return a.start_x < b.start_x or (a.start_x == b.start_x and a.start_y < b.start_y)


@inlined
def sort_agents(world, kinds):
    """Sort the agents' types and starts, by insertion."""
    for last in range(1, world.agent_unit.shape[0]):
        k = last
        while k > 0 and comes_before(world, kinds[k], kinds[k - 1]):
            a, b = kinds[k - 1], kinds[k]
            a.type, b.type = b.type, a.type
            a.start_x, b.start_x = b.start_x, a.start_x
            a.start_y, b.start_y = b.start_y, a.start_y
            k -= 1


@outlined
def draw_battle(world, kinds, battle):
    """Draw who fights and from where into kinds (U,); returns the kind of start, an index into STARTS."""
    draw_teams(world, kinds, battle)
    adopt_types(world, kinds)
    u = next_unit(battle)
    start_kind = FORMATION
    if u < world.draw.reflect_up_to:
        start_kind = REFLECT
        start_mirrored(world, kinds, battle)
    elif u < world.draw.surrounded_up_to:
        start_kind = SURROUNDED
        start_surrounded(world, kinds, battle)
    else:
        for i in range(kinds.shape[0]):
            place(world, kinds, i, world.formation[i, 0], world.formation[i, 1], world.map.width)
    if world.type_rank[0] >= 0:
        sort_agents(world, kinds)
        adopt_types(world, kinds)
    return start_kind
