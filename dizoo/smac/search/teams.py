"""Teams that a search plays with: they act on many battles at once, each in its own way, and see all units.

E battles, A agents, K enemies, N actions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dizoo.smac.battle.engine import BattleEngine
from dizoo.smac.battle.kernels.state import Array
from dizoo.smac.battle.teams.scripted import NO_OP, NORTH, STOP, available, or_idle, random_actions

STEP_CELLS = 1.6  # about what a unit walks in a step
FAR = 99.0  # cells: no unit there
REST_TIMES = 6  # how often a unit leaves a fight, at most


@dataclass(frozen=True)
class Side:
    """The units of one side, (E, n) arrays: cells, in play, hit points and shields (0 for the dead)."""

    x: Array
    y: Array
    alive: Array
    points: Array

    @classmethod
    def of(cls, units: Array, ids: Array) -> Side:
        """Select the units with the given ids."""
        alive = units["in_play"][:, ids]
        points = (units["hp"] + units["shield"])[:, ids] * alive
        return cls(units["x"][:, ids].astype(np.float64), units["y"][:, ids].astype(np.float64), alive, points)

    def distances(self, others: Side, dx: float = 0.0, dy: float = 0.0) -> Array:
        """(E, n, m) cells from each unit, moved by (dx, dy), to each of the others; `FAR` if that is dead."""
        away_x, away_y = (self.x + dx)[:, :, None] - others.x[:, None, :], (self.y + dy)[:, :, None] - others.y[:, None]
        return np.where(others.alive[:, None, :], np.hypot(away_x, away_y), FAR)


class Styles:
    """How each battle's team draws its actions; one row per battle, copied and changed with it.

    Args:
        count: battles.
        rng: random number generator.
    """

    #: By name: smallest and largest value at the start.
    RANGES = {
        "attack": (0.2, 0.95),  # probability to attack if something is in reach
        "hold": (0.3, 0.95),  # probability to repeat the last action
        "weakest": (0.0, 1.0),  # probability to attack the weakest in reach instead of the nearest
        "flee_first": (0.0, 5.0),  # cells: the unit nearest to an enemy flees from closer ones
        "flee": (0.0, 4.0),  # cells: every unit flees from closer ones
        "middle": (0.0, 2.0),  # how far fleeing units keep off the edge
    }

    def __init__(self, count: int, rng: np.random.Generator) -> None:
        self._rng = rng
        low, high = np.array(list(self.RANGES.values())).T
        self._values = rng.uniform(low, high, (count, len(low)))
        self._change = 0.03 * (high - low)

    def __getitem__(self, name: str) -> Array:
        """(E, 1) values of all battles."""
        column = list(self.RANGES).index(name)
        return self._values[:, column : column + 1]

    def inherit(self, source: Array) -> None:
        """Copy the styles of the battles that were copied, with small changes."""
        chosen = self._values[source]
        self._values = chosen + self._rng.normal(0.0, 1.0, chosen.shape) * self._change


class StyledTeam:
    """Draws the actions of all battles.

    Args:
        engine: the battles.
        rng: random number generator.
    """

    def __init__(self, engine: BattleEngine, rng: np.random.Generator) -> None:
        self.engine, self.rng = engine, rng
        self.styles = Styles(engine.num_envs, rng)
        rows, columns = np.nonzero(engine.scenario.open_cells)
        self._middle = np.array([columns.mean() + 0.5, rows.mean() + 0.5])
        self._last = np.full((engine.num_envs, engine.agent_num), -1)

    def act(self) -> Array:
        """(E, A) available actions."""
        engine, rng, styles = self.engine, self.rng, self.styles
        mask, units = engine.action_mask, engine.units
        own, enemy = (Side.of(units, ids) for ids in (engine.agent_unit, engine.enemy_unit))
        apart = own.distances(enemy)
        shape = self._last.shape
        action = random_actions(_fewer_attacks(mask, engine.scenario.first_target, rng), rng)
        action = np.where(rng.random(shape) < styles["attack"], self._attack(own, enemy, apart, action), action)
        action = np.where((rng.random(shape) < styles["hold"]) & available(mask, self._last), self._last, action)
        near = apart.min(axis=2, initial=FAR)
        first = near <= near.min(axis=1, keepdims=True)
        scared = (first & (near < styles["flee_first"])) | (near < styles["flee"])
        away = self._flee(own, enemy)
        action = np.where(scared & (away >= 0) & (rng.random(shape) < 0.9), away, action)
        self._last = np.where(mask[..., NO_OP], NO_OP, action)
        return self._last

    def inherit(self, source: Array) -> None:
        """Continue battle e as ``source[e]``."""
        self.styles.inherit(source)
        self._last = self._last[source]

    def _attack(self, own: Side, enemy: Side, apart: Array, otherwise: Array) -> Array:
        weakest = self.rng.random(self._last.shape) < self.styles["weakest"]
        first = self.engine.scenario.first_target
        target = best_target(self.engine.action_mask, first, own, enemy, apart, is_healer(self.engine), weakest)
        return np.where(target >= 0, target, otherwise)

    def _flee(self, own: Side, enemy: Side) -> Array:
        """Move as far as possible from every enemy; -1 if no move is free."""

        def value(dx: float, dy: float) -> Array:
            off = np.hypot(own.x + dx - self._middle[0], own.y + dy - self._middle[1])
            away = own.distances(enemy, dx, dy).min(axis=2, initial=FAR)
            return away - self.styles["middle"] * np.maximum(off - 5.0, 0.0) + self.rng.normal(0.0, 0.2, away.shape)

        return best_move(self.engine.action_mask, value)


class RestingTeam:
    """Units that advance and fight, retreat when hurt, and return when rested.

    Each unit has numbers that decide when and how far. They differ between battles and stay fixed during a game; the
    next game inherits those of the best, some of them drawn anew.

    Args:
        engine: the battles, at their start.
        rng: random number generator.
    """

    #: By name: smallest and largest value. The last two lists have a number for each time that a unit leaves.
    RANGES = {
        "late": (0.0, 6.0),  # steps of waiting at the start
        "far": (0.0, 3.0),  # cells between resting units and the enemies' reach
        "wait": (0.0, 3.0),  # least steps of rest
        "weakest": (0.0, 1.0),  # above 1/2: attacks the weakest in reach instead of the nearest
        **{f"leave{i}": (0.0, 0.65) for i in range(REST_TIMES)},  # share of its points at which it leaves
        **{f"back{i}": (-0.7, 1.0) for i in range(REST_TIMES)},  # share of its shield with which it returns
    }
    CHANGE = 0.15  # probability of a number to be drawn anew

    def __init__(self, engine: BattleEngine, rng: np.random.Generator) -> None:
        self.engine, self.rng = engine, rng
        self._numbers = self._draw()
        self.begin()

    def begin(self) -> None:
        """Start a game: all battles are at their start."""
        kinds = self.engine.kinds
        self._shield = kinds["shield_max"][:, self.engine.agent_unit]
        self._points = self._shield + kinds["hp_max"][:, self.engine.agent_unit]
        self._reach = kinds["attack_range"][:, self.engine.enemy_unit].max(axis=1, keepdims=True)
        shape = self._numbers.shape[:2]
        self._rests, self._times = np.zeros(shape, bool), np.zeros(shape, int)
        self._since, self._steps = np.zeros(shape, int), 0

    def breed(self, parents: Array) -> None:
        """Give all battles the numbers of their parents, with small changes except in the first child of each."""
        source = parents[np.arange(len(self._numbers)) % len(parents)]
        fresh = self.rng.random(self._numbers.shape) < self.CHANGE
        fresh[: len(parents)] = False
        self._numbers = np.where(fresh, self._draw(), self._numbers[source])

    def act(self) -> Array:
        """(E, A) available actions."""
        mask, units = self.engine.action_mask, self.engine.units
        own, enemy = (Side.of(units, ids) for ids in (self.engine.agent_unit, self.engine.enemy_unit))
        apart = own.distances(enemy)
        near = apart.min(axis=2, initial=FAR)
        self._change_minds(own, units["shield"][:, self.engine.agent_unit], near)
        first, healers = self.engine.scenario.first_target, is_healer(self.engine)
        target = best_target(mask, first, own, enemy, apart, healers, self["weakest"] > 0.5)
        move = best_move(mask, lambda dx, dy: self._toward(own.distances(enemy, dx, dy).min(axis=2, initial=FAR)))
        fights = np.where(target >= 0, target, np.where(self._steps < self["late"], STOP, move))
        rests = np.where(near < self._reach + self["far"], move, STOP)
        wish = np.where(self._rests, rests, fights)
        self._steps += 1
        return or_idle(mask, wish)

    def __getitem__(self, name: str) -> Array:
        """(E, A) numbers of all units."""
        return self._numbers[..., list(self.RANGES).index(name)]

    def _draw(self) -> Array:
        low, high = np.array(list(self.RANGES.values())).T
        return self.rng.uniform(low, high, (self.engine.num_envs, self.engine.agent_num, len(low)))

    def _change_minds(self, own: Side, shield: Array, near: Array) -> None:
        leave, back = (self._this_time(name) for name in ("leave", "back"))
        hurt = (own.points <= leave * self._points) & (self._times < REST_TIMES)
        leaves = hurt & ~self._rests & (self._steps > 0)
        self._since = np.where(leaves, 0, self._since + 1)
        rested = (shield >= back * self._shield) & (self._since >= self["wait"]) & (near >= self._reach + self["far"])
        returns = self._rests & rested
        self._rests = (self._rests | leaves) & ~returns
        self._times += returns

    def _this_time(self, name: str) -> Array:
        first = list(self.RANGES).index(f"{name}0")
        column = first + np.minimum(self._times, REST_TIMES - 1)
        return np.take_along_axis(self._numbers, column[..., None], axis=2)[..., 0]

    def _toward(self, near: Array) -> Array:
        """Value of a move that ends this close to the nearest enemy."""
        return np.where(self._rests, near, -near)


def is_healer(engine: BattleEngine) -> Array:
    """(E, A) bool: which agents are healers."""
    return engine.kinds["is_healer"][:, engine.agent_unit]


def best_target(
    mask: Array, first: int, own: Side, enemy: Side, apart: Array, is_healer: Array, weakest: Array
) -> Array:
    """(E, A) actions: the nearest or weakest target in reach, for healers the ally with least left; -1: none.

    Args:
        mask: (E, A, N) bool, available actions.
        first: the first action on a target.
        own: the agents' units.
        enemy: the others.
        apart: (E, A, K) distances in cells.
        is_healer: (E, A) bool.
        weakest: (E, A) bool, who attacks the weakest.
    """
    reach = mask[..., first:]
    distance, points = np.full(reach.shape, FAR), np.full(reach.shape, FAR)
    k, a = enemy.x.shape[1], min(own.x.shape[1], reach.shape[2])
    distance[..., :k], points[..., :k] = apart, enemy.points[:, None, :]
    patients = np.broadcast_to(own.points[:, None, :a], (*is_healer.shape, a))[is_healer]
    distance[is_healer, :a] = points[is_healer, :a] = patients
    wish = np.where(reach, np.where(weakest[..., None], points + 0.01 * distance, distance), np.inf)
    return np.where(reach.any(axis=2), first + wish.argmin(axis=2), -1)


def best_move(mask: Array, value: Callable[[float, float], Array]) -> Array:
    """(E, A) actions: the free direction of greatest value, -1 if none is free.

    Args:
        mask: (E, A, N) bool, available actions.
        value: returns (E, A) values of a step of (dx, dy) cells.
    """
    best, best_value = np.full(mask.shape[:2], -1), np.full(mask.shape[:2], -np.inf)
    for direction, (dx, dy) in enumerate(((0.0, 1.0), (0.0, -1.0), (1.0, 0.0), (-1.0, 0.0))):
        now = value(dx * STEP_CELLS, dy * STEP_CELLS)
        better = mask[..., NORTH + direction] & (now > best_value)
        best, best_value = np.where(better, NORTH + direction, best), np.where(better, now, best_value)
    return best


def _fewer_attacks(mask: Array, first: int, rng: np.random.Generator) -> Array:
    """Remove the attacks of four in five agents from the mask: attacks have a probability of their own."""
    quiet = mask.copy()
    quiet[..., first:] &= (rng.random(mask.shape[:2]) < 0.2)[..., None]
    return quiet
