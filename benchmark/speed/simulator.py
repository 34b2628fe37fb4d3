"""Speed and memory of the battle engine and of other simulators, in one run on one machine.

``python -m benchmark.speed.simulator`` prints a table; ``--write`` also writes it to ``benchmark/results``, and
``--write simulator_smacv2`` does so beside the other table. SMAClite
and SMAX take part if they can be imported here, or if ``--smaclite-python`` / ``--smax-python`` name a Python that has
them. Each runs in its own process, map by map between ours, so that other load slows all sides alike.

Actions are random available ones, and choosing them is not timed. Every step includes observations, states, masks and
the resets of finished games. Figures are environment steps (one step of one battle's whole team) per second.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmark.markdown import table
from benchmark.provenance import conditions, machine, versions, write_report
from benchmark.speed.peers import SCRIPTS, run_json, typed
from dizoo.smac.battle import BattleEngine
from dizoo.smac.battle.maps.scenario import map_names, task_names
from dizoo.smac.battle.teams.scripted import random_actions

PEERS = {"smaclite": "smaclite", "smaclite-cpp": "smaclite", "smax": "jaxmarl"}  # column: module
_SMACLITE_MAPS = (
    "10m_vs_11m", "27m_vs_30m", "2c_vs_64zg", "2s3z", "2s_vs_1sc", "3s5z", "3s5z_vs_3s6z", "3s_vs_5z",
    "bane_vs_bane", "corridor", "MMM", "MMM2",
)  # fmt: skip
# SMAX has its own versions of its maps (other ranges and speeds, no healers), and draws other types than SMACv2 from
# other places, so its figures are only a rough guide.
_SMAX_MAPS = (
    "3m", "2s3z", "25m", "3s5z", "8m", "5m_vs_6m", "10m_vs_11m", "27m_vs_30m", "3s5z_vs_3s6z", "3s_vs_5z", "6h_vs_8z",
)  # fmt: skip
#: The peers' maps, and their names for them.
PEER_MAPS = {
    "smaclite": {name: name for name in _SMACLITE_MAPS},
    "smaclite-cpp": {name: name for name in _SMACLITE_MAPS},
    "smax": {name: name for name in _SMAX_MAPS}
    | {name: f"smacv2_{n}_units" for n in (5, 10, 20) for name in task_names() if name.endswith(f"_{n}_vs_{n}")},
}
PEER_OPTIONS = ("--smaclite-python", "--smax-python")
WARM_UP_STEPS = 20
START_CODE = """
import time
start = time.perf_counter()
from dizoo.smac.battle import BattleEngine
imported = time.perf_counter()
engine = BattleEngine("MMM", 16)
engine.reset()
engine.step(engine.action_mask.argmax(axis=2))
print(imported - start, time.perf_counter() - start)
"""


def measure_ours(map_name: str, batch: int, threads: int, seconds: float, rules: str | None) -> dict[str, float]:
    """Measure our engine on one map, under its own rules by default.

    Returns:
        ``steps_per_s`` in wall time, ``steps_per_cpu_s`` in processor time of all threads, ``steps``, and
        ``bytes_per_battle``: size of the engine's arrays, divided by the number of battles.
    """
    engine = BattleEngine(map_name, batch, seed=0, rules=rules, num_threads=threads)
    engine.reset()
    rng = np.random.default_rng(0)
    wall = cpu = 0.0
    steps = -WARM_UP_STEPS
    while wall < seconds:
        actions = random_actions(engine.action_mask, rng)
        t, c = time.perf_counter(), time.process_time()
        engine.step(actions)
        over = np.flatnonzero(engine.terminated | engine.truncated)
        if len(over):
            engine.reset(over)
        steps += 1
        if steps > 0:
            wall += time.perf_counter() - t
            cpu += time.process_time() - c
    return {
        "batch": batch,
        "threads": threads,
        "steps": steps * batch,
        "steps_per_s": steps * batch / wall,
        "steps_per_cpu_s": steps * batch / cpu,
        "bytes_per_battle": array_bytes(engine) / batch,
    }


def measure_peer(peer: str, python: str, map_name: str, seconds: float) -> dict[str, Any]:
    """Measure another simulator in its own process, on one core; ``error`` in the result explains a failure."""
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    command = [python, str(SCRIPTS / "simulators.py"), peer, map_name, str(seconds)]
    return run_json(command, pin=peer == "smax", XLA_FLAGS=flags)  # XLA has no reliable switch for one thread


def measure_start() -> dict[str, float]:
    """Measure the seconds to the first step, with an empty and with a full cache of compiled code."""
    out = {}
    with tempfile.TemporaryDirectory() as cache:
        for kind in ("cold", "warm"):
            done = subprocess.run(
                [sys.executable, "-c", START_CODE],
                env={**os.environ, "NUMBA_CACHE_DIR": cache},
                capture_output=True,
                text=True,
                check=True,
            )
            imported, first_step = map(float, done.stdout.split()[-2:])
            out[f"{kind}_import_s"], out[f"{kind}_first_step_s"] = imported, first_step
    return out


def array_bytes(engine: BattleEngine) -> int:
    """Memory of an engine's state and outputs."""
    return sum(value.nbytes for value in vars(engine).values() if isinstance(value, np.ndarray))


def as_markdown(report: dict[str, Any]) -> str:
    """Format the report as a table with its conditions above it."""
    peers, cores, lines = report["peers"], report["machine"]["cores"], []
    for name, row in report["maps"].items():
        one, many = row["one_core"], row["all_cores"]
        speed = one["steps_per_cpu_s"]
        cells = [name, f"{speed:,.0f}", f"{1e6 / speed:.1f}", f"{many['steps_per_s']:,.0f}"]
        cells += [f"{many['steps_per_s'] / one['steps_per_s']:.2f}", f"{one['bytes_per_battle'] / 1024:.1f}"]
        for peer in peers:
            figure = row["peers"].get(peer, {}).get("steps_per_cpu_s")
            cells += [f"{figure:,.0f}", f"{speed / figure:,.0f}x"] if figure else ["-", "-"]
        lines.append(cells)
    names = ["map", "1 core", "us/step", f"{cores} cores", "scaling", "KiB/battle"]
    names += [name for peer in peers for name in (peer, "ratio")]
    rules = f"rules `{report['rules']}`" if report["rules"] else "each map's own rules"
    parts = [
        f"Environment steps per second, random available actions, batch {report['batch']}, {rules}, "
        f"all outputs and resets included.\n{conditions(report, 'numpy', 'numba')}\n"
        "1 core is per second of processor time; several cores by the clock. Ratios compare 1 core with 1 core.",
        table(names, lines),
    ]
    if start := report.get("start"):
        parts.append(
            f"From nothing to the first step: {start['cold_first_step_s']:.1f} s with nothing compiled yet, "
            f"{start['warm_first_step_s']:.1f} s afterwards ({start['warm_import_s']:.1f} s of it importing)."
        )
    return "\n\n".join(parts) + "\n"


def find_peers(args: argparse.Namespace) -> dict[str, str]:
    """Return the simulators that take part, and their Python."""
    found = {}
    for peer, module in PEERS.items():
        python = args.smax_python if peer == "smax" else args.smaclite_python
        if peer == "smaclite-cpp" and not args.smaclite_cpp:
            continue
        if python:
            found[peer] = python
        elif importlib.util.find_spec(module):
            found[peer] = sys.executable
    return found


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Speed and memory of the battle engine beside other simulators.")
    maps = [*map_names(), *task_names()]
    parser.add_argument("--maps", nargs="+", default=maps, metavar="MAP", help="default: SMAC's maps, SMACv2's tasks")
    parser.add_argument("--rules", help="rule profile of our side (default: each map's own)")
    parser.add_argument("--batch", type=int, default=256, help="battles in one call (default 256)")
    parser.add_argument("--seconds", type=float, default=3.0, help="timed seconds per figure (default 3)")
    parser.add_argument("--smaclite-python", metavar="PATH", help="a Python that has smaclite")
    parser.add_argument("--smaclite-cpp", action="store_true", help="also smaclite's C++ collision avoidance")
    parser.add_argument("--smax-python", metavar="PATH", help="a Python that has jaxmarl")
    parser.add_argument("--no-start", action="store_true", help="do not measure compile and start times")
    parser.add_argument(
        "--write", nargs="?", const="simulator", choices=("simulator", "simulator_smacv2"), metavar="NAME",
        help="write benchmark/results/NAME.json: simulator (default) or simulator_smacv2",
    )  # fmt: skip
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; write if requested."""
    args = parse_args(argv)
    peers = find_peers(args)
    here = {**machine(), **versions("numpy", "numba")}
    report: dict[str, Any] = {
        "command": typed("benchmark.speed.simulator", argv, dict.fromkeys(PEER_OPTIONS, "PYTHON")),
        "machine": here,
        "batch": args.batch,
        "rules": args.rules,
        "seconds": args.seconds,
        "peers": list(peers),
        "maps": {},
    }
    for name in args.maps:
        row: dict[str, Any] = {"one_core": measure_ours(name, args.batch, 1, args.seconds, args.rules), "peers": {}}
        for peer, python in peers.items():
            if name in PEER_MAPS[peer]:
                row["peers"][peer] = measure_peer(peer, python, PEER_MAPS[peer][name], args.seconds)
        row["all_cores"] = measure_ours(name, args.batch, here["cores"], args.seconds, args.rules)
        report["maps"][name] = row
        figures = [f"{peer} {r.get('steps_per_cpu_s', 0):,.0f}" if "error" not in r else f"{peer}: {r['error']}"
                   for peer, r in row["peers"].items()]  # fmt: skip
        ours = f"1 core {row['one_core']['steps_per_cpu_s']:,.0f}, all {row['all_cores']['steps_per_s']:,.0f}"
        print(f"{name}: {', '.join([ours, *figures])}", file=sys.stderr, flush=True)
    if not args.no_start:
        report["start"] = measure_start()
    print(as_markdown(report))
    if args.write:
        write_report(args.write, report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
