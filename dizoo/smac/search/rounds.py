"""Rounds of a search: each plays all battles of an engine from start to end, in one of two ways.

Selected: the best battles are copied over the others every few steps. Bred: whole games are played, by teams that
descend from the best of the games before.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dizoo.smac.battle.engine import BattleEngine
from dizoo.smac.battle.kernels.state import Array
from dizoo.smac.search.teams import RestingTeam, Side, StyledTeam

OTHER_GAMES = 128  # games with other random numbers, to estimate what a plan is worth


@dataclass(frozen=True)
class Selection:
    """How battles are chosen for copying.

    Attributes:
        caution: weight of the own side's remaining points against the enemy's lost ones, both as shares.
        every: steps between two choices.
        keep: share of the battles that are copied.
    """

    caution: float
    every: int
    keep: float


#: Tried in turn: none is best everywhere.
SELECTIONS = (
    Selection(2.0, 3, 0.05),
    Selection(1.5, 2, 0.05),
    Selection(1.2, 3, 0.05),
    Selection(1.2, 4, 0.05),
    Selection(1.0, 3, 0.03),
    Selection(0.5, 2, 0.02),
)

GENERATIONS = 24  # of bred teams in a round, at most
PATIENCE = 6  # generations without improvement that end a round
PARENTS = 32  # number of battles per parent in the generation before
BRED_WON = 0.1  # share of won battles that is enough


@dataclass(frozen=True)
class Plan:
    """The actions of a game and the state in which it began: the engine can replay it exactly.

    Attributes:
        start: `BattleEngine.get_state` of that one battle.
        actions: (T, A) int64.
        family: number of the round that found it: games of one round begin alike.
    """

    start: dict[str, Array]
    actions: Array
    family: int = 0


@dataclass
class Outcome:
    """Result of a search.

    Attributes:
        map: name of the map.
        rules: rule profile.
        won: whether a game was won.
        rounds: rounds played, all battles from start to end in each.
        env_steps: steps of all battles of all rounds.
        seconds: of all rounds.
        enemies_left: enemies alive at the end of the best game.
        enemy_points_left: their hit points and shields.
        agents_left: own units alive at its end.
        again: how many of `OTHER_GAMES` games with other random numbers its actions win.
        plan: the best game.
    """

    map: str
    rules: str
    won: bool
    rounds: int
    env_steps: int
    seconds: float
    enemies_left: int
    enemy_points_left: float
    agents_left: int
    again: int
    plan: Plan

    def line(self) -> str:
        """Describe the outcome in words."""
        cost = f"{self.rounds} round{'s' * (self.rounds > 1)}, {self.env_steps:,} steps, {self.seconds:.0f} s"
        steps = len(self.plan.actions)
        if self.won:
            return (
                f"{self.map}, {self.rules}: won in {steps} steps with {self.agents_left} units left ({cost}); the "
                f"same actions win {self.again} of {OTHER_GAMES} games with other luck"
            )
        return (
            f"{self.map}, {self.rules}: not won ({cost}); best game: {self.enemies_left} enemies with "
            f"{self.enemy_points_left:.0f} points left after {steps} steps"
        )


def begin_as(engine: BattleEngine, start: Mapping[str, Array]) -> None:
    """Set all battles to the start of one, ``get_state`` of a single battle; each keeps its own luck from there."""
    luck = {name: engine.battles[name].copy() for name in ("stream_key", "stream_count")}
    alike = {name: np.repeat(value, engine.num_envs, axis=0) for name, value in start.items()}
    engine.set_state({**alike, **luck})


class Round(ABC):
    """Plays all battles of an engine from start to end, once or more often, and keeps the results.

    Args:
        engine: the battles.
        number: number of the round.
        seed: of the search.
        began: when the search began, by `time.monotonic`.
        env_steps: steps of all battles in the rounds before.
        battle: where battles vary, the start of the one to play; None: the next one that the engine draws.

    Attributes:
        engine: the battles.
        env_steps: steps of all battles of the search so far.
        battle: the start of the battle that is played where battles vary, else None.
    """

    TEAM: ClassVar[type[StyledTeam] | type[RestingTeam]]
    _team: StyledTeam | RestingTeam

    def __init__(
        self,
        engine: BattleEngine,
        number: int,
        seed: int,
        began: float,
        env_steps: int,
        battle: dict[str, Array] | None = None,
    ) -> None:
        self.engine, self.env_steps, self.battle = engine, env_steps, battle
        self._number, self._began = number, began
        self._rng = np.random.default_rng([seed, number])
        self._begin()
        self._team = self.TEAM(engine, self._rng)

    @abstractmethod
    def until_won(self, longest: int | None = None) -> None:
        """Play until a battle is won or progress ends; at most ``longest`` steps."""

    @abstractmethod
    def _best_first(self, won: Array) -> Array:
        """Return won battles, (n,) numbers, in order of preference."""

    def any_won(self) -> bool:
        """Whether a battle is won."""
        return bool(self.engine.battle_won.any())

    def to_the_end(self) -> None:
        """Continue to the end, so that other battles win as well."""
        while not self._step():
            pass

    def best(self) -> Outcome:
        """Return the won game, else the one in which the enemy has least left."""
        engine, (own, enemy) = self.engine, self._sides()
        e = int(np.lexsort((enemy.points.sum(axis=1), ~engine.battle_won))[0])
        return Outcome(
            map=engine.scenario.name,
            rules=engine.scenario.profile.name,
            won=bool(engine.battle_won[e]),
            rounds=self._number + 1,
            env_steps=self.env_steps,
            seconds=time.monotonic() - self._began,
            enemies_left=int(enemy.alive[e].sum()),
            enemy_points_left=float(enemy.points[e].sum()),
            agents_left=int(own.alive[e].sum()),
            again=0,
            plan=self._plan(e),
        )

    def won(self, most: int) -> list[Plan]:
        """Return some of the won games, all different, in order of preference; ties are arbitrary."""
        won = self._rng.permutation(np.flatnonzero(self.engine.battle_won))
        plans: dict[bytes, Plan] = {}  # by their actions: copies may win in the same way
        for e in self._best_first(won):
            if len(plans) == most:
                break
            plan = self._plan(int(e))
            plans.setdefault(plan.actions.tobytes(), plan)
        return list(plans.values())

    def progress(self, rounds: int) -> str:
        """Describe the progress of a search of this many rounds, and its remaining time."""
        played, seconds = self._number + 1, time.monotonic() - self._began
        to_play = max(rounds, played)
        return (
            f"{played} rounds found won games of {self.engine.scenario.name} (of {to_play} to play; "
            f"{self.env_steps / 1e6:.1f}M steps of search, {seconds:.0f} s, "
            f"about {seconds / played * (to_play - played):.0f} s to go)"
        )

    def _begin(self) -> None:
        self.engine.reset()
        if self.engine.scenario.varies:
            self.battle = self.battle or self.engine.get_state([0])
            begin_as(self.engine, self.battle)
        self._start, self._root = self.engine.get_state(), np.arange(self.engine.num_envs)  # origin of each
        self._actions: list[Array] = []  # (E, A) of each step
        self._full = [side.points[0].sum() for side in self._sides()]

    def _step(self) -> bool:
        """Play one step of all battles; True if all are over."""
        engine = self.engine
        self.env_steps += int((~(engine.terminated | engine.truncated)).sum())
        action = self._team.act()
        engine.step(action)
        self._actions.append(action.astype(np.uint8 if engine.action_shape <= 256 else np.uint16))
        return bool((engine.terminated | engine.truncated).all())

    def _sides(self) -> tuple[Side, Side]:
        engine = self.engine
        return Side.of(engine.units, engine.agent_unit), Side.of(engine.units, engine.enemy_unit)

    def _plan(self, e: int) -> Plan:
        root, steps = int(self._root[e]), int(self.engine.episode_length[e])
        start = {name: value[root : root + 1] for name, value in self._start.items()}
        return Plan(start, np.array([actions[e] for actions in self._actions[:steps]], np.int64), self._number)


class SelectedRound(Round):
    """The best battles are copied over the others every few steps."""

    TEAM = StyledTeam
    _team: StyledTeam

    def until_won(self, longest: int | None = None) -> None:
        """Play until a battle is won or all are over."""
        choice = SELECTIONS[self._number % len(SELECTIONS)]
        while not (self._step() or self.any_won() or len(self._actions) == longest):
            if len(self._actions) % choice.every == 0:
                self._select(choice)

    def _best_first(self, won: Array) -> Array:
        own, _ = self._sides()
        return won[np.argsort(-own.alive[won].sum(axis=1), kind="stable")]

    def _select(self, choice: Selection) -> None:
        engine, (own, enemy), (own_full, enemy_full) = self.engine, self._sides(), self._full
        score = choice.caution * own.points.sum(axis=1) / own_full - enemy.points.sum(axis=1) / enemy_full
        score[engine.terminated | engine.truncated] = -np.inf  # lost
        score += self._rng.uniform(0.0, 1e-3, len(score))  # breaks ties at random
        best = np.argsort(-score)[: int(choice.keep * len(score)) or 1]
        source = best[np.arange(len(score)) % len(best)]
        engine.clone(source)
        self._team.inherit(source)
        self._root = self._root[source]
        self._actions = [actions[source] for actions in self._actions]


class BredRound(Round):
    """Plays generations of whole games by teams that descend from the best of the generation before."""

    TEAM = RestingTeam
    _team: RestingTeam

    def until_won(self, longest: int | None = None) -> None:
        """Play generations until enough battles are won, or no team has improved for some time."""
        best, since = np.inf, 0
        for _ in range(GENERATIONS):
            value = self._generation(longest)
            since = 0 if value.min() < best else since + 1
            best = min(best, float(value.min()))
            if self.engine.battle_won.mean() >= BRED_WON or since == PATIENCE:
                break
            self._team.breed(np.argsort(value, kind="stable")[: max(1, len(value) // PARENTS)])

    def _generation(self, longest: int | None) -> Array:
        """Play all battles; returns (E,) what the enemy had left at its lowest, smaller for earlier wins."""
        self._begin()
        self._team.begin()
        engine, least, over = self.engine, np.full(self.engine.num_envs, np.inf), False
        while not (over or len(self._actions) == longest):
            over = self._step()
            least = np.minimum(least, self._sides()[1].points.sum(axis=1))
        return np.where(engine.battle_won, engine.episode_length - float(engine.episode_limit), least)

    def _best_first(self, won: Array) -> Array:
        return won[np.argsort(self.engine.episode_length[won], kind="stable")]
