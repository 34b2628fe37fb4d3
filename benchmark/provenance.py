"""What a figure was made with: code, packages, machine. Imports nothing that a measurement would notice."""

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

CODE = ("dimix", "dizoo")  # what decides a training's course


def machine() -> dict[str, Any]:
    """Processor, cores that this process may use, memory, system, load now."""
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
    """Versions of Python and of installed packages, which are not imported for it."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}}


def revision() -> str | None:
    """Git revision of this checkout, with ``+`` when its code differs from it; None outside git."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", *CODE)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + "+" * bool(changed)


def conditions(report: Mapping[str, Any], *packages: str) -> str:
    """What a report was measured with: its machine, versions and command."""
    m = report["machine"]
    made = ", ".join(f"{name} {m[name]}" for name in packages)
    return (
        f"{m['cpu']}, {m['cores']} cores, load {m['load']} at the start; Python {m['python']}, {made}. "
        f"Command: `{report['command']}`"
    )


def write_report(name: str, report: Any) -> None:
    """Keep measured figures as ``benchmark/results/<name>.json``; `python -m benchmark report` makes tables of them."""
    (RESULTS / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()
