"""What a figure was measured with: code, packages, machine. Imports nothing that would affect a measurement."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmark import RESULTS, ROOT
from dimix.machine.cores import usable_cores

CODE = ("dimix", "dizoo")  # the code that affects training


def machine() -> dict[str, Any]:
    """Return processor, cores available to this process, memory, system and current load."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else None
    return {
        "cpu": names[0] if names else platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "memory_gb": memory and round(memory / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "load": round(os.getloadavg()[0], 2),
    }


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python and of installed packages, without importing them."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}}


def revision() -> str | None:
    """Return this checkout's git revision, with ``+`` if its code differs from it; None outside git."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", *CODE)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + "+" * bool(changed)


def conditions(report: Mapping[str, Any], *packages: str) -> str:
    """Describe what a report was measured with: its machine, versions and command."""
    m = report["machine"]
    made = ", ".join(f"{name} {m[name]}" for name in packages)
    return (
        f"{m['cpu']}, {m['cores']} cores, load {m['load']} at the start; Python {m['python']}, {made}. "
        f"Command: `{report['command']}`"
    )


def write_report(name: str, report: Any) -> None:
    """Write measured figures to ``benchmark/results/<name>.json``, the input of `python -m benchmark report`."""
    (RESULTS / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()
