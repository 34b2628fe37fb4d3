"""What do agents that read units as sets cost, next to flat ones: a whole training, its parts, memory?

    python -m benchmark.speed.set_reading [--maps MMM 3s5z 3s5z_vs_3s6z 27m_vs_30m] [--steps 60000] [--rounds 9]
        [--more policy.model.layer_norm=True]

Trains both kinds from a map's zoo config for so many steps, so that they play like teams that have learned, and then
goes on with them in turn. A round is all that lies between two evaluations: 50 updates, the games collected for them,
one evaluation from each kind of start. Figures are medians over the rounds of processor time on one thread, ratios
those of set-reading over flat agents:

- *training*: a whole round as it is; *steps*: how many they collected in it, for the teams play differently;
- *acting*: collecting, per step; *update*: both learn from the same batches, which the set-reading team played;
- *memory*: peaks of processes that trained one kind alone, from the same seed and for as many steps.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch

from benchmark import zoo_file
from benchmark.markdown import line, table
from benchmark.speed.peers import run_json
from benchmark.speed.training import peak_bytes
from dimix.config.compile import compile_all
from dimix.entry.rooms import Rooms, jitter_games

MODULE = "benchmark.speed.set_reading"
MAPS = ("MMM", "3s5z", "3s5z_vs_3s6z", "27m_vs_30m")
NAMES = ("map", "flat ms per update", "training", "steps", "acting", "update", "flat GB", "memory")


class Round(NamedTuple):
    """Processor seconds of a round, those for collecting, and the steps collected."""

    seconds: float
    collecting: float
    steps: int


class Team:
    """A training of one kind of agents."""

    def __init__(self, map_name: str, sets: bool, more: Sequence[str]) -> None:
        overrides = [f"policy.model.equivariant={sets}", *more]
        self._compiled = compile_all(zoo_file(map_name, "qmix"), overrides=overrides, seed=0)
        self._cfg, self.rooms = self._compiled.cfg, Rooms(self._compiled, out=lambda text: None)

    def train(self, steps: int) -> None:
        """Train, without evaluations."""
        while self.rooms.collector.env_step < steps:
            self._iterate()

    def round(self) -> Round:
        """Train up to an evaluation, and evaluate."""
        rooms, cfg, start = self.rooms, self._cfg, time.process_time()
        goal, before, collecting = rooms.learner.train_iter + self.round_updates, rooms.collector.env_step, 0.0
        while rooms.learner.train_iter < goal:
            collecting += self._iterate()
        rooms.evaluator.evaluate(cfg.env.n_evaluator_episode)
        if rooms.jitter_evaluator is not None:
            rooms.jitter_evaluator.evaluate(jitter_games(self._compiled))
        return Round(time.process_time() - start, collecting, rooms.collector.env_step - before)

    @property
    def round_updates(self) -> int:
        """Updates between two evaluations."""
        return int(self._cfg.policy.eval.evaluator.eval_freq)

    def _iterate(self) -> float:
        """Collect and update once; returns the processor seconds for collecting."""
        rooms, cfg, start = self.rooms, self._cfg.policy, time.process_time()
        rooms.collector.collect(cfg.collect.n_episode, rooms.epsilon(rooms.collector.env_step))
        collecting = time.process_time() - start
        rooms.learner.train(cfg.learn.update_per_collect, rooms.collector.episode_count)
        return collecting


def update_ratio(flat: Team, sets: Team, batches: int = 30) -> float:
    """Median ratio of an update's time, on the same batches, sampled from the set-reading team's memory."""
    ratios = []
    for _ in range(batches):
        batch, seconds = sets.rooms.buffer.sample(32), []
        for team in (flat, sets):
            start = time.process_time()
            team.rooms.policy.learn_mode.forward(batch)
            seconds.append(time.process_time() - start)
        ratios.append(seconds[1] / seconds[0])
    return statistics.median(ratios)


def peak(map_name: str, sets: bool, args: argparse.Namespace) -> float:
    """Peak memory in GB of a process that trains one kind."""
    worker = ["--worker", str(int(sets)), "--maps", map_name, "--steps", str(args.steps), "--more", *args.more]
    return float(run_json([sys.executable, "-m", MODULE, *worker])["peak_bytes"]) / 1e9


def measure(args: argparse.Namespace) -> Iterator[list[str]]:
    """Compare both kinds, a row per map."""
    for name in args.maps:
        flat, sets = teams = [Team(name, kind, args.more) for kind in (False, True)]
        for team in teams:
            team.train(args.steps)
            team.round()
        pairs = [(flat.round(), sets.round()) for _ in range(args.rounds)]
        ms = 1e3 * statistics.median(a.seconds for a, _ in pairs) / flat.round_updates
        ratios = [
            statistics.median(b.seconds / a.seconds for a, b in pairs),
            statistics.median(b.steps / a.steps for a, b in pairs),
            statistics.median(b.collecting / b.steps / (a.collecting / a.steps) for a, b in pairs),
            update_ratio(flat, sets),
        ]
        memory = [peak(name, kind, args) for kind in (False, True)]
        cells = [f"{ms:.0f}", *(f"{x:.2f}" for x in ratios), f"{memory[0]:.2f}", f"{memory[1] / memory[0]:.2f}"]
        yield [name, *cells]


def main() -> None:
    """Print the table line by line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--maps", nargs="+", default=list(MAPS))
    parser.add_argument("--steps", type=int, default=60_000, help="steps of training before the first round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--more", nargs="*", default=[], metavar="KEY=VALUE", help="settings of both kinds")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.worker is not None:
        Team(args.maps[0], bool(args.worker), args.more).train(args.steps)
        print(json.dumps({"peak_bytes": peak_bytes()}))
        return
    rows = measure(args)
    print(table(NAMES, [next(rows)]), flush=True)
    for cells in rows:
        print(line(cells), flush=True)


if __name__ == "__main__":
    main()
