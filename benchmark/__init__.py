"""Measures what dimix can do: ``python -m benchmark -h`` from a clone."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Measured figures, tracked; the results page is generated from them alone.
RESULTS = ROOT / "benchmark" / "results"
#: Run folders and curves, untracked.
WORK = ROOT / "benchmark" / "work"
