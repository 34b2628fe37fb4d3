"""Columns of observations and of the global state (RULES 12, 13), defined once.

Names, sizes, all readers and the columns that ``kernels/observation.py`` writes follow from this table. To add a
column, add an entry here and write its value there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from dizoo.smac.battle.maps.scenario import Scenario

DIRECTIONS = ("north", "south", "east", "west")
SEEN_ENEMY = ("can_target", "distance", "dx", "dy", "hp")
SEEN_ALLY = ("visible", *SEEN_ENEMY[1:])
OWN = ("hp",)
ALLY_STATE = ("hp", "cooldown_or_energy", "x", "y")
ENEMY_STATE = ("hp", "x", "y")


class Block(NamedTuple):
    """Parts of equal size, one after another, such as one per enemy.

    Attributes:
        label: label of a part; ``{}`` stands for its number.
        first: column where the first part begins.
        parts: number of parts.
        columns: names of the columns of one part.
    """

    label: str
    first: int
    parts: int
    columns: tuple[str, ...]

    @property
    def size(self) -> int:
        """Number of columns of one part."""
        return len(self.columns)

    @property
    def end(self) -> int:
        """The column after the last one."""
        return self.first + self.parts * self.size

    def read(self, rows: np.ndarray, column: str) -> np.ndarray:
        """Return one column of all parts: (..., parts) from observations or states (..., O or S).

        Raises:
            ValueError: no such column.
        """
        return rows[..., self.first + self.columns.index(column) : self.end : self.size]


class ObsLayout(NamedTuple):
    """Blocks of one agent's observation, in order; the other allies' parts are ordered by index."""

    can_move: Block
    enemies: Block
    other_allies: Block
    own: Block


class StateLayout(NamedTuple):
    """Blocks of the global state, in order."""

    allies: Block
    enemies: Block
    last_actions: Block


def obs_layout(scenario: Scenario) -> ObsLayout:
    """Return the columns of an observation on a map."""
    ally = _shown(scenario, True)
    blocks = _in_a_row(
        ("can_move", 1, DIRECTIONS),
        ("enemy{}", scenario.n_enemies, SEEN_ENEMY + _shown(scenario, False)),
        ("other_ally{}", scenario.n_agents - 1, SEEN_ALLY + ally),
        ("own", 1, OWN + ally),
    )
    return ObsLayout(*blocks)


def state_layout(scenario: Scenario) -> StateLayout:
    """Return the columns of the global state on a map."""
    actions = tuple(f"action{n}" for n in range(scenario.n_actions))
    blocks = _in_a_row(
        ("ally{}", scenario.n_agents, ALLY_STATE + _shown(scenario, True)),
        ("enemy{}", scenario.n_enemies, ENEMY_STATE + _shown(scenario, False)),
        ("last_action.agent{}", scenario.n_agents, actions),
    )
    return StateLayout(*blocks)


def column_names(blocks: ObsLayout | StateLayout) -> list[str]:
    """Name each column, such as ``can_move.north``, ``enemy3.distance``, ``last_action.agent2.action5``."""
    return [f"{b.label.format(part)}.{column}" for b in blocks for part in range(b.parts) for column in b.columns]


def _in_a_row(*blocks: tuple[str, int, tuple[str, ...]]) -> Iterator[Block]:
    first = 0
    for label, count, columns in blocks:
        block = Block(label, first, count, columns)
        yield block
        first = block.end


def _shown(scenario: Scenario, ally: bool) -> tuple[str, ...]:
    """Columns shown of a side: shields, types; ``type<i>`` for one-hot slots that no type of the side has."""
    units = np.flatnonzero(scenario.is_ally == ally)
    columns = ["shield"] if (scenario.ally_has_shields if ally else scenario.enemy_has_shields) else []
    for i in range(scenario.num_type_slots):
        here = units[scenario.type_slot[units] == i]
        types = dict.fromkeys(scenario.types[t].name.lower() for t in scenario.unit_type[here])
        columns.append(f"is_{'_or_'.join(types)}" if types else f"type{i}")
    return tuple(columns)
