"""Measures what dimix can do: ``python -m benchmark -h`` from a clone."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Measured figures, tracked; the results page is generated from them alone.
RESULTS = ROOT / "benchmark" / "results"
#: Run folders and curves, untracked.
WORK = ROOT / "benchmark" / "work"
#: Configs of the SMAC maps, from anywhere.
ZOO = "dizoo/smac/config"
#: How the zoo's files spell maps for which DI-engine has its own spelling.
FILE_NAMES = {
    "10m_vs_11m": "10m11m",
    "27m_vs_30m": "27m30m",
    "2c_vs_64zg": "2c64zg",
    "3s5z_vs_3s6z": "3s5z3s6z",
    "5m_vs_6m": "5m6m",
    "8m_vs_9m": "8m9m",
}


def zoo_file(map_name: str, policy: str) -> str:
    """Return the config of a map and policy, as `dimix.config.file.find_config` takes it; it may not exist."""
    return f"{ZOO}/smac_{FILE_NAMES.get(map_name, map_name)}_{policy}_config.py"
