"""Reads units back out of the global state, for scripts and drawings that do not use the engine's internals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dizoo.smac.battle.maps.layout import Block
from dizoo.smac.battle.maps.scenario import Scenario
from dizoo.smac.battle.maps.units import UnitType


class Units(NamedTuple):
    """The units of one side in index order (n = agents or enemies)."""

    pos: np.ndarray  # (E, n, 2) cells; meaningless for dead units
    points: np.ndarray  # (E, n) hit points and shield left; 0 for dead units
    hurt: np.ndarray  # (E, n) bool: alive and short of hit points


class StateView:
    """Reads global states of a scenario.

    Attributes:
        ally_types: type of each agent, in index order.
        enemy_types: type of each enemy, in index order.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self.ally_types = self._types(scenario.is_ally)
        self.enemy_types = self._types(~scenario.is_ally)

    def read(self, global_state: np.ndarray) -> tuple[Units, Units]:
        """Return the allies and enemies of every battle.

        Args:
            global_state: (E, S) float32 with the columns of `Scenario.state_layout`; positions are offsets from the
                centre over the size.
        """
        layout = self._scenario.state_layout
        return (
            self._units(global_state, layout.allies, self.ally_types),
            self._units(global_state, layout.enemies, self.enemy_types),
        )

    def _types(self, side: np.ndarray) -> list[UnitType]:
        s = self._scenario
        return [s.types[t] for t in s.unit_type[side][np.argsort(s.index[side])]]

    def _units(self, state: np.ndarray, block: Block, types: list[UnitType]) -> Units:
        size = np.array([self._scenario.width, self._scenario.height])
        hp, offset = block.read(state, "hp"), np.stack([block.read(state, "x"), block.read(state, "y")], axis=-1)
        points = hp * np.array([t.hp for t in types])
        if "shield" in block.columns:
            points = points + block.read(state, "shield") * np.array([t.shield for t in types])
        return Units(offset * size + size / 2, points, (hp > 0) & (hp < 1))
