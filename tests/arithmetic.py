"""Is a green suite luck of this processor's rounding? The suite again, with other arithmetic and other seeds.

    python -m tests.arithmetic            # the whole suite in each kind of arithmetic, training tests with 20 seeds
    python -m tests.arithmetic --quick    # what CI runs: tests that compute and train, in the one that differs most

It ends with a table: what failed where, and the tests that came closest to their limit (1 is the limit).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.arithmetic import KINDS

QUICK_KINDS, QUICK_SEEDS = ("oldest",), 2
QUICK_TESTS = ("tests/dimix/check", "tests/dimix/model", "tests/dimix/policy")
CLOSE = 0.5  # share of a tolerance from which a test is listed


@dataclass
class Outcome:
    """What one run of the suite found.

    Attributes:
        kind: name of the arithmetic.
        seconds: it took.
        counts: tests by outcome.
        failed: names of tests.
        margins: largest share of its tolerance that each test took, by name.
        status: exit status of pytest.
    """

    kind: str
    seconds: float
    status: int
    counts: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    margins: dict[str, float] = field(default_factory=dict)


def run(kind: str, arguments: Sequence[str], report: Path) -> Outcome:
    """Run pytest in one kind of arithmetic."""
    started = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-p", "tests.margins", "-q", "-n", "auto", "--maxprocesses", "4"]
    command += ["--dist", "loadfile", "--no-loadscope-reorder", f"--junitxml={report}", *arguments]
    status = subprocess.run(command, env={**os.environ, **KINDS[kind]}).returncode
    outcome = Outcome(kind, time.monotonic() - started, status)
    if report.exists():
        read_report(report, outcome)
    return outcome


def read_report(report: Path, outcome: Outcome) -> None:
    """Add what a JUnit report tells to an outcome."""
    for case in ET.parse(report).iter("testcase"):
        name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
        broken = case.find("failure") is not None or case.find("error") is not None
        what = "failed" if broken else "skipped" if case.find("skipped") is not None else "passed"
        outcome.counts[what] = outcome.counts.get(what, 0) + 1
        if broken:
            outcome.failed.append(name)
        shares = [float(p.get("value", 0)) for p in case.iter("property") if p.get("name") == "margin"]
        if shares:
            outcome.margins[name] = max(shares)


def table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """The lines that the script ends with."""
    for o in outcomes:
        counts = ", ".join(f"{o.counts.get(what, 0)} {what}" for what in ("failed", "passed", "skipped"))
        yield f"{o.kind:<10} {counts}, {o.seconds:.0f} s"
        yield from (f"{'':<10} FAILED {name}" for name in o.failed)
    closest = sorted(((share, name, o.kind) for o in outcomes for name, share in o.margins.items()), reverse=True)
    worst: dict[str, tuple[float, str]] = {}
    for share, name, kind in closest:
        worst.setdefault(name, (share, kind))
    yield f"closest to their limit ({CLOSE:g} and more; 1 is the limit):"
    near = [(name, share, kind) for name, (share, kind) in worst.items() if share >= CLOSE]
    yield from (f"  {share:.2f}  {kind:<10} {name}" for name, share, kind in near)
    if not near:
        yield "  none"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the kinds one after the other; 1 when a test failed in any."""
    parser = argparse.ArgumentParser(prog="python -m tests.arithmetic", description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, help="which arithmetic; default: all")
    parser.add_argument("--seeds", type=int, help="seeds of each training test; default: 20")
    parser.add_argument("--quick", action="store_true", help="a subset in a few minutes")
    options, rest = parser.parse_known_args(arguments)
    kinds = options.kinds or (QUICK_KINDS if options.quick else list(KINDS))
    seeds = options.seeds or (QUICK_SEEDS if options.quick else 20)
    tests = [f"--training-seeds={seeds}", *(QUICK_TESTS if options.quick else ()), *rest]
    with tempfile.TemporaryDirectory() as folder:
        outcomes = [run(kind, tests, Path(folder) / f"{i}.xml") for i, kind in enumerate(kinds)]
    print("\n" + "\n".join(table(outcomes)))
    return int(any(o.status for o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
