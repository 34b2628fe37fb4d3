"""From a scenario to the tables of the kernels."""

from __future__ import annotations

import numpy as np

from dizoo.smac.battle.rules import TICKS_PER_SECOND
from dizoo.smac.battle.scenario import Scenario, UnitType
from dizoo.smac.battle.state import Array, Rules, World


def build_world(scenario: Scenario) -> World:
    """The unchanging tables of a map.

    Args:
        scenario: the map under its profile.

    Returns:
        Arrays as listed at `World`.
    """
    types = [scenario.types[i] for i in scenario.unit_type]
    reach = np.array([[_reach(a, b) for b in scenario.types] for a in scenario.types])
    radius = np.array([t.radius for t in types])
    body = np.array([t.separation_radius for t in types])
    corners_x, corners_y = _corners(scenario.rects)
    return World(
        n_units=len(types),
        n_agents=scenario.n_agents,
        n_enemies=scenario.n_enemies,
        n_actions=scenario.n_actions,
        n_groups=int(scenario.group.max()) + 1,
        width=float(scenario.width),
        height=float(scenario.height),
        attack_x=float(scenario.attack_point[0]),
        attack_y=float(scenario.attack_point[1]),
        radius_max=float(radius.max()),
        body_max=float(body.max()),
        agent_unit=_by_index(scenario, True),
        enemy_unit=_by_index(scenario, False),
        allies=np.flatnonzero(scenario.is_ally).astype(np.int32),
        enemies=np.flatnonzero(~scenario.is_ally).astype(np.int32),
        is_ally=scenario.is_ally.copy(),
        is_healer=np.array([t.is_healer for t in types]),
        unit_type=scenario.unit_type.astype(np.int32),
        group=scenario.group.astype(np.int32),
        hp_max=np.array([t.hp for t in types]),
        shield_max=np.array([t.shield for t in types]),
        energy_max=np.array([t.energy_max for t in types]),
        energy_start=np.array([t.energy_start for t in types]),
        armor=np.array([t.armor for t in types]),
        attacks=np.array([t.attacks for t in types], dtype=np.int32),
        period=np.array([t.cooldown for t in types]),
        speed=np.array([t.speed for t in types]),
        radius=radius,
        body=body,
        scan_range=np.array([t.scan_range for t in types]),
        regen_per_tick=np.array([t.hp_regen / TICKS_PER_SECOND for t in types]),
        plane=np.array([t.plane for t in types], dtype=np.int32),
        can_hit=np.array([t.can_hit for t in types], dtype=np.int32),
        weapon=np.array([t.weapon for t in types], dtype=np.int32),
        blast_radius=np.array([t.blast_radius for t in types]),
        beam_width=np.array([t.beam_width for t in types]),
        beam_height=np.array([t.beam_height for t in types]),
        explodes=np.array([t.explodes_on_death for t in types]),
        damage=np.array([[_damage(a, b) for b in scenario.types] for a in scenario.types]),
        reach=reach.astype(np.float32),
        reach_squared=(reach * reach).astype(np.float32),
        start_x=np.ascontiguousarray(scenario.start_pos[:, 0], dtype=np.float32),
        start_y=np.ascontiguousarray(scenario.start_pos[:, 1], dtype=np.float32),
        open_cells=np.ascontiguousarray(scenario.open_cells, dtype=np.bool_),
        clearance=_clearance(scenario),
        rect_x=corners_x,
        rect_y=corners_y,
        slot=scenario.type_slot.astype(np.int32),
        n_slots=scenario.num_type_slots,
        show_ally_shield=int(scenario.ally_has_shields),
        show_enemy_shield=int(scenario.enemy_has_shields),
        cooldown_scale=np.array([_cooldown_scale(scenario, t) for t in types]),
    )


def build_rules(
    scenario: Scenario, start_jitter: float, weapon_delay: tuple[float, float], random_side: bool
) -> Rules:
    """The switches of the scenario's profile and the options of variation as the kernels read them.

    Args:
        scenario: the map under its profile.
        start_jitter: cells; see `Rules`.
        weapon_delay: seconds; least and largest lengthening of an attack period.
        random_side: mirror the map in half of the battles.

    Returns:
        One flat table.
    """
    profile = scenario.profile
    own = {f: getattr(profile, f) for f in Rules._fields if hasattr(profile, f)}
    return Rules(
        **own,
        reward_divisor=scenario.max_reward / profile.reward_scale_rate if profile.reward_scale else 1.0,
        weapon_delay_min=float(weapon_delay[0]),
        weapon_delay_max=float(weapon_delay[1]),
        start_jitter=float(start_jitter),
        random_side=bool(random_side),
    )


def _by_index(scenario: Scenario, ally: bool) -> Array:
    """Unit ids of one side by index in the side."""
    units = np.flatnonzero(scenario.is_ally == ally)
    return units[np.argsort(scenario.index[units])].astype(np.int32)


def _reach(attacker: UnitType, other: UnitType) -> float:
    """Distance of centres at which a weapon reaches, summed in the order that the reference uses."""
    return attacker.attack_range + other.radius + attacker.radius


def _damage(attacker: UnitType, victim: UnitType) -> float:
    """One hit, with the bonuses for the victim's attributes."""
    return attacker.damage + sum(v for k, v in attacker.bonus.items() if k in victim.attributes)


def _cooldown_scale(scenario: Scenario, unit: UnitType) -> float:
    """Factor of the cooldown (healers: energy) in the state: by the own maximum, or by SMAC's table in game loops."""
    maximum = unit.max_cooldown_in_state
    if scenario.profile.cooldown_from_table and maximum:
        return 1.0 / maximum if unit.is_healer else TICKS_PER_SECOND / maximum
    own = unit.energy_max if unit.is_healer else unit.cooldown
    return 1.0 / own if own > 0 else 0.0


def _corners(rects: Array) -> tuple[Array, Array]:
    """Corners (R, 4) of rectangles (x, y, width, height), counter-clockwise from the bottom left."""
    x, y, w, h = rects.reshape(-1, 4).astype(np.float64).T
    return np.stack([x, x + w, x + w, x], axis=1), np.stack([y, y, y + h, y + h], axis=1)


def _clearance(scenario: Scenario) -> Array:
    """(H, W) a lower bound for the distance of any point of a cell to the nearest wall; inf where there are no walls."""
    x, y = np.meshgrid(np.arange(scenario.width), np.arange(scenario.height))
    nearest = np.full(x.shape, np.inf)
    for rx, ry, rw, rh in scenario.rects:
        dx = np.maximum(0, np.maximum(rx - (x + 1), x - (rx + rw)))
        dy = np.maximum(0, np.maximum(ry - (y + 1), y - (ry + rh)))
        nearest = np.minimum(nearest, np.hypot(dx, dy))
    return nearest
