"""Reading units back out of the global state, for scripts and drawings that need not know the engine's insides."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dizoo.smac.battle.maps.scenario import Scenario
from dizoo.smac.battle.maps.units import UnitType


class Units(NamedTuple):
    """The units of one side in index order (n = agents or enemies)."""

    pos: np.ndarray  # (E, n, 2) cells; meaningless for the dead
    points: np.ndarray  # (E, n) hit points and shield left; 0 for the dead
    hurt: np.ndarray  # (E, n) bool: alive and short of hit points


class StateView:
    """Knows a scenario's state layout.

    Attributes:
        ally_types: type of each agent, in index order.
        enemy_types: type of each enemy, in index order.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self.ally_types = self._types(scenario.is_ally)
        self.enemy_types = self._types(~scenario.is_ally)

    def read(self, global_state: np.ndarray) -> tuple[Units, Units]:
        """Allies and enemies of every battle.

        Args:
            global_state: (E, S) float32: blocks of the allies (hp, cooldown, x, y, [shield], [type]), of the enemies
                (hp, x, y, [shield], [type]), then last actions; positions are offsets from the centre over the size.
        """
        s = self._scenario
        ally_size = 4 + s.ally_has_shields + s.num_type_slots
        enemy_size = 3 + s.enemy_has_shields + s.num_type_slots
        split = s.n_agents * ally_size
        allies = global_state[:, :split].reshape(-1, s.n_agents, ally_size)
        enemies = global_state[:, split : split + s.n_enemies * enemy_size].reshape(-1, s.n_enemies, enemy_size)
        return (
            self._units(allies, 2, s.ally_has_shields, self.ally_types),
            self._units(enemies, 1, s.enemy_has_shields, self.enemy_types),
        )

    def _types(self, side: np.ndarray) -> list[UnitType]:
        s = self._scenario
        return [s.types[t] for t in s.unit_type[side][np.argsort(s.index[side])]]

    def _units(self, block: np.ndarray, xy: int, shields: bool, types: list[UnitType]) -> Units:
        size = np.array([self._scenario.width, self._scenario.height])
        hp = block[..., 0]
        points = hp * np.array([t.hp for t in types])
        if shields:
            points = points + block[..., xy + 2] * np.array([t.shield for t in types])
        return Units(block[..., xy : xy + 2] * size + size / 2, points, (hp > 0) & (hp < 1))
