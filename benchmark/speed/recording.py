"""What does recording cost an evaluation?

    python -m benchmark.speed.recording --load-path RUN/ckpt/best.pth.tar [--games 32] [--recorded 1 2 4 8 32]

Plays evaluations on the checkpoint's own map from jittered starts, alternately recorded and plain, and compares their
processor time, including writing the files. All evaluations play the same games.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch

from benchmark.markdown import table
from dimix.config.compile import CompiledConfig, compile_all
from dimix.entry.checkpoints import load_weights, read_any
from dimix.entry.recording import GameFiles
from dimix.entry.rooms import make_agent_input, make_env, make_policy
from dimix.policy.base import Policy
from dimix.worker import Evaluator


def seconds(compiled: CompiledConfig, policy: Policy, games: int, recorded: int) -> tuple[float, int]:
    """Measure the processor time of one evaluation, and the bytes it wrote."""
    env = make_env(compiled, "evaluate_jitter")
    evaluator = Evaluator(env, policy.eval_mode, make_agent_input(compiled))
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        files = GameFiles(folder, policy, {}).recording(env, recorded, "jittered", {}) if recorded else nullcontext()
        with files:
            evaluator.evaluate(games)
        spent = time.process_time() - start
        written = sum(path.stat().st_size for path in Path(folder).iterdir())
    env.close()
    return spent, written


def compare(play: Callable[[int], tuple[float, int]], recorded: int, repeats: int) -> dict[str, float]:
    """Alternate evaluations with and without recording: median milliseconds, median extra share per pair."""
    play(recorded)
    pairs = [(play(0)[0], *play(recorded)) for _ in range(repeats)]
    return {
        "plain": 1e3 * statistics.median(plain for plain, _, _ in pairs),
        "with": 1e3 * statistics.median(spent for _, spent, _ in pairs),
        "extra": statistics.median(spent / plain - 1 for plain, spent, _ in pairs),
        "kB": pairs[0][2] / recorded / 1000,
    }


def main() -> None:
    """Measure and print one row per number of recorded games."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--load-path", required=True)
    parser.add_argument("--games", type=int, default=32)
    parser.add_argument("--recorded", type=int, nargs="+", default=[1, 2, 4, 8, 32])
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(1)
    content = read_any(args.load_path)
    compiled = compile_all((content["config"]["main"], content["config"]["create"]))
    policy = make_policy(compiled)
    load_weights(policy, args.load_path, compiled)
    print(f"{compiled.info.name}, {args.games} games from jittered starts, processor time\n")
    lines = []
    for recorded in args.recorded:
        row = compare(lambda k: seconds(compiled, policy, args.games, k), recorded, args.repeats)
        each = row["extra"] * row["plain"] / recorded
        times = [f"{row['plain']:.0f}", f"{row['with']:.0f}", f"{row['extra']:.1%}", f"{each:.2f}"]
        lines.append([str(recorded), *times, f"{row['kB']:.0f}"])
    names = ("recorded", "plain (ms)", "recorded (ms)", "extra", "per recorded game (ms)", "kB per game")
    print(table(names, lines, left=0))


if __name__ == "__main__":
    main()
