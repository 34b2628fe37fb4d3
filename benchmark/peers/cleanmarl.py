"""Time CleanMARL's QMIX (GRU) on the real smaclite; run it in a Python with CleanMARL's requirements, not dimix's.

    PYTHON benchmark/peers/cleanmarl.py --repo PATH/TO/cleanmarl --map MMM --ratio 16 --seconds 25

Runs `qmix_lstm.py` (despite its name, a GRU cell of 64 units) with its own settings and batches of 32 episodes, as
often as the replay ratio requires; evaluation is off. Times are taken between two batches, when the script writes to
TensorBoard, whose writer is replaced. Prints one JSON line.
"""

import argparse
import json
import resource
import runpy
import sys
import time
import types
from pathlib import Path

EPISODES = 32


class EnoughError(Exception):
    """The measurement is over."""


class Meter:
    """Replaces TensorBoard's writer and reads the clocks after each update."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.first: tuple[float, float, int] | None = None
        self.last: tuple[float, float, int] | None = None
        self.updates = 0

    def __call__(self, log_dir: str) -> "Meter":
        """Act as the constructor that the script calls."""
        return self

    def add_text(self, *args: object) -> None:
        """Write nothing."""

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Take the loss, written once after each update; raises `EnoughError` when the time is up."""
        if name != "train/loss":
            return
        now = (time.perf_counter(), time.process_time(), step)
        if self.first is None:
            self.first = now
            return
        self.last = now
        self.updates += 1
        if now[0] - self.first[0] >= self.seconds:
            raise EnoughError


def main() -> None:
    """Train until the time is up, then print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repo", required=True, type=Path, help="a checkout of CleanMARL")
    parser.add_argument("--map", default="MMM")
    parser.add_argument("--ratio", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=25.0)
    args = parser.parse_args()

    import torch

    torch.set_num_threads(1)
    meter = Meter(args.seconds)
    tensorboard = types.ModuleType("torch.utils.tensorboard")
    tensorboard.SummaryWriter = meter
    sys.modules["torch.utils.tensorboard"] = tensorboard
    folder = args.repo / "cleanmarl"
    sys.path.insert(0, str(folder))
    # Its other environments are imported in any case, with requirements of their own.
    for module, name in (("env.pettingzoo_wrapper", "PettingZooWrapper"), ("env.lbf", "LBFWrapper")):
        sys.modules[module] = types.ModuleType(module)
        setattr(sys.modules[module], name, None)
    script = str(folder / "qmix_lstm.py")
    every = max(EPISODES // args.ratio, 1)
    options = {"--env-type": "smaclite", "--env-name": args.map, "--batch-size": EPISODES, "--train-freq": every,
               "--hidden-dim": 64, "--eval-steps": 10**9, "--log-every": 10**9}  # fmt: skip
    sys.argv = [script, *(str(word) for pair in options.items() for word in pair)]
    try:
        runpy.run_path(script, run_name="__main__")
    except EnoughError:
        (wall, cpu, steps), (wall_end, cpu_end, steps_end) = meter.first, meter.last
        result = {
            "peer": "CleanMARL",
            "map": args.map,
            "env_steps": steps_end - steps,
            "replay_ratio": EPISODES / every,
            "wall_s": wall_end - wall,
            "cpu_s": cpu_end - cpu,
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "torch": torch.__version__,
        }
        print(json.dumps(result))


if __name__ == "__main__":
    main()
