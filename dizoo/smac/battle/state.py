"""The data of the kernels: what a map fixes (`World`), what changes (`Battle`), what is written out, and scratch space.

All are NamedTuples of arrays. Letters in shapes: E battles, U units, A agents (allies), K enemies, N actions, Y unit types, R wall
rectangles, H rows and W columns of the grid, L half-plane lines. Lengths in cells, times in seconds, speeds in cells per second.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dizoo.smac.battle.rules import TICKS_PER_SECOND

TICK_S = 1.0 / TICKS_PER_SECOND

STOP_COMMAND, MOVE_COMMAND, TARGET_COMMAND, ATTACK_MOVE_COMMAND = 0, 1, 2, 3
NO_UNIT = -1
NO_ACTION = -1

Array = NDArray[Any]


class Rules(NamedTuple):
    """The switches of a rule profile that the kernels read (described at `rules.Profile`) and the options of variation."""

    healer_flags_show_healers: bool
    swap_move_bounds: bool
    last_action_survives_reset: bool
    end_on_healers_only: bool
    win_needs_living_ally: bool
    hits_dead_targets: bool
    heals_dead_targets: bool
    wall_offset_on_both_axes: bool
    reward_net: bool
    reward_own_death: bool
    reward_only_positive: bool
    reward_death_value: float
    reward_negative_scale: float
    reward_win: float
    reward_defeat: float
    reward_divisor: float
    weapon_delay_min: float  # seconds: each use of a weapon lengthens its cooldown by a uniform draw from [min, max]
    weapon_delay_max: float
    start_jitter: float  # cells: each start coordinate is moved by a uniform draw from [-jitter, jitter]
    random_side: bool  # a fair coin at each reset mirrors the map left to right


class World(NamedTuple):
    """What the map and the unit types fix; shared by all battles and never written."""

    n_units: int
    n_agents: int
    n_enemies: int
    n_actions: int
    n_groups: int
    width: float
    height: float
    attack_x: float
    attack_y: float
    radius_max: float  # RMAX: the largest radius of any unit of the map, dead or alive
    body_max: float  # the largest body radius
    agent_unit: Array  # (A,) i32: unit id of agent k
    enemy_unit: Array  # (K,) i32: unit id of enemy j
    allies: Array  # (A,) i32: unit ids ascending
    enemies: Array  # (K,) i32: unit ids ascending
    is_ally: Array  # (U,) bool
    is_healer: Array  # (U,) bool
    unit_type: Array  # (U,) i32
    group: Array  # (U,) i32: the group that the unit was placed with
    hp_max: Array  # (U,) f64
    shield_max: Array  # (U,) f64
    energy_max: Array  # (U,) f64
    energy_start: Array  # (U,) f64
    armor: Array  # (U,) f64
    attacks: Array  # (U,) i32: hits of one attack
    period: Array  # (U,) f64: weapon cooldown
    speed: Array  # (U,) f64
    radius: Array  # (U,) f64: for ranges and area damage
    body: Array  # (U,) f64: radius for collision avoidance
    scan_range: Array  # (U,) f64
    regen_per_tick: Array  # (U,) f64
    plane: Array  # (U,) i32
    can_hit: Array  # (U,) i32: bit 1 << plane
    weapon: Array  # (U,) i32
    blast_radius: Array  # (U,) f64
    beam_width: Array  # (U,) f64
    beam_height: Array  # (U,) f64
    explodes: Array  # (U,) bool: also when killed by others
    damage: Array  # (Y, Y) f64: one hit of a type on a type, bonuses included
    reach: Array  # (Y, Y) f32: weapon range plus both radii
    reach_squared: Array  # (Y, Y) f32
    start_x: Array  # (U,) f32
    start_y: Array  # (U,) f32
    open_cells: Array  # (H, W) bool, row y = 0 first
    clearance: Array  # (H, W) f64: distance from the cell to the nearest wall
    rect_x: Array  # (R, 4) f64: corners counter-clockwise from bottom left
    rect_y: Array  # (R, 4) f64
    slot: Array  # (U,) i32: place in the type one-hot, -1 when the map shows none
    n_slots: int
    show_ally_shield: int  # 0 or 1
    show_enemy_shield: int  # 0 or 1
    cooldown_scale: Array  # (U,) f64: factor of the cooldown (healers: of the energy) in the global state


class Battle(NamedTuple):
    """What changes: arrays (E, ...) in the engine, the views of one battle in the phase functions (the shapes below)."""

    x: Array  # (U,) f32
    y: Array  # (U,) f32
    vx: Array  # (U,) f64: velocity of the last executed tick
    vy: Array  # (U,) f64
    hp: Array  # (U,) f64
    shield: Array  # (U,) f64
    energy: Array  # (U,) f64
    cooldown: Array  # (U,) f64
    shield_cooldown: Array  # (U,) f64
    healing: Array  # (U,) f64: hit points already paid for with energy ("healing_available")
    target: Array  # (U,) i32: unit id or NO_UNIT
    attacking: Array  # (U,) bool
    in_play: Array  # (U,) bool
    command: Array  # (U,) i32: one of the *_COMMAND
    command_unit: Array  # (U,) i32: the unit of a TARGET_COMMAND
    command_x: Array  # (U,) f64: the point of a MOVE_COMMAND or ATTACK_MOVE_COMMAND
    command_y: Array  # (U,) f64
    value: Array  # (U,) f64: hp + shield at the start of the step; 0 for units out of play
    last_action: Array  # (A,) i32, NO_ACTION before the first step
    stream: Array  # (2,) u64: key and number of draws
    clock: Array  # (1,) i32: steps since the reset
    tick_reward: Array  # (1,) f64: unscaled rewards since the start of the step
    mirrored: Array  # (1,) bool: this battle is played on the mirrored map


class Outputs(NamedTuple):
    """What a step writes for its caller, one row per battle."""

    agent_state: Array  # (E, A, O) f32
    global_state: Array  # (E, S) f32
    action_mask: Array  # (E, A, N) bool
    reward: Array  # (E,) f64
    terminated: Array  # (E,) bool
    truncated: Array  # (E,) bool
    battle_won: Array  # (E,) bool
    alive: Array  # (E, A) bool
    episode_length: Array  # (E,) i32


class Lines(NamedTuple):
    """Half-planes of permitted velocities w: det(d, p - w) <= 0."""

    px: Array  # (L,) f64
    py: Array  # (L,) f64
    dx: Array  # (L,) f64: unit length
    dy: Array  # (L,) f64


class Scratch(NamedTuple):
    """Space that one thread uses within one tick; nothing in it outlives the tick."""

    living: Array  # (U,) i32: ids in play at the start of the tick, ascending
    order: Array  # (U,) i32: order of execution
    prev_target: Array  # (U,) i32
    pref_x: Array  # (U,) f64: preferred velocity
    pref_y: Array  # (U,) f64
    new_vx: Array  # (U,) f64: velocity chosen by collision avoidance
    new_vy: Array  # (U,) f64
    snap_x: Array  # (U,) f64: positions at the start of the tick
    snap_y: Array  # (U,) f64
    exploded: Array  # (U,) bool: blast units that have gone off
    lines: Lines
    projected: Lines


#: Per-battle shapes and types of the fields of `Battle`: a letter is looked up among the sizes of the map.
BATTLE_FIELDS: dict[str, tuple[str, type]] = {
    **dict.fromkeys(("x", "y"), ("U", np.float32)),
    **dict.fromkeys(("vx", "vy", "hp", "shield", "energy", "cooldown", "shield_cooldown", "healing"), ("U", np.float64)),
    "target": ("U", np.int32),
    **dict.fromkeys(("attacking", "in_play"), ("U", np.bool_)),
    **dict.fromkeys(("command", "command_unit"), ("U", np.int32)),
    **dict.fromkeys(("command_x", "command_y", "value"), ("U", np.float64)),
    "last_action": ("A", np.int32),
    "stream": ("2", np.uint64),
    "clock": ("1", np.int32),
    "tick_reward": ("1", np.float64),
    "mirrored": ("1", np.bool_),
}


def empty_battles(num_envs: int, n_units: int, n_agents: int) -> Battle:
    """The state arrays of `num_envs` battles, all zero (not yet a legal state: reset it).

    Args:
        num_envs: number of battles E.
        n_units: units U of both sides.
        n_agents: agents A.

    Returns:
        Arrays (E, ...) as listed at `Battle`.
    """
    sizes = {"U": n_units, "A": n_agents, "2": 2, "1": 1}
    return Battle(*(np.zeros((num_envs, sizes[BATTLE_FIELDS[f][0]]), BATTLE_FIELDS[f][1]) for f in Battle._fields))


def empty_scratch(n_units: int, n_rects: int) -> Scratch:
    """Scratch space for one thread.

    Args:
        n_units: units U of both sides.
        n_rects: wall rectangles R; seen from outside, a rectangle has at most two facing edges, each giving one line.

    Returns:
        Arrays as listed at `Scratch`.
    """
    line_count = 2 * n_rects + n_units

    def lines() -> Lines:
        return Lines(*(np.zeros(line_count) for _ in Lines._fields))

    types = {"living": np.int32, "order": np.int32, "prev_target": np.int32, "exploded": np.bool_}
    arrays = {f: np.zeros(n_units, types.get(f, np.float64)) for f in Scratch._fields if f not in ("lines", "projected")}
    return Scratch(**arrays, lines=lines(), projected=lines())
