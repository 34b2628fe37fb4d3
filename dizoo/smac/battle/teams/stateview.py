"""Reads units back out of the global state, for scripts and drawings that do not use the engine's internals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dizoo.smac.battle.maps.layout import Block
from dizoo.smac.battle.maps.scenario import Scenario


class Units(NamedTuple):
    """The units of one side in index order (n = agents or enemies)."""

    type: np.ndarray  # (E, n) index into `Scenario.types`, (1, n) if the map fixes its units; meaningless for the dead
    pos: np.ndarray  # (E, n, 2) cells; meaningless for dead units
    points: np.ndarray  # (E, n) hit points and shield left; 0 for dead units
    hurt: np.ndarray  # (E, n) bool: alive and short of hit points


class StateView:
    """Reads global states of a scenario.

    Drawn types are read from the state, which shows them one-hot; a fixed map need not show any.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._hp = np.array([t.hp for t in scenario.types])
        self._shield = np.array([t.shield for t in scenario.types])
        self._size = np.array([scenario.width, scenario.height])
        self._by_slot = np.zeros(max(scenario.num_type_slots, 1), np.int64)  # the type of each slot, if types are drawn
        self._by_slot[scenario.slots[0]] = np.arange(len(scenario.types))
        self._fixed = [
            None if scenario.is_drawn else scenario.unit_type[side][np.argsort(scenario.index[side])][None]
            for side in (scenario.is_ally, ~scenario.is_ally)
        ]

    def read(self, global_state: np.ndarray) -> tuple[Units, Units]:
        """Return the allies and enemies of every battle.

        Args:
            global_state: (E, S) float32 with the columns of `Scenario.state_layout`; positions are offsets from the
                centre over the size.
        """
        layout = self._scenario.state_layout
        blocks = zip((layout.allies, layout.enemies), self._fixed, strict=True)
        allies, enemies = (self._units(global_state, block, fixed) for block, fixed in blocks)
        return allies, enemies

    def _units(self, state: np.ndarray, block: Block, fixed: np.ndarray | None) -> Units:
        types = self._drawn(state, block) if fixed is None else fixed
        hp, offset = block.read(state, "hp"), np.stack([block.read(state, "x"), block.read(state, "y")], axis=-1)
        points = hp * self._hp[types]
        if "shield" in block.columns:
            points = points + block.read(state, "shield") * self._shield[types]
        return Units(types, offset * self._size + self._size / 2, points, (hp > 0) & (hp < 1))

    def _drawn(self, state: np.ndarray, block: Block) -> np.ndarray:
        shown = block.columns[block.size - self._scenario.num_type_slots :]
        if not shown:  # only one type can be drawn
            return np.zeros((1, block.parts), np.int64)
        return self._by_slot[np.stack([block.read(state, column) for column in shown], axis=-1).argmax(axis=-1)]
