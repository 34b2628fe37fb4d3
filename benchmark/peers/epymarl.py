"""Time EPyMARL's QMIX on the real smaclite; run it in a Python with EPyMARL's requirements, not dimix's.

    PYTHON benchmark/peers/epymarl.py --repo PATH/TO/epymarl --map MMM --ratio 16 --seconds 25

Runs EPyMARL's own training loop with its QMIX and smaclite settings, but a GRU of 64 units (`use_rnn`) and as many
parallel battles, one process each, as the replay ratio requires: one update of 32 episodes follows every round of
episodes. Timed from the first update to a later one; evaluation is off. Prints one JSON line; processor time and memory
include the processes that play.
"""

import argparse
import json
import logging
import multiprocessing
import os
import resource
import sys
import time
from pathlib import Path
from types import SimpleNamespace

EPISODES = 32


class EnoughError(Exception):
    """The measurement is over."""


class Meter:
    """Reads the clocks before each update."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.first: tuple[float, float, int] | None = None
        self.last: tuple[float, float, int] | None = None
        self.sampled = 0
        self.peak_bytes = 0

    def look(self, env_steps: int, sampled: int) -> None:
        """Record the time before an update of `sampled` steps; raises `EnoughError` when the time is up."""
        children = [child.pid for child in multiprocessing.active_children()]
        now = (time.perf_counter(), time.process_time() + sum(map(cpu_seconds, children)), env_steps)
        if self.first is None:
            self.first = now
        self.last = now
        if now[0] - self.first[0] >= self.seconds:
            own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            self.peak_bytes = own + sum(map(own_bytes, children))
            raise EnoughError
        self.sampled += sampled


def cpu_seconds(pid: int) -> float:
    """Processor time of another process so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def own_bytes(pid: int) -> int:
    """Unshared memory of another process (Linux)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def settings(repo: Path, map_name: str, parallel: int) -> dict:
    """Return EPyMARL's configuration: its defaults, its smaclite and QMIX files, and the compared settings."""
    import yaml

    config: dict = {}
    for name in ("default", "envs/smaclite", "algs/qmix"):
        config |= yaml.safe_load((repo / f"src/config/{name}.yaml").read_text())
    never = 10**9
    return {
        **config,
        "seed": 0,
        "env_args": {**config["env_args"], "map_name": map_name, "seed": 0},
        "runner": "parallel",
        "batch_size_run": parallel,
        "batch_size": EPISODES,
        "use_rnn": True,
        "hidden_dim": 64,
        "use_cuda": False,
        "t_max": never,
        "test_nepisode": parallel,
        **dict.fromkeys(("test_interval", "log_interval", "runner_log_interval", "learner_log_interval"), never),
    }


def main() -> None:
    """Train until the time is up, then print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repo", required=True, type=Path, help="a checkout of EPyMARL")
    parser.add_argument("--map", default="MMM")
    parser.add_argument("--ratio", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=25.0)
    args = parser.parse_args()
    sys.path.insert(0, str(args.repo / "src"))

    import torch
    from learners import REGISTRY as LEARNERS
    from run import run_sequential
    from utils.logging import Logger

    torch.set_num_threads(1)
    torch.manual_seed(0)
    meter = Meter(args.seconds)

    class TimedLearner(LEARNERS["q_learner"]):
        def train(self, batch, t_env, episode_num):
            meter.look(t_env, int(batch["filled"][:, :-1].sum()))
            super().train(batch, t_env, episode_num)

    LEARNERS["q_learner"] = TimedLearner
    config = settings(args.repo, args.map, max(EPISODES // args.ratio, 1))
    try:
        run_sequential(SimpleNamespace(**config, device="cpu"), Logger(logging.getLogger("epymarl")))
    except EnoughError:
        (wall, cpu, steps), (wall_end, cpu_end, steps_end) = meter.first, meter.last
        env_steps = steps_end - steps
        result = {
            "peer": "EPyMARL",
            "map": args.map,
            "env_steps": env_steps,
            "replay_ratio": meter.sampled / env_steps,
            "wall_s": wall_end - wall,
            "cpu_s": cpu_end - cpu,
            "peak_bytes": meter.peak_bytes,
            "torch": torch.__version__,
        }
        print(json.dumps(result))


if __name__ == "__main__":
    main()
