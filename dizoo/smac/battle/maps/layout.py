"""Columns of observations and of the global state (RULES 12, 13), defined once.

Names, sizes, all readers and the columns that ``kernels/observation.py`` writes follow from this table. To add a
column, add an entry here and write its value there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

Columns = tuple[str, ...]

DIRECTIONS = ("north", "south", "east", "west")
SEEN_ENEMY = ("can_target", "distance", "dx", "dy", "hp")
SEEN_ALLY = ("visible", *SEEN_ENEMY[1:])
OWN = ("hp",)
OWN_POSITION = ("x", "y")
LOOK = ("fov_x", "fov_y")
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
    columns: Columns

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


def obs_layout(
    agents: int, enemies: int, ally: Columns, enemy: Columns, own_position: bool = False, looks: bool = False
) -> ObsLayout:
    """The columns of an observation.

    Args:
        agents: allies (A).
        enemies: how many.
        ally: further columns that a map shows of each ally, such as its shield.
        enemy: the same for each enemy.
        own_position: whether an agent's own part has its position, behind its shield.
        looks: whether it has the direction that the agent looks in, behind both.
    """
    own = OWN + _behind_shield(ally, (OWN_POSITION if own_position else ()) + (LOOK if looks else ()))
    blocks = _in_a_row(
        ("can_move", 1, DIRECTIONS),
        ("enemy{}", enemies, SEEN_ENEMY + enemy),
        ("other_ally{}", agents - 1, SEEN_ALLY + ally),
        ("own", 1, own),
    )
    return ObsLayout(*blocks)


def state_layout(
    agents: int, enemies: int, actions: int, ally: Columns, enemy: Columns, looks: bool = False
) -> StateLayout:
    """The columns of the global state; arguments as for `obs_layout`, and the number of actions (N)."""
    blocks = _in_a_row(
        ("ally{}", agents, ALLY_STATE + _behind_shield(ally, LOOK if looks else ())),
        ("enemy{}", enemies, ENEMY_STATE + enemy),
        ("last_action.agent{}", agents, tuple(f"action{n}" for n in range(actions))),
    )
    return StateLayout(*blocks)


def column_names(blocks: ObsLayout | StateLayout) -> list[str]:
    """Name each column, such as ``can_move.north``, ``enemy3.distance``, ``last_action.agent2.action5``."""
    return [f"{b.label.format(part)}.{column}" for b in blocks for part in range(b.parts) for column in b.columns]


def _behind_shield(shown: Columns, added: Columns) -> Columns:
    """Insert columns behind the shield, if that is shown, and before the types."""
    first = int(shown[:1] == ("shield",))
    return shown[:first] + added + shown[first:]


def _in_a_row(*blocks: tuple[str, int, Columns]) -> Iterator[Block]:
    first = 0
    for label, count, columns in blocks:
        block = Block(label, first, count, columns)
        yield block
        first = block.end
