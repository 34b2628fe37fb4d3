"""A scenario: one map under one rule profile; everything about its battles that does not change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dizoo.smac.battle.errors import MapError
from dizoo.smac.battle.maps import layout
from dizoo.smac.battle.maps.generator import Generator
from dizoo.smac.battle.maps.mapcheck import find_errors, start_positions, unit_table
from dizoo.smac.battle.maps.mapfile import MapSpec, parse_map, read_json, smacv2_tasks, standard_maps
from dizoo.smac.battle.maps.rules import SIGHT_RANGE, TARGET_RANGE, Profile, get_profile
from dizoo.smac.battle.maps.terrain import merge_blocked
from dizoo.smac.battle.maps.units import AIR, BEAM, BLAST, COLOSSUS_PLANE, DIRECT, GROUND, HEAL, UnitType
from dizoo.smac.battle.text import nearest

__all__ = [
    "AIR", "BEAM", "BLAST", "COLOSSUS_PLANE", "DIRECT", "FIRST_LOOK_ACTION", "FIRST_TARGET_ACTION", "GROUND", "HEAL",
    "Profile", "Scenario", "UnitType", "load_scenario", "map_names", "task_names",
]  # fmt: skip

FIRST_LOOK_ACTION = 6
"""Actions: 0 no-op, 1 stop, 2-5 move north, south, east, west; then one per direction to look in, where agents do not
see all around; then, from `Scenario.first_target`, one per target."""

FIRST_TARGET_ACTION = FIRST_LOOK_ACTION
"""`Scenario.first_target` where agents see all around."""


@dataclass(frozen=True, eq=False)
class Lineup:
    """The units of a map that fixes them.

    Attributes:
        unit_type: (U,) int64, index into ``Scenario.types``.
        group: (U,) int64, index of the group the unit was placed with.
        start_pos: (U, 2) float32, nominal start.
    """

    unit_type: np.ndarray
    group: np.ndarray
    start_pos: np.ndarray


@dataclass(frozen=True, eq=False)
class Scenario:
    """One map under one rule profile. Its U = n_agents + n_enemies units are numbered in placement order.

    The units are fixed by a lineup or drawn for every battle by a generator; then allies come first, and what a battle
    has drawn is asked of the engine (`BattleEngine.lineup`).

    Attributes:
        name: the map's name.
        width: cells in x.
        height: cells in y.
        episode_limit: steps after which an episode is truncated.
        profile: the rules.
        types: the types that occur, in order of first appearance.
        slots: (2, Y) int64, index of each type in the one-hot of types, of allies and of enemies; -1 if there is none.
        lineup: the units; None if they are drawn.
        generator: what draws them; None if they are fixed.
        agent_order: types in the order in which drawn agents are sorted, as indices; empty if they are not sorted.
        is_ally: (U,) bool.
        index: (U,) int64, index of the unit in its side: agent k is the ally with index k.
        open_cells: (height, width) bool, row y = 0 first, True = walkable.
        rects: (R, 4) float64, obstacles x, y, width, height in the order in which they act.
        attack_point: (2,) float64, where the enemies are sent.
        ally_has_shields: whether observation and state include the allies' shields.
        enemy_has_shields: the same for enemies.
        num_type_slots: length of that one-hot.
        n_agents: allies (A).
        n_enemies: enemies.
        n_actions: actions (N).
        max_reward: unscaled reward of a win without regeneration; expected, by the weights, if enemies are drawn.
        source: origin of the map: ``"package"``, a path or ``"dict"``.
    """

    name: str
    width: int
    height: int
    episode_limit: int
    profile: Profile
    types: tuple[UnitType, ...]
    slots: np.ndarray
    lineup: Lineup | None
    generator: Generator | None
    agent_order: tuple[int, ...]
    is_ally: np.ndarray
    index: np.ndarray
    open_cells: np.ndarray
    rects: np.ndarray
    attack_point: np.ndarray
    ally_has_shields: bool
    enemy_has_shields: bool
    num_type_slots: int
    n_agents: int
    n_enemies: int
    n_actions: int
    max_reward: float
    source: str

    @property
    def is_drawn(self) -> bool:
        """Whether teams and starts are drawn for every battle."""
        return self.lineup is None

    @property
    def first_target(self) -> int:
        """The action on target 0."""
        return FIRST_LOOK_ACTION + self.profile.num_fov_actions

    @property
    def directions(self) -> np.ndarray:
        """(D, 2) float64, unit vectors that agents may look along, the first one east, then anticlockwise."""
        count = self.profile.num_fov_actions
        angle = 2.0 * np.pi * np.arange(count) / max(count, 1)
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)

    def sight(self, unit: UnitType) -> float:
        """How far an agent of a type sees, in cells."""
        return unit.sight if self.profile.own_ranges else SIGHT_RANGE

    def target_range(self, unit: UnitType) -> float:
        """How far an agent of a type can name a target, in cells between centres."""
        return unit.target_range if self.profile.own_ranges else TARGET_RANGE

    @property
    def varies(self) -> bool:
        """Whether battles differ from their start: in their units, or in the opponent."""
        return self.is_drawn or len(self.profile.opponents) > 1

    @property
    def unit_type(self) -> np.ndarray:
        """(U,) int64, index of each unit's type in ``types``; MapError if the units are drawn."""
        return self._fixed().unit_type

    @property
    def group(self) -> np.ndarray:
        """(U,) int64, index of the group each unit was placed with; MapError if the units are drawn."""
        return self._fixed().group

    @property
    def start_pos(self) -> np.ndarray:
        """(U, 2) float32, each unit's nominal start; MapError if the units are drawn."""
        return self._fixed().start_pos

    @property
    def type_slot(self) -> np.ndarray:
        """(U,) int64, each unit's index in the one-hot of types, -1 if there is none; MapError if units are drawn."""
        return self.slots[(~self.is_ally).astype(np.int64), self.unit_type]

    def _fixed(self) -> Lineup:
        if self.lineup is None:
            raise MapError(f"{self.name}: units are drawn for every battle. Ask BattleEngine.lineup for a battle's.")
        return self.lineup

    @cached_property
    def obs_layout(self) -> layout.ObsLayout:
        """Where everything stands in an observation."""
        shown = self._shown(True), self._shown(False)
        looks = self.profile.num_fov_actions > 0
        return layout.obs_layout(self.n_agents, self.n_enemies, *shown, self.profile.own_position, looks)

    @cached_property
    def state_layout(self) -> layout.StateLayout:
        """Where everything stands in the global state."""
        shown = self._shown(True), self._shown(False)
        looks = self.profile.num_fov_actions > 0
        return layout.state_layout(self.n_agents, self.n_enemies, self.n_actions, *shown, looks)

    @property
    def obs_size(self) -> int:
        """Length of one agent's observation (O)."""
        return self.obs_layout.own.end

    @property
    def state_size(self) -> int:
        """Length of the global state (S)."""
        return self.state_layout.last_actions.end

    def side_types(self, ally: bool) -> list[int]:
        """Types that occur on a side, or may be drawn, as indices in order of first appearance."""
        if self.lineup is None:
            return list(range(len(self.types)))
        return list(dict.fromkeys(self.lineup.unit_type[self.is_ally == ally].tolist()))

    def _shown(self, ally: bool) -> layout.Columns:
        """What is shown of a side: shields, types; ``type<i>`` where the one-hot has a place for none of its types."""
        columns = ["shield"] if (self.ally_has_shields if ally else self.enemy_has_shields) else []
        slots = self.slots[0 if ally else 1]
        for i in range(self.num_type_slots):
            types = [self.types[t].name.lower() for t in self.side_types(ally) if slots[t] == i]
            columns.append(f"is_{'_or_'.join(types)}" if types else f"type{i}")
        return tuple(columns)

    @property
    def enemy_recovers(self) -> bool:
        """Whether enemies have healers, or shields, which regenerate."""
        enemies = [self.types[t] for t in self.side_types(False)]
        return any(t.shield > 0 or t.is_healer for t in enemies)

    @property
    def agent_units(self) -> list[int]:
        """Unit id of each agent, in the agents' order."""
        return sorted(np.flatnonzero(self.is_ally).tolist(), key=lambda unit: self.index[unit])

    @property
    def agent_types(self) -> tuple[str, ...] | None:
        """Unit type of each agent, in the agents' order; None if the types are drawn."""
        if self.lineup is None:
            return None
        return tuple(self.types[self.unit_type[unit]].name for unit in self.agent_units)


def map_names() -> list[str]:
    """Return the names of SMAC's maps."""
    return [name for name in standard_maps() if name not in smacv2_tasks()]


def task_names() -> list[str]:
    """Return the names of SMACv2's tasks, maps whose teams and starts are drawn."""
    return list(smacv2_tasks())


def load_scenario(map: str | Path | Mapping[str, Any], rules: str | Profile | None = None) -> Scenario:
    """Load a map under a rule profile.

    Args:
        map: name of a shipped map (in any case), path of a JSON file, or the content of such a file as a dict.
            ``mapfile.py`` describes the two schemas of map files.
        rules: ``"smaclite"``, ``"smac"``, ``"smacv2"`` or a changed ``Profile``; default: what the map is meant for,
            see `own_rules`.

    Raises:
        MapError: no such map, or unusable data; names the field, what was found and what is right.
        BattleError: no such profile.
    """
    profile = get_profile(own_rules(map) if rules is None else rules)
    return build_scenario(load_map(map, profile.data), profile)


def own_rules(map: str | Path | Mapping[str, Any]) -> str:
    """Return the profile that a map is meant for: ``"smacv2"`` if it draws its battles, else ``"smaclite"``."""
    return load_map(map).rules


def load_map(map: str | Path | Mapping[str, Any], data: str = "smaclite") -> MapSpec:
    """Load the map as written in its file, checked field by field; see ``load_scenario`` and ``Profile.data``."""
    if isinstance(map, Mapping):
        return parse_map(map, "custom", "map", data)
    if not isinstance(map, str | Path):
        raise MapError(f"map: found {type(map).__name__}. Give a map's name, the path of a JSON file, or a dict.")
    by_lower = {name.lower(): name for name in standard_maps()}
    name = by_lower.get(str(map).lower())
    if name is not None:
        return parse_map(standard_maps()[name], name, f"map {name}", data)
    path = Path(map)
    if path.suffix.lower() == ".json" or path.is_file():
        return parse_map(read_json(path), path.stem, str(path), data, path.parent)
    raise MapError(
        f"no map '{map}'.{nearest(str(map), standard_maps())} List them with: python -m dizoo.smac.battle.maps list; "
        "a map of your own is given by the path of its .json file."
    )


def map_files(map: str | Path) -> list[Path]:
    """List the files that a map is read from: its own, then those of its unit types; none for a shipped map.

    Raises:
        MapError: see ``load_scenario``.
    """
    if str(map).lower() in {name.lower() for name in standard_maps()}:
        return []
    return [Path(map), *load_map(map).unit_files]


def build_scenario(spec: MapSpec, profile: Profile) -> Scenario:
    """Place a map's units and compute all sizes.

    Raises:
        MapError: the errors of ``mapcheck.find_errors``.
    """
    table = unit_table(spec, profile.data)
    problems = find_errors(spec, table)
    if problems:
        more = f" ({len(problems) - 1} more; all of them: python -m dizoo.smac.battle.maps check FILE)"
        raise MapError(f"{spec.source}: {problems[0]}{more if len(problems) > 1 else ''}")
    types = tuple(table[name] for name in spec.type_names)
    sides = _drawn_sides(spec, types, profile) if spec.generator else _fixed_sides(spec, types, profile)
    shields = [any(types[t].shield > 0 for t in side) for side in sides.types]
    ally_shields, enemy_shields = (
        has if stated is None else stated
        for has, stated in zip(shields, (spec.ally_shields, spec.enemy_shields), strict=True)
    )
    n_agents, n_enemies = int(sides.is_ally.sum()), int((~sides.is_ally).sum())
    return Scenario(
        name=spec.name,
        width=spec.width,
        height=spec.height,
        episode_limit=spec.episode_limit,
        profile=profile,
        types=types,
        slots=_type_slots(spec, profile),
        lineup=sides.lineup,
        generator=spec.generator,
        agent_order=sides.agent_order,
        is_ally=sides.is_ally,
        index=sides.index,
        open_cells=spec.open_cells,
        rects=merge_blocked(spec.open_cells),
        attack_point=np.array(spec.attack_point, dtype=np.float64),
        ally_has_shields=ally_shields,
        enemy_has_shields=enemy_shields,
        num_type_slots=spec.num_type_slots,
        n_agents=n_agents,
        n_enemies=n_enemies,
        n_actions=FIRST_LOOK_ACTION + profile.num_fov_actions + max(n_enemies, sides.healable),
        max_reward=float(n_enemies * profile.reward_death_value + profile.reward_win + sides.enemy_points),
        source=spec.source,
    )


@dataclass(frozen=True)
class _Sides:
    """What differs between fixed and drawn units: types per side, most allies that healers may name, and so on."""

    types: tuple[list[int], list[int]]
    is_ally: np.ndarray
    index: np.ndarray
    healable: int
    enemy_points: float
    lineup: Lineup | None = None
    agent_order: tuple[int, ...] = ()


def _fixed_sides(spec: MapSpec, types: tuple[UnitType, ...], profile: Profile) -> _Sides:
    roster = spec.roster()
    names = [name for name, _, _ in roster]
    is_ally = np.array([ally for _, ally, _ in roster])
    unit_type = np.array([spec.type_names.index(name) for name in names], dtype=np.int64)
    start_pos = start_positions(spec, {t.name: t for t in types})
    allies, enemies = unit_type[is_ally].tolist(), unit_type[~is_ally].tolist()
    fighters = sum(not types[t].is_healer for t in allies)
    return _Sides(
        types=(allies, enemies),
        is_ally=is_ally,
        index=_indices(spec, profile, names, is_ally, start_pos),
        healable=fighters if fighters < len(allies) else 0,
        enemy_points=sum(types[t].hp + types[t].shield for t in enemies),
        lineup=Lineup(unit_type, np.array([group for _, _, group in roster], dtype=np.int64), start_pos),
    )


def _drawn_sides(spec: MapSpec, types: tuple[UnitType, ...], profile: Profile) -> _Sides:
    g = spec.generator
    assert g is not None
    every = list(range(len(types)))
    order = [name for name in _agent_order(spec, spec.type_names) if name in spec.type_names]
    points = sum(g.weights[t.name] * (t.hp + t.shield) for t in types)
    return _Sides(
        types=(every, every),
        is_ally=np.arange(g.n_agents + g.n_enemies) < g.n_agents,
        index=np.concatenate([np.arange(g.n_agents), np.arange(g.n_enemies)]),
        healable=g.n_agents if any(t.is_healer for t in types) else 0,
        enemy_points=g.n_enemies * points,
        agent_order=tuple(spec.type_names.index(name) for name in order) if profile.sort_agents else (),
    )


def _agent_order(spec: MapSpec, names: list[str]) -> list[str]:
    """Return the types in the order in which SMAC numbers agents."""
    order = list(spec.agent_order or sorted(spec.type_slots, key=lambda t: spec.type_slots[t]))
    return order + [name for name in dict.fromkeys(names) if name not in order]


def _indices(
    spec: MapSpec, profile: Profile, names: list[str], is_ally: np.ndarray, start_pos: np.ndarray
) -> np.ndarray:
    """Return each unit's index in its side: placement order, or SMAC's order of agents (type, then x, then y)."""
    index = np.empty(len(names), dtype=np.int64)
    index[~is_ally] = np.arange((~is_ally).sum())
    allies = np.flatnonzero(is_ally)
    if profile.sort_agents:
        order = _agent_order(spec, names)
        allies = np.array(sorted(allies, key=lambda u: (order.index(names[u]), *start_pos[u].tolist())))
    index[allies] = np.arange(len(allies))
    return index


def _type_slots(spec: MapSpec, profile: Profile) -> np.ndarray:
    """Return (2, Y): each type's index in the one-hot of types, of allies and of enemies; -1 where it has none."""
    enemy_slots = spec.enemy_type_slots if profile.own_enemy_slots and spec.enemy_type_slots else spec.type_slots
    return np.array([[slots.get(name, -1) for name in spec.type_names] for slots in (spec.type_slots, enemy_slots)])
