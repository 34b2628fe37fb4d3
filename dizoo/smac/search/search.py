"""Can this map be won at all? Searches for a won game with many battles that are copied and discarded.

``python -m dizoo.smac.search --maps 6h_vs_8z [--rules smac] [--replay games]``

If a team stops learning, this tells whether the map or the learner is to blame. All battles begin alike and act at
random, each in its own style (how often it attacks, how long it holds an action, when it flees). Every few steps the
best are copied over the others, with slightly changed styles. This is a particle filter ("go with the winners", Aldous
and Vazirani 1994) weighted by what the enemy has lost and the own side has kept.

If that wins nothing, an evolution strategy, scored by whole games, breeds scripts that advance, fight, retreat when
hurt and return when rested, at thresholds that are drawn and improved from game to game. Resting pays only later, so
choosing every few steps would discard those who rest.

A win is a proof, and its game can be watched; finding none proves nothing. Teams can learn from won games: see
`dizoo.smac.search.backplay`.
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
from dizoo.smac.search.rounds import OTHER_GAMES, BredRound, Outcome, Plan, Round, SelectedRound, begin_as

BATTLES = 4096  # side by side
FROM_A_ROUND = 4  # most won games kept of one round: they differ only towards the end
#: Required share of a round's battles that win in the end. If few of those that begin alike win, the win is narrow and
#: hard to learn from.
SAFE_SHARE = 0.9
BRED_SHARE = 6  # selected rounds per round of bred teams


def search(
    map: str | Scenario,
    rules: str | None = None,
    battles: int = BATTLES,
    rounds: int = 12,
    seed: int = 0,
    threads: int | None = None,
) -> Outcome:
    """Search for a won game; where battles are drawn, of the first one that the seed draws.

    Args:
        map: name or path of a map, or a scenario, whose own rules apply.
        rules: rule profile; default: what the map is meant for.
        battles: played side by side, >= 50.
        rounds: maximum number of rounds; each starts anew with the next of `SELECTIONS`. If they win nothing, rounds
            of bred teams follow, one per six of these.
        seed: of all random draws.
        threads: of the engine, None: all processors. The result does not depend on it.

    Returns:
        The first win, else the best game of all rounds.

    Raises:
        BattleError: no such map or profile, or a number out of range.
    """
    best: Outcome | None = None
    for play in _rounds(map, rules, battles, rounds, seed, threads, one_battle=True):
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
    rules: str | None = None,
    battles: int = BATTLES,
    rounds: int = 48,
    seed: int = 0,
    threads: int | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> list[Plan]:
    """Search for several won games that are good to learn from.

    A round that wins usually wins often, in games that begin alike. At most `FROM_A_ROUND` of them are kept, those that
    leave the most units. Across rounds, those that nearly always win in the end (`SAFE_SHARE`) are preferred, and among
    them the shortest, since a team must learn them back to the start. A round is abandoned once its games would be
    longer than the best ``count`` so far.

    Args:
        map: name or path of a map, or a scenario, whose own rules apply.
        count: games wanted, >= 1.
        rules: rule profile; default: what the map is meant for.
        battles: played side by side, >= 50.
        rounds: to play, as in `search`.
        seed: of all random draws.
        threads: of the engine, None: all processors. The result does not depend on it.
        say: called with a line after every round.

    Returns:
        At most ``count`` games, in order of preference.

    Raises:
        BattleError: no such map or profile, or a number out of range.
    """
    if count < 1:
        raise BattleError(f"count: {count}. Look for at least 1 game.")
    found: list[tuple[bool, int, list[Plan]]] = []  # best first: narrow (True) or safe, steps, games
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
    map: str | Scenario,
    rules: str | None,
    battles: int,
    rounds: int,
    seed: int,
    threads: int | None,
    one_battle: bool = False,
) -> Iterator[Round]:
    """Yield the rounds of a search; some with bred teams once others have won nothing.

    Where battles vary, each round plays another one, or all play the same (``one_battle``).
    """
    if battles < 50 or rounds < 1:
        raise BattleError(f"battles {battles}, rounds {rounds}. Right is at least 50 and at least 1.")
    began, env_steps, won, battle = time.monotonic(), 0, False, None
    with closing(BattleEngine(map, battles, seed=seed, rules=rules, num_threads=threads)) as engine:
        for number in range(rounds + max(1, rounds // BRED_SHARE)):
            if number == rounds and won:
                return
            play = (SelectedRound if number < rounds else BredRound)(engine, number, seed, began, env_steps, battle)
            yield play
            env_steps, won = play.env_steps, won or play.any_won()
            battle = play.battle if one_battle else None


def _won_again(scenario: Scenario, plan: Plan, seed: int) -> int:
    """Count the games that the plan wins unchanged; agents stop where an action is unavailable."""
    other = BattleEngine(scenario, OTHER_GAMES, seed=seed + 1, num_threads=1)
    if scenario.varies:
        begin_as(other, plan.start)
    for actions in plan.actions:
        wished = np.broadcast_to(actions, (OTHER_GAMES, other.agent_num))
        other.step(or_idle(other.action_mask, wished))
    return int(other.battle_won.sum())


def play_again(outcome: Outcome, map: str | Scenario) -> RecordedGame:
    """Replay the best game of a search and record it.

    Args:
        outcome: the result of `search`.
        map: what it was given.

    Raises:
        BattleError: the game takes another course: the engine has changed since.
    """
    engine = BattleEngine(map, 1, rules=outcome.rules, num_threads=1)
    games: list[RecordedGame] = []
    recorder = BattleRecorder(engine, 1, games.append)
    recorder.begin(outcome.plan.start)
    for actions in outcome.plan.actions:
        recorder.step(actions[None])
    if not games or bool(engine.battle_won[0]) != outcome.won:
        raise BattleError(f"{outcome.map}: the game found does not repeat. Search again with this version.")
    return games[0]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m dizoo.smac.search", description="Look for one won game on a map.")
    parser.add_argument("--maps", nargs="+", default=map_names(), metavar="MAP", help="default: SMAC's")
    parser.add_argument("--rules", nargs="+", choices=sorted(PROFILES), default=[None], help="default: each map's own")
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
                    _save(play_again(outcome, name), args.replay, outcome.rules)
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
