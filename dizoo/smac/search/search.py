"""Can this map be won at all? A search for one won game, with many battles that are copied and thrown away.

``python -m dizoo.smac.search --maps 6h_vs_8z [--rules smac] [--replay games]``

Where a learning team is stuck, this tells whether the map or the learner is in the way. All battles begin alike and act
at random, each in a style of its own (how often it attacks, how long it holds an action, when it flees). Every few
steps the best of them are copied over the others, styles included and a little changed: a particle filter ("go with
the winners", Aldous and Vazirani 1994) in which the weight is how much the enemy has lost and the own side has kept.

A win found so is a fact, and its game can be looked at; that none was found proves nothing. Teams can learn from such
games: see `dizoo.smac.search.backplay`.

Where that wins nothing, teams are bred (an evolution strategy with whole games as its measure): scripts that go, fight,
step back when they are hurt and come back when they have rested, at points that are drawn and improved from game to
game. Resting pays only later, so a choice every few steps throws away who does it.
"""

from __future__ import annotations

import argparse
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dizoo.smac.battle.engine import BattleEngine
from dizoo.smac.battle.errors import BattleError
from dizoo.smac.battle.kernels.state import Array
from dizoo.smac.battle.maps.rules import PROFILES
from dizoo.smac.battle.maps.scenario import Scenario, map_names
from dizoo.smac.battle.recording.recorder import BattleRecorder, RecordedGame
from dizoo.smac.battle.recording.replay import Replay, save_replay
from dizoo.smac.battle.teams.scripted import or_idle
from dizoo.smac.battle.text import write_rows
from dizoo.smac.search.teams import RestingTeam, Side, StyledTeam

OTHER_GAMES = 128  # with other luck, for what a plan is worth
BATTLES = 4096  # side by side
FROM_A_ROUND = 4  # won games kept of one round at most: they are alike but for their ends
#: Share of a round's battles that are won in the end. What only few of those that begin alike can win is won by a hair,
#: and hard to learn from.
SAFE_SHARE = 0.9


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


BRED_SHARE = 6  # as many rounds as these are played for one of bred teams
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


def search(
    map: str | Scenario,
    rules: str = "smaclite",
    battles: int = BATTLES,
    rounds: int = 12,
    seed: int = 0,
    threads: int | None = None,
) -> Outcome:
    """Look for a won game.

    Args:
        map: name or path of a map, or a scenario, which brings its own rules.
        rules: rule profile.
        battles: played side by side, >= 50.
        rounds: at most; each begins anew with the next of `SELECTIONS`. Where they win nothing, rounds of bred teams
            follow, one for six of these.
        seed: of everything that is drawn.
        threads: of the engine, None: all processors. The result does not depend on it.

    Returns:
        The first win, else the best game of all rounds.

    Raises:
        BattleError: no such map or profile, or a number out of its range.
    """
    engine = _engine(map, rules, battles, rounds, seed, threads)
    began, env_steps = time.monotonic(), 0
    best: Outcome | None = None
    for number, play in _rounds(engine, rounds, seed):
        play.until_won()
        env_steps += play.env_steps
        found = play.best()
        if best is None or (found.won, -found.enemy_points_left) > (best.won, -best.enemy_points_left):
            best = found
        best.rounds, best.env_steps, best.seconds = number + 1, env_steps, time.monotonic() - began
        if best.won:
            best.again = _won_again(engine.scenario, best.plan, seed)
            break
    engine.close()
    assert best is not None
    return best


def won_games(
    map: str | Scenario,
    count: int,
    rules: str = "smaclite",
    battles: int = BATTLES,
    rounds: int = 48,
    seed: int = 0,
    threads: int | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> list[Plan]:
    """Look for several won games, good ones to learn from.

    A round that wins usually wins often, in games that begin alike: `FROM_A_ROUND` of them at most are kept, those that
    leave the most units. Of all rounds those are preferred that win nearly always in the end (`SAFE_SHARE`), and of
    these the shortest: less is to be learned until the start is reached. A round is given up when its games would be
    longer than ``count`` that are there.

    Args:
        map: name or path of a map, or a scenario, which brings its own rules.
        count: games wanted, >= 1.
        rules: rule profile.
        battles: played side by side, >= 50.
        rounds: to play, as in `search`.
        seed: of everything that is drawn.
        threads: of the engine, None: all processors. The result does not depend on it.
        say: takes a line after every round.

    Returns:
        ``count`` games or fewer, in the order of preference.

    Raises:
        BattleError: no such map or profile, or a number out of its range.
    """
    if count < 1:
        raise BattleError(f"count: {count}. Look for at least 1 game.")
    engine = _engine(map, rules, battles, rounds, seed, threads)
    began, env_steps = time.monotonic(), 0
    found: list[tuple[bool, int, list[Plan]]] = []  # best first: won by a hair or safely, steps, games
    longest = None
    for number, play in _rounds(engine, rounds, seed):
        play.until_won(longest)
        if engine.battle_won.any():
            play.to_the_end()
            plans = [replace(plan, family=number) for plan in play.won(FROM_A_ROUND)]
            found.append((bool(engine.battle_won.mean() < SAFE_SHARE), len(plans[0].actions), plans))
            found.sort(key=lambda one: one[:2])
            safe = [steps for by_a_hair, steps, plans in found if not by_a_hair for _ in plans]
            longest = safe[count - 1] if len(safe) >= count else None
        env_steps += play.env_steps
        played, seconds = number + 1, time.monotonic() - began
        to_play = max(rounds, played)
        to_go = seconds / played * (to_play - played)
        say(
            f"{len(found)} of {played} rounds found won games of {engine.scenario.name} (of {to_play} to play; "
            f"{env_steps / 1e6:.1f}M steps of search, {seconds:.0f} s, about {to_go:.0f} s to go)"
        )
    engine.close()
    return [plan for *_, plans in found for plan in plans][:count]


def _engine(map: str | Scenario, rules: str, battles: int, rounds: int, seed: int, threads: int | None) -> BattleEngine:
    if battles < 50 or rounds < 1:
        raise BattleError(f"battles {battles}, rounds {rounds}. Right is at least 50 and at least 1.")
    return BattleEngine(map, battles, seed=seed, rules=rules, num_threads=threads)


def _rounds(engine: BattleEngine, rounds: int, seed: int) -> Iterator[tuple[int, _Round]]:
    """The rounds of a search, each with its number; after they have won nothing some with bred teams."""
    won = False
    for number in range(rounds):
        yield number, _SelectedRound(engine, number, seed)
        won |= bool(engine.battle_won.any())
    if not won:
        for number in range(rounds, rounds + max(1, rounds // BRED_SHARE)):
            yield number, _BredRound(engine, number, seed)


class _Round(ABC):
    """All battles of an engine once or more often, from start to end, and what came of them.

    Args:
        engine: the battles.
        number: of the round.
        seed: of the search.

    Attributes:
        env_steps: steps of all battles so far.
    """

    _team: StyledTeam | RestingTeam

    def __init__(self, engine: BattleEngine, number: int, seed: int) -> None:
        self.env_steps, self._engine = 0, engine
        self._rng = np.random.default_rng([seed, number])
        self._begin()

    @abstractmethod
    def until_won(self, longest: int | None = None) -> None:
        """Play until a battle is won or nothing better comes; ``longest`` steps at most."""

    @abstractmethod
    def _best_first(self, won: Array) -> Array:
        """Won battles, (n,) numbers, in the order of preference."""

    def to_the_end(self) -> None:
        """Play on, so that others win as well."""
        while not self._step():
            pass

    def best(self) -> Outcome:
        """The game that was won, else the one in which the enemy has least left."""
        engine, (own, enemy) = self._engine, self._sides()
        e = int(np.lexsort((enemy.points.sum(axis=1), ~engine.battle_won))[0])
        return Outcome(
            map=engine.scenario.name,
            rules=engine.scenario.profile.name,
            won=bool(engine.battle_won[e]),
            rounds=1,
            env_steps=self.env_steps,
            seconds=0.0,
            enemies_left=int(enemy.alive[e].sum()),
            enemy_points_left=float(enemy.points[e].sum()),
            agents_left=int(own.alive[e].sum()),
            again=0,
            plan=self._plan(e),
        )

    def won(self, most: int) -> list[Plan]:
        """Some of the won games, all different, in the order of preference; of equals, any."""
        won = self._rng.permutation(np.flatnonzero(self._engine.battle_won))
        plans: dict[bytes, Plan] = {}  # by their actions: copies may have won alike
        for e in self._best_first(won):
            if len(plans) == most:
                break
            plan = self._plan(int(e))
            plans.setdefault(plan.actions.tobytes(), plan)
        return list(plans.values())

    def _begin(self) -> None:
        self._engine.reset()
        self._start, self._root = self._engine.get_state(), np.arange(self._engine.num_envs)  # where each comes from
        self._actions: list[Array] = []  # (E, A) of each step

    def _step(self) -> bool:
        """One step of all battles; True when all are over."""
        engine = self._engine
        self.env_steps += int((~(engine.terminated | engine.truncated)).sum())
        action = self._team.act()
        engine.step(action)
        self._actions.append(action.astype(np.uint8 if engine.action_shape <= 256 else np.uint16))
        return bool((engine.terminated | engine.truncated).all())

    def _sides(self) -> tuple[Side, Side]:
        engine = self._engine
        return Side.of(engine.units, engine.agent_unit), Side.of(engine.units, engine.enemy_unit)

    def _plan(self, e: int) -> Plan:
        root, steps = int(self._root[e]), int(self._engine.episode_length[e])
        start = {name: value[root : root + 1] for name, value in self._start.items()}
        return Plan(start, np.array([actions[e] for actions in self._actions[:steps]], np.int64))


class _SelectedRound(_Round):
    """The best battles are copied over the others every few steps."""

    _team: StyledTeam

    def __init__(self, engine: BattleEngine, number: int, seed: int) -> None:
        super().__init__(engine, number, seed)
        self._selection = SELECTIONS[number % len(SELECTIONS)]
        self._team = StyledTeam(engine, self._rng)
        own, enemy = self._sides()
        self._full = own.points[0].sum(), enemy.points[0].sum()

    def until_won(self, longest: int | None = None) -> None:
        """See `_Round.until_won`."""
        while not (self._step() or self._engine.battle_won.any() or len(self._actions) == longest):
            if len(self._actions) % self._selection.every == 0:
                self._select()

    def _best_first(self, won: Array) -> Array:
        own, _ = self._sides()
        return won[np.argsort(-own.alive[won].sum(axis=1), kind="stable")]

    def _select(self) -> None:
        engine, choice, (own, enemy) = self._engine, self._selection, self._sides()
        score = choice.caution * own.points.sum(axis=1) / self._full[0] - enemy.points.sum(axis=1) / self._full[1]
        score[engine.terminated | engine.truncated] = -np.inf  # lost
        score += self._rng.uniform(0.0, 1e-3, len(score))  # or of equals always the same are chosen
        best = np.argsort(-score)[: int(choice.keep * len(score)) or 1]
        source = best[np.arange(len(score)) % len(best)]
        engine.clone(source)
        self._team.inherit(source)
        self._root = self._root[source]
        self._actions = [actions[source] for actions in self._actions]


class _BredRound(_Round):
    """Games to the end, one generation after the other, whose teams descend from the best of the one before."""

    _team: RestingTeam

    def __init__(self, engine: BattleEngine, number: int, seed: int) -> None:
        super().__init__(engine, number, seed)
        self._team = RestingTeam(engine, self._rng)

    def until_won(self, longest: int | None = None) -> None:
        """See `_Round.until_won`."""
        best, since = np.inf, 0
        for _ in range(GENERATIONS):
            value = self._generation(longest)
            since = 0 if value.min() < best else since + 1
            best = min(best, float(value.min()))
            if self._engine.battle_won.mean() >= BRED_WON or since == PATIENCE:
                break
            self._team.breed(np.argsort(value, kind="stable")[: max(1, len(value) // PARENTS)])

    def _generation(self, longest: int | None) -> Array:
        """Play all battles; (E,) what the enemy had left when it had least, for a win the less the earlier it came."""
        self._begin()
        self._team.begin()
        engine, least, over = self._engine, np.full(self._engine.num_envs, np.inf), False
        while not (over or len(self._actions) == longest):
            over = self._step()
            least = np.minimum(least, self._sides()[1].points.sum(axis=1))
        return np.where(engine.battle_won, engine.episode_length - float(engine.episode_limit), least)

    def _best_first(self, won: Array) -> Array:
        return won[np.argsort(self._engine.episode_length[won], kind="stable")]


def _won_again(scenario: Scenario, plan: Plan, seed: int) -> int:
    """How many games the plan wins as it stands; where an action is not to be had, agents stop."""
    other = BattleEngine(scenario, OTHER_GAMES, seed=seed + 1, num_threads=1)
    for actions in plan.actions:
        wished = np.broadcast_to(actions, (OTHER_GAMES, other.agent_num))
        other.step(or_idle(other.action_mask, wished))
    return int(other.battle_won.sum())


def play_again(outcome: Outcome, map: str) -> RecordedGame:
    """Play the best game of a search again and record it.

    Args:
        outcome: what `search` returned.
        map: the map it was given.

    Raises:
        BattleError: the game does not go as it went: the engine has changed since.
    """
    engine = BattleEngine(map, 1, rules=outcome.rules, num_threads=1)
    engine.set_state(outcome.plan.start)
    games: list[RecordedGame] = []
    recorder = BattleRecorder(engine, 1, games.append)
    recorder.reset()
    for actions in outcome.plan.actions:
        recorder.step(actions[None])
    if not games or bool(engine.battle_won[0]) != outcome.won:
        raise BattleError(f"{outcome.map}: the game found does not repeat. Search again with this version.")
    return games[0]


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m dizoo.smac.search", description="Look for one won game on a map."
    )
    parser.add_argument("--maps", nargs="+", default=map_names(), metavar="MAP", help="default: all shipped maps")
    parser.add_argument("--rules", nargs="+", choices=sorted(PROFILES), default=["smaclite"])
    parser.add_argument("--battles", type=int, default=BATTLES, help=f"side by side (default {BATTLES})")
    parser.add_argument("--rounds", type=int, default=12, help="at most (default 12)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="default: one per core")
    parser.add_argument("--replay", type=Path, metavar="FOLDER", help="save the best game of each map there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers to a file")
    args = parser.parse_args(argv)
    outcomes = []
    try:
        for rules in args.rules:
            for name in args.maps:
                outcome = search(name, rules, args.battles, args.rounds, args.seed, args.threads)
                outcomes.append(outcome)
                print(outcome.line(), flush=True)
                if args.replay:
                    _save(play_again(outcome, name), args.replay, rules)
    except BattleError as e:
        print(e, file=sys.stderr)
        return 1
    if args.json:
        write_rows(args.json, [_numbers(outcome) for outcome in outcomes])
    return 0


def _save(game: RecordedGame, folder: Path, rules: str) -> None:
    path = folder / f"{game.replay.header['map']['name']}_{rules}_search_{game.name.split('_')[1]}"
    folder.mkdir(parents=True, exist_ok=True)
    info = {"played by": "a search (dizoo.smac.search)"}
    save_replay(path, Replay({**game.replay.header, "info": info}, game.replay.arrays))
    print(f"  {path}")


def _numbers(outcome: Outcome) -> dict[str, Any]:
    found = {name: value for name, value in vars(outcome).items() if name != "plan"}
    rounded = {name: round(found[name], 1) for name in ("seconds", "enemy_points_left")}
    return {**found, **rounded, "steps": len(outcome.plan.actions)}
