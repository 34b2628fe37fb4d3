"""What dimix can do, measured: ``python -m benchmark -h`` from a clone."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Measured figures, tracked: the page of tables is made of them and of nothing else.
RESULTS = ROOT / "benchmark" / "results"
#: Run folders and curves, not tracked.
WORK = ROOT / "benchmark" / "work"
