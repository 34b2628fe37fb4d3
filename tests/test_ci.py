"""What holds the tests themselves together: extras that every pip finds, and skips that are counted aloud."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
SKIPPING = """
import pytest

@pytest.mark.parametrize("n", range(3))
def test_page(n):
    pytest.skip("no chromium")

@pytest.mark.skipif(True, reason="needs the extra wandb")
def test_wandb():
    raise AssertionError

def test_other():
    pass
"""


@pytest.fixture
def extras(monkeypatch) -> dict[str, list[str]]:
    """``extras_require`` of setup.py."""
    told = {}
    monkeypatch.setattr("setuptools.setup", lambda **options: told.update(options))
    runpy.run_path(str(REPO / "setup.py"))
    return told["extras_require"]


def named_extras() -> set[str]:
    """Extras that messages, pages and the Makefile tell to install."""
    sources = [p for folder in ("dimix", "dizoo", "docs") for p in sorted((REPO / folder).rglob("*.[pm][yd]"))]
    texts = [path.read_text("utf-8") for path in (*sources, REPO / "README.md", REPO / "Makefile")]
    groups = [group for text in texts for group in re.findall(r"(?:dimix|-e '\.)\[([\w\-,]+)\]", text)]
    return {name for group in groups for name in group.split(",")}


def test_extras_that_are_told_exist_under_a_name_that_every_pip_finds(extras):
    """Older pips look for a name as typed, newer ones for `petting-zoo`: without separators both are the same."""
    named = named_extras()
    assert {"pettingzoo", "wandb", "plot"} <= named <= extras.keys()
    assert [name for name in named if not name.isalnum()] == []


def test_the_old_spelling_of_an_extra_installs_the_same(extras):
    assert extras["petting_zoo"] == extras["pettingzoo"] == ["pettingzoo>=1.24", "gymnasium>=0.29"]


def test_what_was_skipped_is_counted_by_reason(tmp_path):
    shutil.copy(REPO / "tests/conftest.py", tmp_path)
    (tmp_path / "test_it.py").write_text(SKIPPING)
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    said = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True).stdout
    assert "3 skipped: no chromium\n1 skipped: needs the extra wandb\n" in said
    assert "1 passed, 4 skipped" in said
