"""A tick, a step, and the drivers that run them over many battles (RULES 6).

Phases work on one battle. Only the drivers at the end loop over battles: each handles the battles [first, last) with
the scratch space of one thread and without the interpreter lock, so threads can share a batch.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit

from dizoo.smac.battle.kernels.avoidance import avoid_collisions
from dizoo.smac.battle.kernels.combat import execute, explode_the_killed, remove_dead
from dizoo.smac.battle.kernels.compiler import cached_driver, inlined, outlined
from dizoo.smac.battle.kernels.lineup import adopt_types, draw_battle
from dizoo.smac.battle.kernels.observation import FIRST_MOVE, heading, write_features
from dizoo.smac.battle.kernels.rng import shuffle
from dizoo.smac.battle.kernels.sightings import in_reach, update_sightings
from dizoo.smac.battle.kernels.starting import start_battle
from dizoo.smac.battle.kernels.state import MOVE_COMMAND, NO_UNIT, STOP_COMMAND, TARGET_COMMAND, UNDECIDED, World
from dizoo.smac.battle.kernels.targeting import clean_up_targets, prefer_velocities
from dizoo.smac.battle.maps.rules import MOVE_DISTANCE, TICKS_PER_STEP
from dizoo.smac.battle.maps.scenario import FIRST_LOOK_ACTION

BEGIN, FINISH = 1, 2  # parts of a step besides its ticks


@inlined
def set_command(world, units, i, battle, action):
    """Replace the command of a living agent (RULES 5.3); a look, or a target out of reach, leaves the old one."""
    unit, kind = units[i], world.kinds[i]
    if action >= world.map.first_target:
        others = world.agent_unit if kind.is_healer else world.enemy_unit
        target = others[action - world.map.first_target]
        if world.rules.action_mask or in_reach(world, units, battle, i, target):
            unit.command = TARGET_COMMAND
            unit.command_unit = target
    elif action >= FIRST_LOOK_ACTION:
        unit.look = action - FIRST_LOOK_ACTION
    elif action >= FIRST_MOVE:
        dx, dy = heading(battle, action - FIRST_MOVE)
        unit.command = MOVE_COMMAND
        unit.command_x = np.float64(unit.x) + MOVE_DISTANCE * dx
        unit.command_y = np.float64(unit.y) + MOVE_DISTANCE * dy
    else:
        unit.command = STOP_COMMAND


@inlined
def begin_step(world, units, battle, last_action, actions):
    """Start a step, before its ticks: store the actions (A,) and set the commands."""
    for k in range(actions.shape[0]):
        last_action[k] = actions[k]
        i = world.agent_unit[k]
        if units[i].in_play:
            set_command(world, units, i, battle, actions[k])
    battle.tick_reward = 0.0
    for i in range(units.shape[0]):
        unit = units[i]
        unit.value = unit.hp + unit.shield if unit.in_play else 0.0


@inlined
def take_stock(kinds, units, scratch):
    """List the living units by ascending id and record their positions (RULES 7)."""
    everyone, allies = scratch.everyone, scratch.allies
    n = n_allies = 0
    for i in range(units.shape[0]):
        unit = units[i]
        if unit.in_play:
            draft = scratch.drafts[i]
            draft.exploded = False
            draft.attacker = NO_UNIT
            draft.start_x = unit.x
            draft.start_y = unit.y
            everyone.ids[n] = i
            everyone.x[n] = unit.x
            everyone.y[n] = unit.y
            n += 1
            if kinds[i].is_ally:
                allies.ids[n_allies] = i
                allies.x[n_allies] = unit.x
                allies.y[n_allies] = unit.y
                n_allies += 1
    everyone.size[0] = n
    allies.size[0] = n_allies


@inlined
def set_order(battle, scratch, imposed):
    """Set the order of execution: a fresh shuffle of the living, or the imposed (U,) ids up to the first negative one.

    Returns the number of units in the order.
    """
    n = 0
    if imposed.shape[0] == 0:
        n = scratch.everyone.size[0]
        for k in range(n):
            scratch.order[k] = scratch.everyone.ids[k]
        shuffle(scratch.order, n, battle)
        return n
    while n < imposed.shape[0] and imposed[n] >= 0:
        scratch.order[n] = imposed[n]
        n += 1
    return n


@inlined
def tick(world, units, battle, scratch, imposed):
    """Run one tick, a sixteenth of a second: the phases P1 to P6 of RULES 6."""
    take_stock(world.kinds, units, scratch)
    clean_up_targets(world, units, battle, scratch)
    prefer_velocities(world, units, battle, scratch)
    avoid_collisions(world, units, scratch)
    n_order = set_order(battle, scratch, imposed)
    reward = execute(world, units, battle, scratch, n_order)
    reward += explode_the_killed(world, units, scratch)
    remove_dead(units, scratch)
    battle.tick_reward += reward


@inlined
def is_beaten(world, units, side):
    """Whether a side has no unit left in play, or only healers where the rules count that."""
    for i in side:
        if units[i].in_play and not (world.rules.end_on_healers_only and world.kinds[i].is_healer):
            return False
    return True


@outlined
def losses(world, units, allies):
    """Sum a side's losses in the step as SMAC counts them: hit points and shields net of regeneration, and deaths."""
    lost = 0.0
    for i in range(units.shape[0]):
        unit = units[i]
        if unit.value <= 0.0 or world.kinds[i].is_ally != allies:
            continue
        died = unit.hp == 0.0
        lost += unit.value if died else unit.value - (unit.hp + unit.shield)
        lost += world.rules.reward_death_value if died else 0.0
    return lost


@inlined
def step_reward(world, units, battle):
    """Return the step's unscaled reward, without the reward for the end of the battle."""
    rules = world.rules
    reward = losses(world, units, False) if rules.reward_net else battle.tick_reward
    if rules.reward_only_positive:
        return max(reward, 0.0) if rules.zero_if_negative else abs(reward)
    return reward - rules.reward_negative_scale * losses(world, units, True)


@inlined
def write_outputs(world, units, battle, last_action, sightings, outputs, e):
    """Write all outputs of battle e from its state."""
    write_features(
        world,
        units,
        battle,
        last_action,
        sightings,
        outputs.action_mask[e],
        outputs.agent_state[e],
        outputs.global_state[e],
    )
    for k in range(world.agent_unit.shape[0]):
        outputs.alive[e, k] = units[world.agent_unit[k]].in_play
    outputs.episode_length[e] = battle.clock


@inlined
def finish_step(world, units, battle, outputs, e):
    """Compute the reward and end of the battle, after the ticks of a step (RULES 11)."""
    allies_beaten = is_beaten(world, units, world.allies)
    enemies_beaten = is_beaten(world, units, world.enemies)
    won = enemies_beaten and not (world.rules.win_needs_living_ally and allies_beaten)
    reward = step_reward(world, units, battle)
    if won:
        reward += world.rules.reward_win
    elif allies_beaten:
        reward += world.rules.reward_defeat
    battle.clock += 1
    outputs.reward[e] = reward / world.rules.reward_divisor
    outputs.battle_won[e] = won
    outputs.terminated[e] = allies_beaten or enemies_beaten
    outputs.truncated[e] = battle.clock >= world.map.episode_limit and not outputs.terminated[e]


@inlined
def note_frame(units, frame):
    """Copy the parts of the units (U,) that a recording keeps into a frame (U,)."""
    for i in range(units.shape[0]):
        unit, noted = units[i], frame[i]
        noted.x = unit.x
        noted.y = unit.y
        noted.hp = unit.hp
        noted.shield = unit.shield
        noted.energy = unit.energy
        noted.cooldown = unit.cooldown
        noted.target = unit.target
        noted.in_play = unit.in_play


@njit(inline="always")  # a compiled helper cannot return a tuple that holds records
def in_battle(tables, kinds):
    """Return the World of one battle: the map's, with the battle's kinds (U,)."""
    return World(
        tables.map,
        tables.rules,
        kinds,
        tables.types,
        tables.draw,
        tables.weight_up_to,
        tables.is_exception,
        tables.type_rank,
        tables.formation,
        tables.directions,
        tables.opponents,
        tables.agent_unit,
        tables.enemy_unit,
        tables.allies,
        tables.enemies,
        tables.damage,
        tables.open_cells,
        tables.clearance,
        tables.walls,
    )


def _make_step_battles(digest: str) -> Callable[..., None]:
    def step_battles(tables, state, outputs, scratch, actions, orders, frames, first, last, parts, n_ticks):
        """Advance the battles [first, last) by a step or part of one; finished battles are frozen and get reward 0.

        Args:
            tables: the map's World.
            state: of all battles.
            outputs: of all battles.
            scratch: of this thread.
            actions: (E, A) i64.
            orders: (E, n_ticks, U) i16 imposed orders of execution, or (1, n_ticks, 0) to draw them.
            frames: (K, 8 * episode_limit + 1, U) FRAME, written for the first K battles and only for whole steps. Row
                8 * t + k is the moment before tick k of step t; the row after the last step's is the end.
            first: first battle.
            last: one past the last battle.
            parts: BEGIN, FINISH, both or none.
            n_ticks: ticks to run in between.
        """
        digest  # noqa: B018  # part of the cache key
        for e in range(first, last):
            if outputs.terminated[e] or outputs.truncated[e]:
                outputs.reward[e] = 0.0
                continue
            world = in_battle(tables, state.kinds[min(e, state.kinds.shape[0] - 1)])
            units, battle, last_action = state.units[e], state.battles[e], state.last_action[e]
            if parts & BEGIN:
                begin_step(world, units, battle, last_action, actions[e])
            filmed = e < frames.shape[0] and 0 <= battle.clock < world.map.episode_limit
            for k in range(n_ticks):
                if filmed:
                    note_frame(units, frames[e, TICKS_PER_STEP * battle.clock + k])
                tick(world, units, battle, scratch, orders[min(e, orders.shape[0] - 1), k])
            if parts & FINISH:
                finish_step(world, units, battle, outputs, e)
                if filmed:
                    note_frame(units, frames[e, TICKS_PER_STEP * battle.clock])
                update_sightings(world, units, battle, state.sightings[e])
                write_outputs(world, units, battle, last_action, state.sightings[e], outputs, e)

    return step_battles


def _make_reset_battles(digest: str) -> Callable[..., None]:
    def reset_battles(tables, state, outputs, ids, restart):
        """Restart the battles `ids` (n,), or leave them unchanged unless `restart`; then write their outputs.

        Of unchanged drawn battles, only the types and starts in `state.kinds` have to be right.
        """
        digest  # noqa: B018  # part of the cache key
        for e in ids:
            units, battle, last_action = state.units[e], state.battles[e], state.last_action[e]
            kinds = state.kinds[min(e, state.kinds.shape[0] - 1)]
            if tables.draw.is_drawn and restart:
                state.start_kind[e] = draw_battle(tables, kinds, battle)
            elif tables.draw.is_drawn:
                adopt_types(tables, kinds)
            world = in_battle(tables, kinds)
            if restart:
                start_battle(world, units, battle, last_action)
                state.sightings[e] = UNDECIDED
                update_sightings(world, units, battle, state.sightings[e])
                outputs.reward[e] = 0.0
                outputs.terminated[e] = False
                outputs.truncated[e] = False
                outputs.battle_won[e] = False
            write_outputs(world, units, battle, last_action, state.sightings[e], outputs, e)

    return reset_battles


def _make_first_bad_action(digest: str) -> Callable[..., int]:
    def first_bad_action(actions, outputs):
        """Flat index (battle * A + agent) of the first forbidden action, or -1; frozen battles are skipped."""
        digest  # noqa: B018  # part of the cache key
        n_envs, n_agents, n_actions = outputs.action_mask.shape
        for e in range(n_envs):
            if outputs.terminated[e] or outputs.truncated[e]:
                continue
            for k in range(n_agents):
                action = actions[e, k]
                if action < 0 or action >= n_actions or not outputs.action_mask[e, k, action]:
                    return e * n_agents + k
        return -1

    return first_bad_action


step_battles = cached_driver(_make_step_battles)
reset_battles = cached_driver(_make_reset_battles)
first_bad_action = cached_driver(_make_first_bad_action)
