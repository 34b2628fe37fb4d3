"""How long until a team wins: from the typed command to the fifth evaluation in a row at 0.95 or more.

``python -m benchmark.win_rate.learning --maps 3m --seeds 0 1 2 [--jobs 2] [--folder runs/learning] [--write NAME]``

Each run is the command a user types, ``dimix -m serial -c <zoo config> -s <seed>``, in a process of its own, ``--jobs``
at a time; the clock starts with the process, so imports and loading the compiled simulator count (it is compiled once
before). Seconds are read when a line of the run's ``metrics.csv`` appears, to about a tenth of a second.

Runs end when their last five evaluations average 0.99 (then each of them is at 0.95 or more), or after a million env
steps; ``--full-steps N`` makes them go on for N env steps, to see how stable a team stays after its first success.
``--jitter r`` also trains on starts moved by up to r cells.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmark.provenance import machine, versions
from benchmark.win_rate.cells import ROOT, zoo_file
from benchmark.win_rate.rows import RESULTS
from dimix.machine.cores import usable_cores
from dimix.machine.processes import ONE_THREAD
from dimix.plot.table import GOOD, IN_A_ROW, learned_at

LONGEST = 1_000_000  # env steps of a run that does not get there
WON, WON_JITTER = "eval/battle_won", "eval/battle_won_jitter"


@dataclass
class Evaluation:
    """One evaluation: when, and the share of games won from nominal and from jittered starts."""

    wall_s: float
    env_step: int
    won: float
    won_jitter: float


@dataclass
class Run:
    """One seed of one map.

    Attributes:
        first_s: seconds to the first evaluation at 0.95 or more; None if there was none.
        fifth_s: seconds to the end of the first five in a row; None if there were none.
        fifth_step: env steps then.
        jitter_s: seconds to the first evaluation at 0.9 or more from jittered starts.
        stable: share of evaluations at 0.95 or more from the first one on.
        last_won: mean over the last five evaluations.
        last_won_jitter: the same from jittered starts.
        wall_s: of the whole process.
    """

    map: str
    seed: int
    start_jitter: float
    first_s: float | None = None
    fifth_s: float | None = None
    fifth_step: int | None = None
    jitter_s: float | None = None
    stable: float | None = None
    last_won: float = 0.0
    last_won_jitter: float = 0.0
    env_steps: int = 0
    wall_s: float = 0.0
    evaluations: list[Evaluation] = field(default_factory=list)

    def summarise(self) -> None:
        """Fill the figures from the evaluations."""
        evals = self.evaluations
        good = [e.won >= GOOD for e in evals]
        if any(good):
            first = good.index(True)
            self.first_s = evals[first].wall_s
            self.stable = sum(good[first:]) / len(good[first:])
        if (fifth := learned_at(e.won for e in evals)) is not None:
            self.fifth_s, self.fifth_step = evals[fifth].wall_s, evals[fifth].env_step
        self.jitter_s = next((e.wall_s for e in evals if e.won_jitter >= 0.9), None)
        last = evals[-IN_A_ROW:]
        self.last_won = sum(e.won for e in last) / max(len(last), 1)
        self.last_won_jitter = sum(e.won_jitter for e in last) / max(len(last), 1)
        self.env_steps = evals[-1].env_step if evals else 0


class Watched:
    """A running training and what its metrics file has told so far."""

    def __init__(self, map_name: str, seed: int, folder: Path, options: Sequence[str], start_jitter: float) -> None:
        self.run = Run(map_name, seed, start_jitter)
        self.folder = folder
        config = zoo_file(map_name, "qmix")
        command = [sys.executable, "-m", "dimix.cli", "-m", "serial", "-c", config, "-s", str(seed)]
        command += ["--exp-name", str(folder), *options]
        if start_jitter:
            command += ["-o", f"env.start_jitter={start_jitter}"]
        self._log = tempfile.TemporaryFile("w+")
        self._started = time.perf_counter()
        self.process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **ONE_THREAD}, stdout=self._log, stderr=subprocess.STDOUT
        )

    def poll(self) -> bool:
        """Read new evaluations; True when the run has ended.

        Raises:
            RuntimeError: the training failed; its output is the message.
        """
        status, now = self.process.poll(), time.perf_counter() - self._started
        path = self.folder / "log" / "metrics.csv"
        text = path.read_text() if path.exists() else ""
        complete = text[: text.rfind("\n") + 1]  # the last line may still be being written
        rows = [r for r in csv.DictReader(io.StringIO(complete)) if r.get(WON)]
        for row in rows[len(self.run.evaluations) :]:
            jitter = float(row[WON_JITTER]) if row.get(WON_JITTER) else 0.0
            self.run.evaluations.append(Evaluation(round(now, 1), int(float(row["env_step"])), float(row[WON]), jitter))
        if status is None:
            return False
        self.run.wall_s = round(now, 1)
        if status != 0:
            self._log.seek(0)
            raise RuntimeError(f"{self.run.map} seed {self.run.seed} ended with status {status}:\n{self._log.read()}")
        self.run.summarise()
        return True


def train_all(args: argparse.Namespace) -> list[Run]:
    """Train every map and seed, ``jobs`` at a time, printing a line per finished run."""
    waiting = [(m, s) for m in args.maps for s in args.seeds]
    stop_value = 1.1 if args.full_steps else 0.99
    options = [f"--env-step={args.full_steps or LONGEST}", "-o", f"env.stop_value={stop_value}"]
    options += [part for text in args.option for part in ("-o", text)]
    running: list[Watched] = []
    done: list[Run] = []
    base = Path(args.folder) if args.folder else Path(tempfile.mkdtemp(prefix="dimix_learning_"))
    while waiting or running:
        while waiting and len(running) < args.jobs:
            map_name, seed = waiting.pop(0)
            folder = base / f"{map_name}_jitter{args.jitter:g}" / f"seed{seed}"
            running.append(Watched(map_name, seed, folder.resolve(), options, args.jitter))
        for watched in list(running):
            if watched.poll():
                running.remove(watched)
                done.append(watched.run)
                print(line(watched.run), flush=True)
        time.sleep(0.1)
    return sorted(done, key=lambda run: (args.maps.index(run.map), run.seed))


def line(run: Run) -> str:
    """One run as a row of the table."""

    def seconds(x: float | None) -> str:
        return "-" if x is None else f"{x:.0f}"

    stable = "-" if run.stable is None else f"{run.stable:.2f}"
    return (
        f"| {run.map} | {run.seed} | {run.start_jitter:g} | {seconds(run.first_s)} | {seconds(run.fifth_s)} | "
        f"{run.fifth_step or '-'} | {stable} | {run.last_won:.2f} | {run.last_won_jitter:.2f} | "
        f"{seconds(run.jitter_s)} | {run.wall_s:.0f} |"
    )


def table(runs: Sequence[Run]) -> str:
    """All runs as a Markdown table."""
    head = (
        "| map | seed | training jitter | first >= 0.95 (s) | five in a row (s) | env steps then | stable after first "
        "| won, last 5 | jittered, last 5 | jittered >= 0.9 (s) | whole run (s) |"
    )
    return "\n".join([head, "|" + " --- |" * 11, *map(line, runs)])


def ranges(runs: Sequence[Run]) -> str:
    """One line per map, from the lowest to the highest of its seeds: the table of the project's README."""
    lines = [
        "| map | first evaluation won (s) | five in a row (s) | env steps then | won from moved starts |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name in dict.fromkeys(run.map for run in runs):
        seeds = [run for run in runs if run.map == name]
        columns = (
            spread([run.first_s for run in seeds], lambda s: f"{s:.0f}"),
            spread([run.fifth_s for run in seeds], lambda s: f"{s:.0f}"),
            spread([run.fifth_step for run in seeds], lambda steps: f"{steps / 1000:.0f}k"),
            spread([run.last_won_jitter for run in seeds], lambda share: f"{share:.2f}"),
        )
        lines.append(f"| {name} | {' | '.join(columns)} |")
    return "\n".join(lines)


def spread(values: Sequence[float | None], shown: Callable[[float], str]) -> str:
    """``lowest - highest``; how many have none, where some do."""
    found = [value for value in values if value is not None]
    if not found:
        return "never"
    text = f"{shown(min(found))} - {shown(max(found))}"
    return text if len(found) == len(values) else f"{text} ({len(found)} of {len(values)})"


def main() -> None:
    """Parse, train, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", nargs="+", default=["3m", "2s3z", "5m_vs_6m", "3s5z", "MMM"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=usable_cores(), help="runs at a time, one thread each")
    parser.add_argument("--jitter", type=float, default=0.0, help="start_jitter of the training games, cells")
    parser.add_argument("--full-steps", type=int, default=0, help="go on for so many env steps, without stop rule")
    parser.add_argument("-o", "--option", action="append", default=[], help="dotted.key=value for every run")
    parser.add_argument("--folder", help="where the run folders go; a temporary one if not given")
    parser.add_argument("--write", metavar="NAME", help="also write benchmark/results/NAME.json and NAME.md")
    args = parser.parse_args()

    from dizoo.smac.battle import BattleEngine

    BattleEngine(args.maps[0], 1, 0)  # compiled once; the runs load it
    runs = train_all(args)
    print("\n" + table(runs))
    if args.write:
        RESULTS.mkdir(exist_ok=True)
        about = {"jitter": args.jitter, "full_steps": args.full_steps, "options": args.option, "jobs": args.jobs}
        about |= {"machine": machine(), "versions": versions("torch", "numpy", "numba")}
        about["date"] = time.strftime("%Y-%m-%d")
        (RESULTS / f"{args.write}.json").write_text(json.dumps({"about": about, "runs": [asdict(r) for r in runs]}))
        (RESULTS / f"{args.write}.md").write_text(ranges(runs) + "\n\n" + table(runs) + "\n")


if __name__ == "__main__":
    main()
