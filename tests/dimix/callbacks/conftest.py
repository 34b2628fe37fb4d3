"""The table that a run writes."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest


@pytest.fixture
def rows_of():
    """Function ``rows_of(folder)``: the rows of the CSV without its columns of speed."""

    def rows(folder) -> list[dict[str, str]]:
        with open(Path(folder) / "log/metrics.csv", newline="") as file:
            return [{k: v for k, v in row.items() if not k.startswith("speed/")} for row in csv.DictReader(file)]

    return rows
