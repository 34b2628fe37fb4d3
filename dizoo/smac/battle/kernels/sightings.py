"""Who may see what: SMACv2's conic field of view, and its extended partial observability (EPO), which hides enemies."""

from __future__ import annotations

import math

import numpy as np

from dizoo.smac.battle.kernels.compiler import inlined
from dizoo.smac.battle.kernels.rng import next_unit
from dizoo.smac.battle.kernels.state import GRANTED, HIDDEN, OWNER, UNDECIDED
from dizoo.smac.battle.kernels.targeting import near, squared_distance

ROUNDING = 1e-9  # of the cosine: the border belongs to a cone however it is rounded


@inlined
def in_view(world, battle, me, other):
    """Whether a unit is in the cone that an agent looks into; always if agents see all around.

    Of D directions, each has the cone of half the angle pi / D, in which cos(angle) >= cos(pi / D). (SMACv2 compares
    arctangents, which cannot tell a direction from its opposite.) Two neighbours share their border, where drawn
    battles do put units: on the diagonals.
    """
    n = world.directions.shape[0]
    if n == 0:
        return True
    look_x, look_y = world.directions[me.look, 0], world.directions[me.look, 1]
    dx, dy = np.float64(other.x) - np.float64(me.x), np.float64(other.y) - np.float64(me.y)
    along = (-look_x if battle.mirrored else look_x) * dx + look_y * dy
    return along >= (math.cos(math.pi / n) - ROUNDING) * math.sqrt(dx * dx + dy * dy)


@inlined
def in_reach(world, units, battle, i, j):
    """Whether agent unit i may name unit j: near enough, and in view."""
    return near(units[i], units[j], world.kinds[i].target_range) and in_view(world, battle, units[i], units[j])


@inlined
def may_see(sightings, agent, j):
    """Whether an agent may see enemy index j once it is in sight; always where no sight is partial."""
    return sightings.shape[0] == 0 or sightings[agent, j] >= GRANTED


@inlined
def update_sightings(world, units, battle, sightings):
    """Decide who may see each enemy from now on.

    The first agent that sees an enemy owns it; every other agent draws once whether it may see it. All of it ends with
    the enemy's death, and with the owner's: the next agent to see it owns it then. Of several at once, the agent with
    the lowest index is the first.
    """
    for j in range(sightings.shape[1]):
        enemy = units[world.enemy_unit[j]]
        owned = False
        for agent in range(sightings.shape[0]):
            owned |= sightings[agent, j] == OWNER and units[world.agent_unit[agent]].in_play
        if owned and enemy.in_play:
            continue
        sightings[:, j] = UNDECIDED
        if enemy.in_play:
            decide(world, units, battle, enemy, sightings, j)


@inlined
def decide(world, units, battle, enemy, sightings, j):
    """Find the owner of enemy index j among the agents that see it, and draw for the others if there is one."""
    owner = -1
    for agent in range(sightings.shape[0]):
        i = world.agent_unit[agent]
        in_sight = squared_distance(units[i], enemy) <= world.kinds[i].sight_squared
        if owner < 0 and units[i].in_play and in_sight and in_view(world, battle, units[i], enemy):
            owner = agent
    if owner < 0:
        return
    for agent in range(sightings.shape[0]):
        if agent == owner:
            sightings[agent, j] = OWNER
        else:
            sightings[agent, j] = GRANTED if next_unit(battle) < world.rules.prob_obs_enemy else HIDDEN
