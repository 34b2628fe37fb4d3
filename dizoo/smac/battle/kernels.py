"""A tick, a step, and the drivers that run them over many battles (RULES 6).

The phases work on one battle. The only loops over battles are in the drivers at the end; a driver works on the battles
[first, last) with the scratch space of one thread and holds no interpreter lock, so that threads can share a batch.
"""

from __future__ import annotations

from collections.abc import Callable

from dizoo.smac.battle.avoidance import avoid_collisions
from dizoo.smac.battle.combat import execute, explode_the_killed, remove_dead
from dizoo.smac.battle.compiler import cached_driver, phase
from dizoo.smac.battle.features import FIRST_MOVE, heading, write_features
from dizoo.smac.battle.rng import shuffle
from dizoo.smac.battle.rules import MOVE_DISTANCE
from dizoo.smac.battle.scenario import FIRST_TARGET_ACTION
from dizoo.smac.battle.starting import start_battle
from dizoo.smac.battle.state import MOVE_COMMAND, STOP_COMMAND, TARGET_COMMAND, Battle
from dizoo.smac.battle.targeting import clean_up_targets, prefer_velocities

BEGIN, FINISH = 1, 2  # parts of a step besides its ticks


@phase
def view(battles, e):
    """The arrays of battle e as views."""
    return Battle(
        battles.x[e],
        battles.y[e],
        battles.vx[e],
        battles.vy[e],
        battles.hp[e],
        battles.shield[e],
        battles.energy[e],
        battles.cooldown[e],
        battles.shield_cooldown[e],
        battles.healing[e],
        battles.target[e],
        battles.attacking[e],
        battles.in_play[e],
        battles.command[e],
        battles.command_unit[e],
        battles.command_x[e],
        battles.command_y[e],
        battles.value[e],
        battles.last_action[e],
        battles.stream[e],
        battles.clock[e],
        battles.tick_reward[e],
        battles.mirrored[e],
    )


@phase
def set_commands(world, battle, actions):
    """Remember the actions (A,) and replace the command of each living agent (RULES 5.3)."""
    for k in range(world.n_agents):
        action = actions[k]
        battle.last_action[k] = action
        unit = world.agent_unit[k]
        if not battle.in_play[unit]:
            continue
        if action >= FIRST_TARGET_ACTION:
            others = world.agent_unit if world.is_healer[unit] else world.enemy_unit
            battle.command[unit] = TARGET_COMMAND
            battle.command_unit[unit] = others[action - FIRST_TARGET_ACTION]
        elif action >= FIRST_MOVE:
            dx, dy = heading(battle, action - FIRST_MOVE)
            battle.command[unit] = MOVE_COMMAND
            battle.command_x[unit] = float(battle.x[unit]) + MOVE_DISTANCE * dx
            battle.command_y[unit] = float(battle.y[unit]) + MOVE_DISTANCE * dy
        else:
            battle.command[unit] = STOP_COMMAND


@phase
def begin_step(world, battle, actions):
    """What happens once, before the ticks of a step."""
    set_commands(world, battle, actions)
    battle.tick_reward[0] = 0.0
    for unit in range(world.n_units):
        battle.value[unit] = battle.hp[unit] + battle.shield[unit] if battle.in_play[unit] else 0.0


@phase
def take_stock(world, battle, scratch):
    """List the living in ascending id and take the snapshot of positions (RULES 7); returns the number of living."""
    n = 0
    for unit in range(world.n_units):
        if battle.in_play[unit]:
            scratch.living[n] = unit
            scratch.exploded[unit] = False
            scratch.snap_x[unit] = battle.x[unit]
            scratch.snap_y[unit] = battle.y[unit]
            n += 1
    return n


@phase
def draw_order(battle, scratch, n_living, imposed):
    """Order of execution: a fresh shuffle of the living, or the imposed (U,) ids up to the first negative one.

    Returns:
        Number of units in the order.
    """
    if imposed.shape[0] == 0:
        scratch.order[:n_living] = scratch.living[:n_living]
        shuffle(scratch.order, n_living, battle.stream)
        return n_living
    n = 0
    while n < imposed.shape[0] and imposed[n] >= 0:
        scratch.order[n] = imposed[n]
        n += 1
    return n


@phase
def tick(world, rules, battle, scratch, imposed):
    """One sixteenth of a second (RULES 6): P1 to P6."""
    n_living = take_stock(world, battle, scratch)
    clean_up_targets(world, battle, scratch, n_living)
    prefer_velocities(world, rules, battle, scratch, n_living)
    avoid_collisions(world, rules, battle, scratch, n_living)
    n_order = draw_order(battle, scratch, n_living, imposed)
    reward = execute(world, rules, battle, scratch, n_order)
    reward += explode_the_killed(world, rules, battle, scratch, n_living)
    remove_dead(battle, scratch, n_living)
    battle.tick_reward[0] += reward


@phase
def is_beaten(world, rules, battle, units):
    """Whether a side has nobody left in play, or only healers where the rules count that."""
    for unit in units:
        if battle.in_play[unit] and not (rules.end_on_healers_only and world.is_healer[unit]):
            return False
    return True


@phase
def net_reward(world, rules, battle):
    """Hit points and shields lost over the step, net of regeneration, and deaths, as SMAC counts them."""
    enemy_loss = deaths = ally_loss = 0.0
    for unit in range(world.n_units):
        before = battle.value[unit]
        if before <= 0.0:
            continue
        died = battle.hp[unit] == 0.0
        loss = before if died else before - (battle.hp[unit] + battle.shield[unit])
        if not world.is_ally[unit]:
            enemy_loss += loss
            deaths += rules.reward_death_value if died else 0.0
        elif not rules.reward_only_positive:
            ally_loss += rules.reward_negative_scale * loss
            deaths -= rules.reward_negative_scale * rules.reward_death_value if died else 0.0
    total = enemy_loss + deaths - ally_loss
    return abs(total) if rules.reward_only_positive else total


@phase
def write_outputs(world, rules, battle, outputs, e):
    """Everything that is seen of battle e, from its state."""
    write_features(
        world, rules, battle, outputs.action_mask[e], outputs.agent_state[e], outputs.global_state[e]
    )
    for k in range(world.n_agents):
        outputs.alive[e, k] = battle.in_play[world.agent_unit[k]]
    outputs.episode_length[e] = battle.clock[0]


@phase
def finish_step(world, rules, battle, outputs, e, episode_limit):
    """Reward, end of the battle and all outputs, after the ticks of a step (RULES 11)."""
    allies_beaten = is_beaten(world, rules, battle, world.allies)
    enemies_beaten = is_beaten(world, rules, battle, world.enemies)
    won = enemies_beaten and not (rules.win_needs_living_ally and allies_beaten)
    reward = net_reward(world, rules, battle) if rules.reward_net else battle.tick_reward[0]
    if won:
        reward += rules.reward_win
    elif allies_beaten and not enemies_beaten:
        reward += rules.reward_defeat
    battle.clock[0] += 1
    outputs.reward[e] = reward / rules.reward_divisor
    outputs.battle_won[e] = won
    outputs.terminated[e] = allies_beaten or enemies_beaten
    outputs.truncated[e] = battle.clock[0] >= episode_limit and not outputs.terminated[e]
    write_outputs(world, rules, battle, outputs, e)


@phase
def advance(world, rules, battle, outputs, scratch, actions, orders, e, parts, n_ticks, episode_limit):
    """A step of battle e, or a part of it.

    Args:
        world: the map.
        rules: the switches.
        battle: views of battle e.
        outputs: of all battles.
        scratch: of this thread.
        actions: (A,) actions of this battle.
        orders: (n_ticks, U) imposed orders of execution, or (n_ticks, 0) to draw them.
        e: index of the battle.
        parts: BEGIN, FINISH, both or none.
        n_ticks: ticks to run in between.
        episode_limit: steps after which the battle is truncated.
    """
    if parts & BEGIN:
        begin_step(world, battle, actions)
    for k in range(n_ticks):
        tick(world, rules, battle, scratch, orders[k])
    if parts & FINISH:
        finish_step(world, rules, battle, outputs, e, episode_limit)


def _make_step_battles(digest: str) -> Callable[..., None]:
    def step_battles(
        world, rules, battles, outputs, scratch, actions, orders, first, last, parts, n_ticks, episode_limit
    ):
        """Advance the battles [first, last); finished ones are frozen and get reward 0. See `advance`."""
        digest  # noqa: B018  # part of the cache key
        for e in range(first, last):
            if outputs.terminated[e] or outputs.truncated[e]:
                outputs.reward[e] = 0.0
                continue
            imposed = orders[min(e, orders.shape[0] - 1)]
            battle = view(battles, e)
            advance(
                world, rules, battle, outputs, scratch, actions[e], imposed, e, parts, n_ticks, episode_limit
            )

    return step_battles


def _make_reset_battles(digest: str) -> Callable[..., None]:
    def reset_battles(world, rules, battles, outputs, ids, place):
        """Start the battles `ids` anew (or leave them as they are unless `place`) and write their outputs."""
        digest  # noqa: B018  # part of the cache key
        for e in ids:
            battle = view(battles, e)
            if place:
                start_battle(world, rules, battle)
                outputs.reward[e] = 0.0
                outputs.terminated[e] = False
                outputs.truncated[e] = False
                outputs.battle_won[e] = False
            write_outputs(world, rules, battle, outputs, e)

    return reset_battles


def _make_first_bad_action(digest: str) -> Callable[..., int]:
    def first_bad_action(actions, outputs):
        """Flat index (battle * A + agent) of the first action that is not available, -1 if all are; frozen battles pass."""
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
