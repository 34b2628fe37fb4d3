"""Is a CUDA device used well, and when is it worth using? Under ten minutes on any machine that has one.

    python -m benchmark.gpu [--device cuda] [--seconds 20] [--out benchmark/results]

Runs the tests marked ``cuda``, times updates on CPU (one thread) and device over batch and hidden size, trains end to
end with the simulator on the CPU, and writes ``gpu.json`` and ``gpu.md``.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark import RESULTS, ROOT, zoo_file
from benchmark.markdown import table
from benchmark.provenance import machine, revision, versions
from benchmark.speed.learner import MAPS, make_policy, synthetic_batch
from benchmark.speed.workers import train_for
from dimix.machine.device import resolve_device
from dimix.machine.text import format_bytes
from dimix.replay.batch import EpisodeBatch, batch_fields, make_batch

MAP = "MMM"
BATCHES, HIDDEN = (32, 128, 512), (64, 256, 512)
#: Seconds after which a size is timed no further.
MOST_S = 10.0
#: Of the trainings: episodes per round, and samples learned from after it.
EPISODES, SAMPLES = 32, 256


def run_tests() -> str:
    """The last line of pytest on the tests marked ``cuda``."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "tests/test_cuda.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return re.sub(r" in [\d.:s ()]+$", "", done.stdout.strip().splitlines()[-1]).strip("= ")


def wait(device: str) -> None:
    """Wait until the device has done everything."""
    if device != "cpu":
        torch.cuda.synchronize()


def with_state_size(batch: EpisodeBatch, hidden: int) -> EpisodeBatch:
    """The batch with recurrent states of another size, in page-locked memory if there is a device."""
    fields = batch_fields(batch)
    fields["hidden_state"] = torch.zeros(*fields["hidden_state"].shape[:2], hidden)
    if torch.cuda.is_available():
        fields = {name: x.pin_memory() for name, x in fields.items()}
    return make_batch(fields)


def time_updates(device: str, repeats: int) -> list[dict[str, Any]]:
    """Median milliseconds of one update by batch and hidden size, copy to the device included, and peak memory."""
    rows = []
    for episodes in BATCHES:
        made = synthetic_batch(MAPS[MAP], episodes, np.random.default_rng(0))
        for hidden in HIDDEN:
            policy = make_policy(MAPS[MAP], device, hidden_size_list=[hidden])
            batch, times = with_state_size(made, hidden), []
            if device != "cpu":
                torch.cuda.reset_peak_memory_stats()
            while len(times) <= repeats and sum(times) < MOST_S:
                wait(device)
                start = time.perf_counter()
                policy.learn_mode.forward(batch)
                wait(device)
                times.append(time.perf_counter() - start)
            peak = None if device == "cpu" else torch.cuda.max_memory_allocated()
            ms = 1e3 * statistics.median(times[1:] or times)  # the first one compiles, where it does not take long
            rows.append(dict(device=device, batch=episodes, hidden=hidden, ms=round(ms, 2), peak_bytes=peak))
    return rows


def train(device: str, batch: int, seconds: float) -> dict[str, Any]:
    """Env steps and updates per second of a whole training, at the same replay ratio for every batch size."""
    overrides = (
        *(f"policy.learn.batch_size={batch}", f"policy.learn.update_per_collect={SAMPLES // batch}"),
        *(f"policy.collect.n_episode={EPISODES}", f"env.collector_env_num={EPISODES}"),
    )
    result = train_for(seconds, zoo_file(MAP, "qmix"), overrides, device=device)
    per_s = {"env_steps_per_s": result.env_step / result.seconds, "updates_per_s": result.train_iter / result.seconds}
    return {"device": device, "batch": batch, **{name: round(value, 1) for name, value in per_s.items()}}


def page(report: dict[str, Any]) -> str:
    """The report as a Markdown page."""
    m, device = report["machine"], report["device"]
    times = {(row["device"], row["batch"], row["hidden"]): row for row in report["updates"]}
    rows = []
    for batch in BATCHES:
        for hidden in HIDDEN:
            cpu, other = (times[name, batch, hidden] for name in ("cpu", device))
            memory = "-" if other["peak_bytes"] is None else format_bytes(other["peak_bytes"])
            ratio = f"{cpu['ms'] / other['ms']:.2f}"
            rows.append((str(batch), str(hidden), f"{cpu['ms']:.1f}", f"{other['ms']:.1f}", ratio, memory))
    trained = [
        (r["device"], str(r["batch"]), str(r["env_steps_per_s"]), str(r["updates_per_s"])) for r in report["training"]
    ]
    return "\n".join(
        [
            f"# {report['name']} against one thread of {m['cpu']}",
            "",
            f"Command: `{report['command']}`; torch {report['versions']['torch']}. Tests marked `cuda`: "
            f"{report['tests']}.",
            "",
            f"One update on {MAP}, milliseconds, copy to the device included:",
            "",
            table(("batch", "hidden", "CPU", device, "times faster", "device memory"), rows, left=0),
            "",
            f"Whole training on {MAP}, {SAMPLES // EPISODES} steps learned per step played:",
            "",
            table(("device", "batch", "env steps/s", "updates/s"), trained),
            "",
        ]
    )


def main() -> None:
    """Measure and write both files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda", help="default: cuda")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each training; default: 20")
    parser.add_argument("--repeats", type=int, default=5, help="updates timed of each size; default: 5")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER", help="default: benchmark/results")
    args = parser.parse_args()
    device = str(resolve_device(args.device))
    torch.set_num_threads(1)
    devices = list(dict.fromkeys(["cpu", device]))
    report: dict[str, Any] = {
        "command": " ".join(["python -m benchmark.gpu", *sys.argv[1:]]),
        "code": revision(),
        "device": device,
        "name": "no device" if device == "cpu" else torch.cuda.get_device_name(),
        "machine": machine(),
        "versions": versions("torch", "numpy", "numba"),
        "tests": run_tests(),
        "updates": [row for name in devices for row in time_updates(name, args.repeats)],
        "training": [train(name, batch, args.seconds) for batch in (32, 256) for name in devices],
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "gpu.json").write_text(json.dumps(report, indent=1) + "\n")
    (args.out / "gpu.md").write_text(page(report))
    print(page(report))


if __name__ == "__main__":
    main()
