"""A scenario: one map under one rule profile; everything about a battle that does not change during it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dizoo.smac.battle.errors import MapError
from dizoo.smac.battle.maps import layout
from dizoo.smac.battle.maps.mapcheck import find_errors, start_positions, unit_table
from dizoo.smac.battle.maps.mapfile import MapSpec, parse_map, read_json, standard_maps
from dizoo.smac.battle.maps.rules import Profile, get_profile
from dizoo.smac.battle.maps.terrain import merge_blocked
from dizoo.smac.battle.maps.units import AIR, BEAM, BLAST, COLOSSUS_PLANE, DIRECT, GROUND, HEAL, UnitType
from dizoo.smac.battle.text import nearest

__all__ = [
    "AIR", "BEAM", "BLAST", "COLOSSUS_PLANE", "DIRECT", "GROUND", "HEAL", "FIRST_TARGET_ACTION", "Profile", "Scenario",
    "UnitType", "load_scenario", "map_names",
]  # fmt: skip

FIRST_TARGET_ACTION = 6
"""Actions: 0 no-op, 1 stop, 2-5 move north, south, east, west, 6 + j act on target j."""


@dataclass(frozen=True, eq=False)
class Scenario:
    """One map under one rule profile. Its U = n_agents + n_enemies units are numbered in placement order.

    Attributes:
        name: the map's name.
        width: cells in x.
        height: cells in y.
        episode_limit: steps after which an episode is truncated.
        profile: the rules.
        types: the types that occur, in order of first appearance.
        unit_type: (U,) int64, index into ``types``.
        is_ally: (U,) bool.
        index: (U,) int64, index of the unit in its side: agent k is the ally with index k.
        group: (U,) int64, index of the group the unit was placed with.
        start_pos: (U, 2) float32, nominal start.
        open_cells: (height, width) bool, row y = 0 first, True = walkable.
        rects: (R, 4) float64, obstacles x, y, width, height in the order in which they act.
        attack_point: (2,) float64, where the enemies are sent.
        ally_has_shields: whether observation and state include the allies' shields.
        enemy_has_shields: the same for enemies.
        type_slot: (U,) int64, index in the one-hot of types; -1 if the map has none.
        num_type_slots: length of that one-hot.
        n_agents: allies (A).
        n_enemies: enemies.
        n_actions: actions (N).
        max_reward: unscaled reward of a win without regeneration.
        source: origin of the map: ``"package"``, a path or ``"dict"``.
    """

    name: str
    width: int
    height: int
    episode_limit: int
    profile: Profile
    types: tuple[UnitType, ...]
    unit_type: np.ndarray
    is_ally: np.ndarray
    index: np.ndarray
    group: np.ndarray
    start_pos: np.ndarray
    open_cells: np.ndarray
    rects: np.ndarray
    attack_point: np.ndarray
    ally_has_shields: bool
    enemy_has_shields: bool
    type_slot: np.ndarray
    num_type_slots: int
    n_agents: int
    n_enemies: int
    n_actions: int
    max_reward: float
    source: str

    @cached_property
    def obs_layout(self) -> layout.ObsLayout:
        """Where everything stands in an observation."""
        return layout.obs_layout(self.n_agents, self.n_enemies, self._shown(True), self._shown(False))

    @cached_property
    def state_layout(self) -> layout.StateLayout:
        """Where everything stands in the global state."""
        shown = self._shown(True), self._shown(False)
        return layout.state_layout(self.n_agents, self.n_enemies, self.n_actions, *shown)

    @property
    def obs_size(self) -> int:
        """Length of one agent's observation (O)."""
        return self.obs_layout.own.end

    @property
    def state_size(self) -> int:
        """Length of the global state (S)."""
        return self.state_layout.last_actions.end

    def _shown(self, ally: bool) -> layout.Columns:
        """What is shown of a side: shields, types; ``type<i>`` where the one-hot has a place for none of its types."""
        units = np.flatnonzero(self.is_ally == ally)
        columns = ["shield"] if (self.ally_has_shields if ally else self.enemy_has_shields) else []
        for i in range(self.num_type_slots):
            here = units[self.type_slot[units] == i]
            types = dict.fromkeys(self.types[t].name.lower() for t in self.unit_type[here])
            columns.append(f"is_{'_or_'.join(types)}" if types else f"type{i}")
        return tuple(columns)

    @property
    def enemy_recovers(self) -> bool:
        """Whether enemies have healers, or shields, which regenerate."""
        enemies = [self.types[t] for t in self.unit_type[~self.is_ally]]
        return any(t.shield > 0 or t.is_healer for t in enemies)

    @property
    def agent_units(self) -> list[int]:
        """Unit id of each agent, in the agents' order."""
        return sorted(np.flatnonzero(self.is_ally).tolist(), key=lambda unit: self.index[unit])

    @property
    def agent_types(self) -> tuple[str, ...]:
        """Unit type of each agent, in the agents' order."""
        return tuple(self.types[self.unit_type[unit]].name for unit in self.agent_units)


def map_names() -> list[str]:
    """Return the names of the shipped maps."""
    return list(standard_maps())


def load_scenario(map: str | Path | Mapping[str, Any], rules: str | Profile = "smaclite") -> Scenario:
    """Load a map under a rule profile.

    Args:
        map: name of a shipped map (in any case), path of a JSON file, or the content of such a file as a dict.
            ``mapfile.py`` describes the two schemas of map files.
        rules: ``"smaclite"``, ``"smac"`` or a changed ``Profile``.

    Raises:
        MapError: no such map, or unusable data; names the field, what was found and what is right.
        BattleError: no such profile.
    """
    profile = get_profile(rules)
    return build_scenario(load_map(map, profile.name), profile)


def load_map(map: str | Path | Mapping[str, Any], profile: str = "smaclite") -> MapSpec:
    """Load the map as written in its file, checked field by field; see ``load_scenario``."""
    if isinstance(map, Mapping):
        return parse_map(map, "custom", "map", profile)
    if not isinstance(map, str | Path):
        raise MapError(f"map: found {type(map).__name__}. Give a map's name, the path of a JSON file, or a dict.")
    by_lower = {name.lower(): name for name in map_names()}
    name = by_lower.get(str(map).lower())
    if name is not None:
        return parse_map(standard_maps()[name], name, f"map {name}", profile)
    path = Path(map)
    if path.suffix.lower() == ".json" or path.is_file():
        return parse_map(read_json(path), path.stem, str(path), profile, path.parent)
    raise MapError(
        f"no map '{map}'.{nearest(str(map), map_names())} List them with: python -m dizoo.smac.battle.maps list; "
        "a map of your own is given by the path of its .json file."
    )


def map_files(map: str | Path) -> list[Path]:
    """List the files that a map is read from: its own, then those of its unit types; none for a shipped map.

    Raises:
        MapError: see ``load_scenario``.
    """
    if str(map).lower() in {name.lower() for name in map_names()}:
        return []
    return [Path(map), *load_map(map).unit_files]


def build_scenario(spec: MapSpec, profile: Profile) -> Scenario:
    """Place a map's units and compute all sizes.

    Raises:
        MapError: the errors of ``mapcheck.find_errors``.
    """
    table = unit_table(spec, profile.name)
    problems = find_errors(spec, table)
    if problems:
        more = f" ({len(problems) - 1} more; all of them: python -m dizoo.smac.battle.maps check FILE)"
        raise MapError(f"{spec.source}: {problems[0]}{more if len(problems) > 1 else ''}")
    roster = spec.roster()
    names = [name for name, _, _ in roster]
    is_ally = np.array([ally for _, ally, _ in roster])
    types = tuple(table[n] for n in dict.fromkeys(names))
    unit_type = np.array([[t.name for t in types].index(n) for n in names], dtype=np.int64)
    start_pos = start_positions(spec, table)
    n_agents = int(is_ally.sum())
    n_enemies = len(names) - n_agents
    shields = np.array([table[n].shield > 0 for n in names])
    ally_shields = bool(shields[is_ally].any()) if spec.ally_shields is None else spec.ally_shields
    enemy_shields = bool(shields[~is_ally].any()) if spec.enemy_shields is None else spec.enemy_shields
    fighters = sum(not table[n].is_healer for n in np.array(names)[is_ally])
    n_actions = FIRST_TARGET_ACTION + (n_enemies if fighters == n_agents else max(fighters, n_enemies))
    enemy_points = sum(table[n].hp + table[n].shield for n in np.array(names)[~is_ally])
    return Scenario(
        name=spec.name,
        width=spec.width,
        height=spec.height,
        episode_limit=spec.episode_limit,
        profile=profile,
        types=types,
        unit_type=unit_type,
        is_ally=is_ally,
        index=_indices(spec, profile, names, is_ally, start_pos),
        group=np.array([group for _, _, group in roster], dtype=np.int64),
        start_pos=start_pos,
        open_cells=spec.open_cells,
        rects=merge_blocked(spec.open_cells),
        attack_point=np.array(spec.attack_point, dtype=np.float64),
        ally_has_shields=ally_shields,
        enemy_has_shields=enemy_shields,
        type_slot=_type_slots(spec, profile, names, is_ally),
        num_type_slots=spec.num_type_slots,
        n_agents=n_agents,
        n_enemies=n_enemies,
        n_actions=n_actions,
        max_reward=float(n_enemies * profile.reward_death_value + profile.reward_win + enemy_points),
        source=spec.source,
    )


def _indices(
    spec: MapSpec, profile: Profile, names: list[str], is_ally: np.ndarray, start_pos: np.ndarray
) -> np.ndarray:
    """Return each unit's index in its side: placement order, or SMAC's order of agents (type, then x, then y)."""
    index = np.empty(len(names), dtype=np.int64)
    index[~is_ally] = np.arange((~is_ally).sum())
    allies = np.flatnonzero(is_ally)
    if profile.sort_agents:
        order = list(spec.agent_order or sorted(spec.type_slots, key=lambda t: spec.type_slots[t]))
        order += [n for n in dict.fromkeys(names) if n not in order]
        allies = np.array(sorted(allies, key=lambda u: (order.index(names[u]), *start_pos[u].tolist())))
    index[allies] = np.arange(len(allies))
    return index


def _type_slots(spec: MapSpec, profile: Profile, names: list[str], is_ally: np.ndarray) -> np.ndarray:
    """Return each unit's index in the one-hot of types, -1 if the map has none."""
    if spec.num_type_slots == 0:
        return np.full(len(names), -1, dtype=np.int64)
    enemy_slots = spec.enemy_type_slots if profile.own_enemy_slots and spec.enemy_type_slots else spec.type_slots
    out = np.empty(len(names), dtype=np.int64)
    for unit, name in enumerate(names):
        out[unit] = (spec.type_slots if is_ally[unit] else enemy_slots)[name]
    return out
