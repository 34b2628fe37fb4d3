"""Checks the battle engine against its reference: replays a game recorded by SMAClite."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def recorded_battle(folder: Path | None = None) -> tuple[bool, str]:
    """Run the engine's own verifier on a folder of traces (None: those shipped with it).

    It runs in its own process, because the engine is a package that does not depend on dimix.
    """
    command = [sys.executable, "-m", "dizoo.smac.battle.recording.verify", *([str(folder)] if folder else [])]
    done = subprocess.run(command, capture_output=True, text=True)
    said = (done.stdout or done.stderr).strip().splitlines() or ["it said nothing"]
    failed = [line for line in said if line.startswith("FAIL")]
    return done.returncode == 0, (failed[0] if failed else said[-1])[:30]
