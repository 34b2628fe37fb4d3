"""Does a training end sooner with several workers?

    python -m benchmark.speed.workers [--maps MMM 3s5z] [--workers 1 2] [--seconds 60] [--repeats 2] [-o KEY=VALUE]

Whole trainings at the same replay ratio, in turn: env steps per second by the clock and by processor time (all workers
together). On a busy machine only the latter means something.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from benchmark import zoo_file
from benchmark.markdown import table
from benchmark.provenance import machine
from dimix.callbacks import Callback
from dimix.callbacks.base import Run
from dimix.entry import Result, serial_pipeline


class Until(Callback):
    """Ends a training after some seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._started = seconds, 0.0

    def on_train_start(self, run: Run) -> None:
        """Start the clock."""
        self._started = time.monotonic()

    def stop_reason(self, run: Run) -> str | None:
        """``time`` when it is over."""
        return "time" if time.monotonic() - self._started > self._seconds else None


def train_for(seconds: float, config: str, overrides: Sequence[str] = (), **options: Any) -> Result:
    """Train for a while, with the evaluation at the start only; nothing is kept."""
    quiet = ("run.tensorboard=False", "env.stop_value=1e9", "policy.eval.evaluator.eval_freq=1000000000")
    with tempfile.TemporaryDirectory() as folder:
        return serial_pipeline(
            config,
            exp_name=f"{folder}/run",
            overrides=[*quiet, *overrides],
            callbacks=[Until(seconds)],
            announce=False,
            explain=False,
            out=lambda text: None,
            **options,
        )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--maps", nargs="+", default=["MMM", "3s5z"], metavar="MAP", help="default: MMM 3s5z")
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2], metavar="N", help="default: 1 2")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each training; default: 60")
    parser.add_argument("--repeats", type=int, default=2, help="trainings of each kind, in turn; default: 2")
    parser.add_argument("-o", "--option", action="append", default=[], metavar="KEY=VALUE", help="for every training")
    args = parser.parse_args()
    m = machine()
    print(f"{m['cpu']}, {m['cores']} cores, load {m['load']} at the start\n")
    rows = []
    for name in args.maps:
        results: dict[int, list[Result]] = {workers: [] for workers in args.workers}
        for _ in range(args.repeats):
            for workers, found in results.items():
                found.append(train_for(args.seconds, zoo_file(name, "qmix"), args.option, workers=workers))
        for workers, found in results.items():
            wall, cpu = (
                statistics.median(r.env_step / seconds(r) for r in found)
                for seconds in (lambda r: r.seconds, lambda r: r.cpu_seconds)
            )
            rows.append((name, str(workers), f"{wall:.0f}", f"{cpu:.0f}"))
    print(table(("map", "workers", "env steps/s", "env steps per processor second"), rows))


if __name__ == "__main__":
    main()
