"""Builds the kernels' tables from a scenario."""

from __future__ import annotations

from typing import Any

import numpy as np

from dizoo.smac.battle.kernels.state import BLOCKS, DRAW, KIND, MAP, RULES, WALL, Array, World
from dizoo.smac.battle.maps.generator import STARTS
from dizoo.smac.battle.maps.rules import OPPONENTS, TICKS_PER_SECOND
from dizoo.smac.battle.maps.scenario import Scenario, UnitType


def build_world(
    scenario: Scenario, jitter: tuple[float, float], weapon_delay: tuple[float, float], random_side: bool
) -> World:
    """Build the constant tables of a map under its rules.

    ``jitter`` is in cells, and the share of battles that it moves; ``weapon_delay``, in seconds, is the range by which
    attack periods are lengthened.
    """
    types = _types(scenario)
    return World(
        map=_map_record(scenario),
        rules=_rules_record(scenario, jitter, weapon_delay, random_side),
        kinds=_kinds(scenario, types),
        types=types,
        **_drawing(scenario),
        directions=scenario.directions,
        opponents=np.array([OPPONENTS.index(name) for name in scenario.profile.opponents], np.int8),
        agent_unit=_by_index(scenario, True),
        enemy_unit=_by_index(scenario, False),
        allies=np.flatnonzero(scenario.is_ally).astype(np.int32),
        enemies=np.flatnonzero(~scenario.is_ally).astype(np.int32),
        damage=np.array([[_damage(a, b) for b in scenario.types] for a in scenario.types], dtype=np.float64),
        open_cells=np.ascontiguousarray(scenario.open_cells, dtype=np.bool_),
        clearance=_clearance(scenario),
        walls=_walls(scenario),
    )


def _filled(dtype: np.dtype[np.void], values: dict[str, Any]) -> Any:
    if set(values) != set(dtype.names or ()):
        raise KeyError(f"fields {sorted(set(values) ^ set(dtype.names or ()))} are missing or unknown")
    record = np.zeros((), dtype)
    for name, value in values.items():
        record[name] = value
    return record[()]


def _map_record(scenario: Scenario) -> Any:
    blocks = dict(zip(BLOCKS, (*scenario.obs_layout, *scenario.state_layout), strict=True))
    return _filled(
        MAP,
        {
            "width": scenario.width,
            "height": scenario.height,
            "attack_x": scenario.attack_point[0],
            "attack_y": scenario.attack_point[1],
            "radius_max": max(t.radius for t in scenario.types),
            "body_max": max(t.separation_radius for t in scenario.types),
            "n_groups": 2 if scenario.is_drawn else int(scenario.group.max()) + 1,
            "n_slots": scenario.num_type_slots,
            "first_target": scenario.first_target,
            "show_ally_shield": int(scenario.ally_has_shields),
            "show_enemy_shield": int(scenario.enemy_has_shields),
            "episode_limit": scenario.episode_limit,
            **{f"{name}_first": block.first for name, block in blocks.items()},
            **{f"{name}_size": block.size for name, block in blocks.items()},
        },
    )


def _rules_record(
    scenario: Scenario, jitter: tuple[float, float], weapon_delay: tuple[float, float], random_side: bool
) -> Any:
    profile = scenario.profile
    return _filled(
        RULES,
        {name: getattr(profile, name) for name in RULES.names or () if hasattr(profile, name)}
        | {
            "reward_divisor": scenario.max_reward / profile.reward_scale_rate if profile.reward_scale else 1.0,
            "weapon_delay_min": weapon_delay[0],
            "weapon_delay_max": weapon_delay[1],
            "start_jitter": jitter[0],
            "jitter_share": jitter[1],
            "random_side": random_side,
        },
    )


def _types(scenario: Scenario) -> Array:
    """(2, Y) KIND: each type as an ally and as an enemy; their group is their side."""
    types = np.zeros((2, len(scenario.types)), KIND)
    for side in (0, 1):
        for t, unit in enumerate(scenario.types):
            types[side, t] = _filled(
                KIND,
                {name: getattr(unit, name) for name in KIND.names or () if hasattr(unit, name)}
                | _views(scenario, unit)
                | {
                    "hp_max": unit.hp,
                    "shield_max": unit.shield,
                    "period": unit.cooldown,
                    "body": unit.separation_radius,
                    "regen_per_tick": unit.hp_regen / TICKS_PER_SECOND,
                    "cooldown_scale": _cooldown_scale(scenario, unit),
                    "start_x": 0.0,
                    "start_y": 0.0,
                    "type": t,
                    "group": side,
                    "slot": scenario.slots[side, t],
                    "is_ally": side == 0,
                    "explodes": unit.explodes_on_death,
                },
            )
    return types


def _views(scenario: Scenario, unit: UnitType) -> dict[str, float]:
    """How far an agent sees and targets; SMACv2 sees what is nearer than its sight, the others also what is at it."""
    sight = scenario.sight(unit)
    return {
        "sight_squared": np.nextafter(sight * sight, 0.0) if scenario.profile.own_ranges else sight * sight,
        "per_sight": 1.0 / sight,
        "target_range": scenario.target_range(unit),
    }


def _kinds(scenario: Scenario, types: Array) -> Array:
    """(U,) KIND of the units that a map fixes; zeros if they are drawn."""
    if scenario.lineup is None:
        return np.zeros(len(scenario.is_ally), KIND)
    lineup = scenario.lineup
    kinds = types[(~scenario.is_ally).astype(np.int64), lineup.unit_type]
    kinds["start_x"], kinds["start_y"] = lineup.start_pos.T
    kinds["group"] = lineup.group
    return kinds


def _drawing(scenario: Scenario) -> dict[str, Any]:
    """The record DRAW of `World`, and the tables that belong to it."""
    g, n_types, n_units = scenario.generator, len(scenario.types), len(scenario.is_ally)
    if g is None:
        return {
            "draw": np.zeros((), DRAW)[()],
            "weight_up_to": np.zeros(n_types),
            "is_exception": np.zeros(n_types, np.bool_),
            "type_rank": np.full(n_types, -1, np.int32),
            "formation": np.zeros((n_units, 2)),
        }
    up_to = np.cumsum([g.weights[t.name] for t in scenario.types])
    up_to[up_to > up_to[-1] - 1e-12] = np.inf  # the weights may sum to a little less than 1
    reflect, surrounded, formation = (g.starts.get(start, 0.0) for start in STARTS)
    rank = [scenario.agent_order.index(t) if scenario.agent_order else -1 for t in range(n_types)]
    return {
        "draw": _filled(
            DRAW,
            {
                "is_drawn": True,
                "enemies_copy_allies": g.enemies_copy_allies,
                "reflect_up_to": reflect,
                "surrounded_up_to": reflect + surrounded if formation else np.inf,
            },
        ),
        "weight_up_to": up_to,
        "is_exception": np.array([t.name in g.exceptions for t in scenario.types]),
        "type_rank": np.array(rank, np.int32),
        "formation": np.array(g.formation or np.zeros((n_units, 2)), dtype=np.float64),
    }


def _by_index(scenario: Scenario, ally: bool) -> Array:
    units = np.flatnonzero(scenario.is_ally == ally)
    return units[np.argsort(scenario.index[units])].astype(np.int32)


def _damage(attacker: UnitType, victim: UnitType) -> float:
    return attacker.damage + sum(v for k, v in attacker.bonus.items() if k in victim.attributes)


def _cooldown_scale(scenario: Scenario, unit: UnitType) -> float:
    """Factor of the cooldown (healers: energy) in the state: by its own maximum, or by SMAC's table in game loops."""
    maximum = unit.max_cooldown_in_state
    if scenario.profile.cooldown_from_table and maximum:
        return 1.0 / maximum if unit.is_healer else TICKS_PER_SECOND / maximum
    own = unit.energy_max if unit.is_healer else unit.cooldown
    return 1.0 / own if own > 0 else 0.0


def _walls(scenario: Scenario) -> Array:
    """(R,) WALL from rectangles (x, y, width, height)."""
    walls = np.zeros(len(scenario.rects), WALL)
    for k, (x, y, w, h) in enumerate(scenario.rects):
        walls[k] = (x, y, x + w, y + h)
    return walls


def _clearance(scenario: Scenario) -> Array:
    """(H, W) lower bound of the distance from any point of a cell to the nearest wall; inf without walls."""
    x, y = np.meshgrid(np.arange(scenario.width), np.arange(scenario.height))
    nearest = np.full(x.shape, np.inf)
    for rx, ry, rw, rh in scenario.rects:
        dx = np.maximum(0, np.maximum(rx - (x + 1), x - (rx + rw)))
        dy = np.maximum(0, np.maximum(ry - (y + 1), y - (ry + rh)))
        nearest = np.minimum(nearest, np.hypot(dx, dy))
    return nearest
