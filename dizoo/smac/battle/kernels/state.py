"""Data of the kernels: what a map fixes (`World`), what changes (`State`), the outputs, and scratch space.

Who fights is part of the state: a map may draw its units anew for every battle.

Units are records, so that a rule reads as `unit.hp -= wound`; numba compiles a record to a plain pointer. Letters in
shapes: E battles, U units, A agents (allies), K enemies, N actions, Y unit types, R walls, H rows and W columns of the
grid. Lengths in cells, times in seconds, speeds in cells per second.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dizoo.smac.battle.maps.layout import ObsLayout, StateLayout
from dizoo.smac.battle.maps.rules import TICKS_PER_SECOND

TICK_S = 1.0 / TICKS_PER_SECOND

STOP_COMMAND, MOVE_COMMAND, TARGET_COMMAND, ATTACK_MOVE_COMMAND = 0, 1, 2, 3
NO_UNIT = -1
NO_ACTION = -1
UNDECIDED, HIDDEN, GRANTED, OWNER = 0, 1, 2, 3
"""What an agent may see of an enemy where sight is partial (see `State.sightings`): ``OWNER`` saw it first."""

Array = NDArray[Any]

_f4, _f8, _i4, _flag, _u8 = np.float32, np.float64, np.int32, np.bool_, np.uint64


def _record(*fields: tuple[str, Any]) -> np.dtype[np.void]:
    return np.dtype(list(fields), align=True)


UNIT = _record(
    ("x", _f4),
    ("y", _f4),
    ("vx", _f8),  # velocity of the last executed tick
    ("vy", _f8),
    ("hp", _f8),
    ("shield", _f8),
    ("energy", _f8),
    ("cooldown", _f8),
    ("shield_cooldown", _f8),
    ("healing", _f8),  # hit points already paid for with energy ("healing_available")
    ("target", _i4),  # unit id or NO_UNIT
    ("command", _i4),  # one of *_COMMAND
    ("command_unit", _i4),  # the unit of a TARGET_COMMAND
    ("attacking", _flag),
    ("in_play", _flag),
    ("look", np.int16),  # agents: index of the direction that it looks in, where it does not see all around
    ("command_x", _f8),  # the point of a MOVE_COMMAND or ATTACK_MOVE_COMMAND
    ("command_y", _f8),
    ("value", _f8),  # hp + shield at the start of the step; 0 out of play
)
"""What changes about a unit."""

BATTLE = _record(
    ("stream_key", _u8),
    ("stream_count", _u8),  # draws so far
    ("tick_reward", _f8),  # unscaled rewards since the start of the step
    ("clock", _i4),  # steps since the reset
    ("mirrored", _flag),  # agents see it mirrored left to right
    ("opponent", np.int8),  # index into OPPONENTS
)
"""What changes about a battle as a whole."""

KIND = _record(
    ("hp_max", _f8),
    ("shield_max", _f8),
    ("energy_max", _f8),
    ("energy_start", _f8),
    ("armor", _f8),
    ("period", _f8),  # weapon cooldown
    ("speed", _f8),
    ("radius", _f8),  # for ranges and area damage
    ("body", _f8),  # radius for collision avoidance
    ("attack_range", _f8),  # between edges
    ("scan_range", _f8),
    ("sight_squared", _f8),  # the largest squared distance between centres at which it sees
    ("per_sight", _f8),  # 1 / how far it sees
    ("target_range", _f8),  # between centres: how far an agent may name a target
    ("regen_per_tick", _f8),
    ("blast_radius", _f8),
    ("beam_width", _f8),
    ("beam_height", _f8),
    ("cooldown_scale", _f8),  # factor of the cooldown (healers: of the energy) in the global state
    ("start_x", _f4),
    ("start_y", _f4),
    ("type", _i4),
    ("group", _i4),  # group that the unit was placed with
    ("attacks", _i4),  # hits of one attack
    ("plane", _i4),
    ("can_hit", _i4),  # bits 1 << plane
    ("weapon", _i4),
    ("slot", _i4),  # index in the type one-hot, -1 if the map shows none
    ("is_ally", _flag),
    ("is_healer", _flag),
    ("explodes", _flag),  # also when killed by others
)
"""What is fixed about a unit during a battle."""

#: Blocks of the layouts, and their two numbers: the column where one begins, and the columns of one of its parts. The
#: fields of `MAP` are flat, since numba takes microseconds at every call to look into a record within a record.
BLOCKS = [f"{of}_{name}" for of, blocks in (("obs", ObsLayout), ("state", StateLayout)) for name in blocks._fields]

MAP = _record(
    ("width", _f8),
    ("height", _f8),
    ("attack_x", _f8),
    ("attack_y", _f8),
    ("radius_max", _f8),  # RMAX: the largest radius of any unit of the map, dead or alive
    ("body_max", _f8),
    ("n_groups", _i4),
    ("n_slots", _i4),  # length of the type one-hot
    ("first_target", _i4),  # the action on target 0
    ("show_ally_shield", _i4),  # 0 or 1
    ("show_enemy_shield", _i4),
    ("episode_limit", _i4),
    *((f"{block}_{number}", _i4) for block in BLOCKS for number in ("first", "size")),
)
"""Numbers of a map."""

RULES = _record(
    ("healer_flags_show_healers", _flag),
    ("swap_move_bounds", _flag),
    ("last_action_survives_reset", _flag),
    ("end_on_healers_only", _flag),
    ("win_needs_living_ally", _flag),
    ("hits_dead_targets", _flag),
    ("heals_dead_targets", _flag),
    ("wall_offset_on_both_axes", _flag),
    ("reward_net", _flag),
    ("reward_own_death", _flag),
    ("reward_only_positive", _flag),
    ("own_position", _flag),
    ("stays_inside", _flag),
    ("zero_if_negative", _flag),
    ("action_mask", _flag),
    ("prob_obs_enemy", _f8),
    ("random_side", _flag),  # a fair coin at each reset mirrors the battle left to right
    ("reward_death_value", _f8),
    ("reward_negative_scale", _f8),
    ("reward_win", _f8),
    ("reward_defeat", _f8),
    ("reward_divisor", _f8),
    ("weapon_delay_min", _f8),  # each use of a weapon lengthens its cooldown by a uniform draw from [min, max]
    ("weapon_delay_max", _f8),
    ("start_jitter", _f8),  # cells: each start coordinate is moved by a uniform draw from [-jitter, jitter]
    ("jitter_share", _f8),  # share of the battles whose starts are moved
)
"""Switches of the rule profile (described at `rules.Profile`) and options of variation."""

DRAW = _record(
    ("is_drawn", _flag),  # false: the map fixes its units, and the rest means nothing
    ("enemies_copy_allies", _flag),
    ("reflect_up_to", _f8),  # a uniform draw below this chooses the start "reflect",
    ("surrounded_up_to", _f8),  # below this "surrounded", else "formation"
)
"""How battles are drawn, with the tables of `World`; see ``maps/generator.py``."""

WALL = _record(("x0", _f8), ("y0", _f8), ("x1", _f8), ("y1", _f8))
"""An axis-parallel obstacle."""

LINE = _record(("px", _f8), ("py", _f8), ("dx", _f8), ("dy", _f8))
"""A half-plane of permitted velocities w: det(d, p - w) <= 0, with d of unit length."""

FRAME = _record(
    ("x", _f4),
    ("y", _f4),
    ("hp", _f4),
    ("shield", _f4),
    ("energy", _f4),
    ("cooldown", _f4),
    ("target", np.int16),
    ("in_play", np.uint8),
)
"""What is recorded about a unit in every tick: fields of UNIT, shortened."""

DRAFT = _record(
    ("pref_x", _f8),  # preferred velocity
    ("pref_y", _f8),
    ("new_vx", _f8),  # velocity chosen by collision avoidance
    ("new_vy", _f8),
    ("start_x", _f8),  # position at the start of the tick (the snapshot of RULES 7)
    ("start_y", _f8),
    ("prev_target", _i4),
    ("attacker", _i4),  # the ally with the lowest id that targets this unit and can be hit by it
    ("exploded", _flag),  # a blast unit that has exploded
)
"""What a tick works out about a unit and then forgets."""


class World(NamedTuple):
    """What the map, the unit types and the rules fix, read-only, and whom the battle in question is fought by."""

    map: Any  # MAP record
    rules: Any  # RULES record
    kinds: Array  # (U,) KIND, of one battle (`in_battle`); of the map: those of its fixed units
    types: Array  # (2, Y) KIND without a start: allies', enemies'
    draw: Any  # DRAW record
    weight_up_to: Array  # (Y,) f64: a uniform draw below this is a type up to this one
    is_exception: Array  # (Y,) bool: a team of these alone is drawn again
    type_rank: Array  # (Y,) i32: drawn agents are sorted by it, then by x and y; all -1: they are not
    formation: Array  # (U, 2) f64
    directions: Array  # (D, 2) f64: unit vectors that agents may look along; none: they see all around
    opponents: Array  # (P,) i8: a battle draws one of these indices into OPPONENTS
    agent_unit: Array  # (A,) i32: unit id of agent k
    enemy_unit: Array  # (K,) i32: unit id of enemy index j
    allies: Array  # (A,) i32: unit ids ascending
    enemies: Array  # (K,) i32: unit ids ascending
    damage: Array  # (Y, Y) f64: one hit of a type on a type, bonuses included
    open_cells: Array  # (H, W) bool, row y = 0 first
    clearance: Array  # (H, W) f64: at most the distance from any point of the cell to the nearest wall
    walls: Array  # (R,) WALL in the order in which they act


class State(NamedTuple):
    """Everything that changes, for all battles."""

    units: Array  # (E, U) UNIT
    battles: Array  # (E,) BATTLE
    last_action: Array  # (E, A) i32, NO_ACTION before the first step
    kinds: Array  # (E, U) KIND; (1, U) if the map fixes its units
    start_kind: Array  # (E,) i32: index into STARTS of a drawn battle
    sightings: Array  # (E, A, K) i8: UNDECIDED to OWNER; (E, 0, 0) unless agents see some enemies only by chance


class Outputs(NamedTuple):
    """Outputs of a step, one row per battle."""

    agent_state: Array  # (E, A, O) f32
    global_state: Array  # (E, S) f32
    action_mask: Array  # (E, A, N) bool
    reward: Array  # (E,) f64
    terminated: Array  # (E,) bool
    truncated: Array  # (E,) bool
    battle_won: Array  # (E,) bool
    alive: Array  # (E, A) bool
    episode_length: Array  # (E,) i32


class Roster(NamedTuple):
    """Units in play at the start of a tick, by ascending id; separate coordinates allow vectorised distances."""

    size: Array  # (1,) i32
    ids: Array  # (U,) i32
    x: Array  # (U,) f64
    y: Array  # (U,) f64


class Scratch(NamedTuple):
    """Space that one thread uses within one tick; nothing in it outlives the tick."""

    everyone: Roster
    allies: Roster
    order: Array  # (U,) i32: order of execution
    squared: Array  # (U,) f64: squared distances of a roster's units from the unit in question
    drafts: Array  # (U,) DRAFT
    lines: Array  # (L,) LINE
    projected: Array  # (L,) LINE


def empty_state(num_envs: int, kinds: Array, n_agents: int, is_drawn: bool, partial: bool) -> State:
    """Create the state of E battles with A agents and units (U,) KIND, all zero (not legal until reset)."""
    n_units = len(kinds)
    looks = (n_agents, n_units - n_agents) if partial else (0, 0)
    return State(
        units=np.zeros((num_envs, n_units), UNIT),
        battles=np.zeros(num_envs, BATTLE),
        last_action=np.full((num_envs, n_agents), NO_ACTION, np.int32),
        kinds=np.repeat(kinds[None], num_envs if is_drawn else 1, axis=0),
        start_kind=np.zeros(num_envs, np.int32),
        sightings=np.zeros((num_envs, *looks), np.int8),
    )


def empty_scratch(n_units: int, n_walls: int) -> Scratch:
    """Create scratch space for one thread, for U units and R walls.

    From outside, a rectangular wall shows at most two edges, each giving one line.
    """
    line_count = 2 * n_walls + n_units

    def roster() -> Roster:
        return Roster(np.zeros(1, np.int32), np.zeros(n_units, np.int32), np.zeros(n_units), np.zeros(n_units))

    return Scratch(
        everyone=roster(),
        allies=roster(),
        order=np.zeros(n_units, np.int32),
        squared=np.zeros(n_units),
        drafts=np.zeros(n_units, DRAFT),
        lines=np.zeros(line_count, LINE),
        projected=np.zeros(line_count, LINE),
    )
