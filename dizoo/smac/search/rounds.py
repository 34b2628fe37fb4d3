"""Rounds of a search: all battles of an engine from start to end, in one of two ways, and what comes of them.

Selected: the best battles are copied over the others every few steps. Bred: whole games, whose teams descend from those
that did best in the games before.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dizoo.smac.battle.engine import BattleEngine
from dizoo.smac.battle.kernels.state import Array
from dizoo.smac.search.teams import RestingTeam, Side, StyledTeam

OTHER_GAMES = 128  # with other luck, for what a plan is worth


@dataclass(frozen=True)
class Selection:
    """How battles are chosen for copying.

    Attributes:
        caution: weight of the own side's points left against those that the enemy has lost, both as shares.
        every: steps between two choices.
        keep: share of the battles that are copied.
    """

    caution: float
    every: int
    keep: float


#: Tried in turn: none of them is best everywhere.
SELECTIONS = (
    Selection(2.0, 3, 0.05),
    Selection(1.5, 2, 0.05),
    Selection(1.2, 3, 0.05),
    Selection(1.2, 4, 0.05),
    Selection(1.0, 3, 0.03),
    Selection(0.5, 2, 0.02),
)

GENERATIONS = 24  # of bred teams in a round, at most
PATIENCE = 6  # generations without a better one that end a round
PARENTS = 32  # as many battles as these have one parent in the generation before
BRED_WON = 0.1  # share of won battles that is enough


@dataclass(frozen=True)
class Plan:
    """The actions of a game and the state in which it began: the engine plays it again exactly.

    Attributes:
        start: what `BattleEngine.get_state` gave of that one battle.
        actions: (T, A) int64.
        family: number of the round that it comes from: games of one round begin alike.
    """

    start: dict[str, Array]
    actions: Array
    family: int = 0


@dataclass
class Outcome:
    """What a search found.

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
        again: of `OTHER_GAMES` games with other luck, those that its actions win as well.
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
        """The outcome in words."""
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


class Round(ABC):
    """All battles of an engine once or more often, from start to end, and what came of them.

    Args:
        engine: the battles.
        number: of the round.
        seed: of the search.
        began: when the search began, by `time.monotonic`.
        env_steps: steps of all battles in the rounds before.

    Attributes:
        engine: the battles.
        env_steps: steps of all battles of the search so far.
    """

    TEAM: ClassVar[type[StyledTeam] | type[RestingTeam]]
    _team: StyledTeam | RestingTeam

    def __init__(self, engine: BattleEngine, number: int, seed: int, began: float, env_steps: int) -> None:
        self.engine, self.env_steps = engine, env_steps
        self._number, self._began = number, began
        self._rng = np.random.default_rng([seed, number])
        self._begin()
        self._team = self.TEAM(engine, self._rng)

    @abstractmethod
    def until_won(self, longest: int | None = None) -> None:
        """Play until a battle is won or nothing better comes; ``longest`` steps at most."""

    @abstractmethod
    def _best_first(self, won: Array) -> Array:
        """Won battles, (n,) numbers, in the order of preference."""

    def any_won(self) -> bool:
        """Whether a battle is won."""
        return bool(self.engine.battle_won.any())

    def to_the_end(self) -> None:
        """Play on, so that others win as well."""
        while not self._step():
            pass

    def best(self) -> Outcome:
        """The game that was won, else the one in which the enemy has least left."""
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
        """Some of the won games, all different, in the order of preference; of equals, any."""
        won = self._rng.permutation(np.flatnonzero(self.engine.battle_won))
        plans: dict[bytes, Plan] = {}  # by their actions: copies may have won alike
        for e in self._best_first(won):
            if len(plans) == most:
                break
            plan = self._plan(int(e))
            plans.setdefault(plan.actions.tobytes(), plan)
        return list(plans.values())

    def progress(self, rounds: int) -> str:
        """How far a search of so many rounds has come, and about how long it still takes."""
        played, seconds = self._number + 1, time.monotonic() - self._began
        to_play = max(rounds, played)
        return (
            f"{played} rounds found won games of {self.engine.scenario.name} (of {to_play} to play; "
            f"{self.env_steps / 1e6:.1f}M steps of search, {seconds:.0f} s, "
            f"about {seconds / played * (to_play - played):.0f} s to go)"
        )

    def _begin(self) -> None:
        self.engine.reset()
        self._start, self._root = self.engine.get_state(), np.arange(self.engine.num_envs)  # where each comes from
        self._actions: list[Array] = []  # (E, A) of each step
        self._full = [side.points[0].sum() for side in self._sides()]

    def _step(self) -> bool:
        """One step of all battles; True when all are over."""
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
        score += self._rng.uniform(0.0, 1e-3, len(score))  # or of equals always the same are chosen
        best = np.argsort(-score)[: int(choice.keep * len(score)) or 1]
        source = best[np.arange(len(score)) % len(best)]
        engine.clone(source)
        self._team.inherit(source)
        self._root = self._root[source]
        self._actions = [actions[source] for actions in self._actions]


class BredRound(Round):
    """Games to the end, one generation after the other, whose teams descend from the best of the one before."""

    TEAM = RestingTeam
    _team: RestingTeam

    def until_won(self, longest: int | None = None) -> None:
        """Play generations until enough battles are won, or for some time no team has done better."""
        best, since = np.inf, 0
        for _ in range(GENERATIONS):
            value = self._generation(longest)
            since = 0 if value.min() < best else since + 1
            best = min(best, float(value.min()))
            if self.engine.battle_won.mean() >= BRED_WON or since == PATIENCE:
                break
            self._team.breed(np.argsort(value, kind="stable")[: max(1, len(value) // PARENTS)])

    def _generation(self, longest: int | None) -> Array:
        """Play all battles; (E,) what the enemy had left when it had least, for a win the less the earlier it came."""
        self._begin()
        self._team.begin()
        engine, least, over = self.engine, np.full(self.engine.num_envs, np.inf), False
        while not (over or len(self._actions) == longest):
            over = self._step()
            least = np.minimum(least, self._sides()[1].points.sum(axis=1))
        return np.where(engine.battle_won, engine.episode_length - float(engine.episode_limit), least)

    def _best_first(self, won: Array) -> Array:
        return won[np.argsort(self.engine.episode_length[won], kind="stable")]
