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
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from dizoo.smac.battle.engine import BattleEngine
from dizoo.smac.battle.errors import BattleError
from dizoo.smac.battle.maps.rules import PROFILES
from dizoo.smac.battle.maps.scenario import Scenario, map_names
from dizoo.smac.battle.recording.recorder import BattleRecorder, RecordedGame
from dizoo.smac.battle.recording.replay import Replay, save_replay
from dizoo.smac.battle.teams.scripted import or_idle
from dizoo.smac.battle.text import write_rows
from dizoo.smac.search.rounds import OTHER_GAMES, BredRound, Outcome, Plan, Round, SelectedRound

BATTLES = 4096  # side by side
FROM_A_ROUND = 4  # won games kept of one round at most: they are alike but for their ends
#: Share of a round's battles that are won in the end. What only few of those that begin alike can win is won by a hair,
#: and hard to learn from.
SAFE_SHARE = 0.9
BRED_SHARE = 6  # as many rounds as these are played for one of bred teams


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
    best: Outcome | None = None
    for play in _rounds(map, rules, battles, rounds, seed, threads):
        play.until_won()
        found = play.best()
        if best is None or (found.won, -found.enemy_points_left) > (best.won, -best.enemy_points_left):
            best = found
        best.rounds, best.env_steps, best.seconds = found.rounds, found.env_steps, found.seconds
        if best.won:
            best.again = _won_again(play.engine.scenario, best.plan, seed)
            break
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
    found: list[tuple[bool, int, list[Plan]]] = []  # best first: won by a hair or safely, steps, games
    longest = None
    for play in _rounds(map, rules, battles, rounds, seed, threads):
        play.until_won(longest)
        if play.any_won():
            play.to_the_end()
            plans = play.won(FROM_A_ROUND)
            found.append((bool(play.engine.battle_won.mean() < SAFE_SHARE), len(plans[0].actions), plans))
            found.sort(key=lambda one: one[:2])
            safe = [steps for by_a_hair, steps, plans in found if not by_a_hair for _ in plans]
            longest = safe[count - 1] if len(safe) >= count else None
        say(f"{len(found)} of {play.progress(rounds)}")
    return [plan for *_, plans in found for plan in plans][:count]


def _rounds(
    map: str | Scenario, rules: str, battles: int, rounds: int, seed: int, threads: int | None
) -> Iterator[Round]:
    """The rounds of a search; after they have won nothing some with bred teams."""
    if battles < 50 or rounds < 1:
        raise BattleError(f"battles {battles}, rounds {rounds}. Right is at least 50 and at least 1.")
    began, env_steps, won = time.monotonic(), 0, False
    with closing(BattleEngine(map, battles, seed=seed, rules=rules, num_threads=threads)) as engine:
        for number in range(rounds + max(1, rounds // BRED_SHARE)):
            if number == rounds and won:
                return
            play = (SelectedRound if number < rounds else BredRound)(engine, number, seed, began, env_steps)
            yield play
            env_steps, won = play.env_steps, won or play.any_won()


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
    parser = argparse.ArgumentParser(prog="python -m dizoo.smac.search", description="Look for one won game on a map.")
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
