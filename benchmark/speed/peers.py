"""Runs programs of other codebases in their own processes, and names them in a report without this machine's paths."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmark import ROOT
from dimix.machine.cores import ONE_THREAD

SCRIPTS = ROOT / "benchmark" / "peers"


def run_json(command: Sequence[str], pin: bool = False, **environment: str) -> dict[str, Any]:
    """Run a program that prints its result as one line of JSON, on one thread.

    ``pin`` restricts it to one core, for programs without a reliable switch; ``environment`` adds variables. If it
    fails, the result has only ``error``.
    """
    if pin and hasattr(os, "sched_getaffinity"):
        command = ["taskset", "-c", str(min(os.sched_getaffinity(0))), *command]
    done = subprocess.run(command, env={**os.environ, **ONE_THREAD, **environment}, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return {"error": (done.stderr.strip().splitlines() or ["no output"])[-1]}
    return json.loads(lines[-1])


def typed(module: str, argv: Sequence[str] | None, paths: Mapping[str, str]) -> str:
    """Return the command ``python -m module argv`` as typed, with a word in place of each path.

    ``argv`` defaults to this process's; ``paths`` maps each option that takes a path to its word.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    shown = [paths.get(before, word) for before, word in zip(["", *words], words, strict=False)]
    return " ".join(["python -m", module, *shown])
