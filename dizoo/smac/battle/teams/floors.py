"""Win rates of scripted teams: the floor that a learned team must beat.

``python -m dizoo.smac.battle.teams.floors --episodes 256 [--maps MMM 3s5z] [--rules smaclite smac] [--teams random]``
``python -m dizoo.smac.battle.teams.floors --episodes 1024 --maps {terran,protoss,zerg}_5_vs_5 --opponent near``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dizoo.smac.battle.engine import BattleEngine
from dizoo.smac.battle.errors import BattleError
from dizoo.smac.battle.maps.generator import STARTS
from dizoo.smac.battle.maps.rules import OPPONENTS, PROFILES
from dizoo.smac.battle.maps.scenario import map_names
from dizoo.smac.battle.teams.scripted import TEAMS, ScriptedTeam, make_team
from dizoo.smac.battle.text import write_rows


@dataclass(frozen=True)
class Floor:
    """Result of one scripted team on one map.

    Attributes:
        map: name of the map.
        rules: rule profile.
        opponent: how the enemies choose targets, one of `OPPONENTS` or several.
        team: name of the script.
        episodes: games played, each from its own random stream.
        won: games won.
        truncated: games ended by the episode limit.
        return_mean: mean sum of rewards (a win without regeneration is 20).
        return_std: its standard deviation over the games.
        length_mean: mean number of steps.
        distinct: number of different games, distinguished by return and length.
        by_start: games won and played by kind of start, where battles are drawn.
    """

    map: str
    rules: str
    opponent: str | tuple[str, ...]
    team: str
    episodes: int
    won: int
    truncated: int
    return_mean: float
    return_std: float
    length_mean: float
    distinct: int
    by_start: Mapping[str, tuple[int, int]]

    @property
    def win_rate(self) -> float:
        """Games won per game played."""
        return self.won / self.episodes


def play(engine: BattleEngine, team: ScriptedTeam) -> np.ndarray:
    """Play one episode in every battle of an engine, from reset to end.

    Returns (E,) float64 sums of rewards; wins, ends and lengths are in the engine's arrays.
    """
    engine.reset()
    returns = np.zeros(engine.num_envs)
    while not np.all(engine.terminated | engine.truncated):
        engine.step(team.act(engine.global_state, engine.action_mask))
        returns += engine.reward
    return returns


def measure(
    map_name: str,
    team_name: str,
    episodes: int,
    rules: str | None = None,
    seed: int = 0,
    start_jitter: float = 0.0,
    opponent: str | Sequence[str] | None = None,
) -> Floor:
    """Play a number of games with one scripted team on one map.

    Every game counts exactly once: stopping after a given number of finished games would favour short ones.

    Raises:
        BattleError: no such map, team or profile, or ``episodes`` is not positive.
    """
    if episodes < 1:
        raise BattleError(f"episodes: {episodes}. Play at least 1.")
    engine = BattleEngine(map_name, episodes, seed, rules, opponent=opponent, start_jitter=start_jitter)
    returns = play(engine, make_team(team_name, engine.scenario, seed))
    games = np.stack([np.round(returns, 6), engine.episode_length], axis=1)
    return Floor(
        map=engine.scenario.name,
        rules=engine.scenario.profile.name,
        opponent=engine.scenario.profile.opponent,
        team=team_name,
        episodes=episodes,
        won=int(engine.battle_won.sum()),
        truncated=int(engine.truncated.sum()),
        return_mean=float(returns.mean()),
        return_std=float(returns.std()),
        length_mean=float(engine.episode_length.mean()),
        distinct=len(np.unique(games, axis=0)),
        by_start=_by_start(engine),
    )


def _by_start(engine: BattleEngine) -> dict[str, tuple[int, int]]:
    if not engine.scenario.is_drawn:
        return {}
    kinds = {start: engine.start_kind == i for i, start in enumerate(STARTS)}
    return {start: (int(engine.battle_won[here].sum()), int(here.sum())) for start, here in kinds.items() if here.any()}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m dizoo.smac.battle.teams.floors", description="Win rates of scripted teams on the SMAC maps."
    )
    parser.add_argument("--episodes", type=int, default=256, help="games per map, team and profile (default 256)")
    parser.add_argument("--maps", nargs="+", default=map_names(), metavar="MAP", help="default: SMAC's")
    parser.add_argument("--rules", nargs="+", choices=sorted(PROFILES), default=[None], help="default: each map's own")
    parser.add_argument("--opponent", choices=OPPONENTS, help="how enemies choose targets (default: the rules' own)")
    parser.add_argument("--teams", nargs="+", choices=sorted(TEAMS), default=list(TEAMS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--start-jitter", type=float, default=0.0, help="cells by which each start is moved (default 0)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers to a file")
    args = parser.parse_args(argv)
    floors = []
    print(
        f"{'rules':<10}{'map':<18}{'team':<16}{'won':>11}{'win rate':>10}{'return':>16}{'steps':>7}{'cut':>5}"
        f"{'distinct':>10}"
    )
    try:
        for rules in args.rules:
            for name in args.maps:
                for team in args.teams:
                    f = measure(name, team, args.episodes, rules, args.seed, args.start_jitter, args.opponent)
                    floors.append(f)
                    print(
                        f"{f.rules:<10}{f.map:<18}{team:<16}{f'{f.won}/{f.episodes}':>11}{f.win_rate:>10.3f}"
                        f"{f'{f.return_mean:.2f} +- {f.return_std:.2f}':>16}{f.length_mean:>7.1f}{f.truncated:>5}"
                        f"{f.distinct:>10}",
                        flush=True,
                    )
    except BattleError as e:
        print(e, file=sys.stderr)
        return 1
    if args.json:
        write_rows(args.json, [asdict(f) for f in floors])
    return 0


if __name__ == "__main__":
    sys.exit(main())
