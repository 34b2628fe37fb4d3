"""Who may see which enemy, where SMACv2's extended partial observability (EPO) hides some of them."""

from __future__ import annotations

from dizoo.smac.battle.kernels.compiler import inlined
from dizoo.smac.battle.kernels.rng import next_unit
from dizoo.smac.battle.kernels.state import GRANTED, HIDDEN, OWNER, UNDECIDED
from dizoo.smac.battle.kernels.targeting import squared_distance


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
        if owner < 0 and units[i].in_play and squared_distance(units[i], enemy) <= world.kinds[i].sight_squared:
            owner = agent
    if owner < 0:
        return
    for agent in range(sightings.shape[0]):
        if agent == owner:
            sightings[agent, j] = OWNER
        else:
            sightings[agent, j] = GRANTED if next_unit(battle) < world.rules.prob_obs_enemy else HIDDEN
