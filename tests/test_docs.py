"""The documentation tells the truth: its code runs, its commands exist, its generated page is current."""

from __future__ import annotations

import csv
import importlib
import inspect
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import pytest
from click.testing import CliRunner

from dimix.callbacks import Callback
from dimix.cli import command
from dimix.config.file import find_config
from dimix.config.page import page
from dimix.machine.checkpoint_file import load_checkpoint
from dimix.policy import QMIXPolicy

REPO = Path(__file__).resolve().parent.parent
PAGES = [REPO / "README.md", *sorted((REPO / "docs").glob("*.md")), *sorted((REPO / "benchmark").rglob("*.md"))]


def blocks(path: Path) -> dict[str, str]:
    """Code blocks of a page by the file name that stands above them."""
    return dict(re.findall(r"`(\w+\.py)`[^\n]*:\n\n```python\n(.*?)```", path.read_text("utf-8"), re.DOTALL))


def commands() -> list[tuple[str, str]]:
    found = []
    for path in PAGES:
        for block in re.findall(r"```(?:bash|sh)?\n(.*?)```", path.read_text("utf-8"), re.DOTALL):
            found += [(path.name, line) for line in block.splitlines() if line.startswith("dimix ")]
    return found


def test_extending_page_trains_through_the_command_line(tmp_path, dimix, shrink):
    files = blocks(REPO / "docs/extending.md")
    assert files.keys() == {"my_qmix.py", "my_config.py", "my_callback.py"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    small = [a for o in shrink for a in ("-o", o)]
    watch = ("-o", "create_config.callback.import_names=['my_callback']", "-o", "run.callbacks.watch.hours=8")
    done = dimix("-m", "serial", "-c", "my_config.py", "-s", 0, "--env-step", 400, *small, *watch)
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "my_result/seed0/log/metrics.csv", newline="") as file:
        assert any(float(row["train/weight_norm"] or 0) > 0 for row in csv.DictReader(file))
    assert "cautious_qmix on smac 3m, seed 0" in done.stdout
    model = load_checkpoint(tmp_path / "my_result/seed0/ckpt/final.pth.tar")["rooms"]["policy"]["learn"]["model"]
    assert {name for name in model if name.startswith("mixer.")} == {
        f"mixer.{part}" for part in ("weight.weight", "weight.bias", "value.weight", "value.bias")
    }
    played = dimix("-m", "eval", "--load-path", "my_result/seed0/ckpt/final.pth.tar", "-n", 4)
    assert played.returncode == 0, played.stderr
    assert re.search(r"nominal start: won \d of 4 games", played.stdout)
    wrong = dimix("-m", "serial", "-c", "my_config.py", "-o", "policy.learn.overestimation_weight=2")
    assert "policy.learn.overestimation_weight (in -o): 2 is out of range. Use a float >= 0 and <= 1." in wrong.stderr
    wrong = dimix("-m", "serial", "-c", "my_config.py", "-o", "policy.model.least_weight=-1")
    assert "policy.model.least_weight (in -o): -1 is out of range. Use a float >= 0." in wrong.stderr


@pytest.mark.parametrize(("name", "said"), [("play.py", "won: True"), ("alone.py", "return: 20.00")])
def test_examples_of_the_teams_page_win(name, said, tmp_path):
    (tmp_path / name).write_text(blocks(REPO / "docs/teams.md")[name])
    done = subprocess.run([sys.executable, name], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


def test_adapter_of_the_environments_page_learns(tmp_path, dimix):
    files = blocks(REPO / "docs/environments.md")
    assert files.keys() == {"meeting.py", "my_env.py", "my_env_config.py"}
    assert len(files["my_env.py"].splitlines()) <= 40
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    done = dimix("-m", "serial", "-c", "my_env_config.py", "-s", 0, "-o", "run.tensorboard=False", timeout=600)
    assert done.returncode == 0, done.stderr
    assert "qmix on meeting meeting, seed 0" in done.stdout and "greedy return" in done.stdout
    result = json.loads((tmp_path / "my_env_result/seed0/result.json").read_text())
    assert result["reason"] == "stop_value"  # a mean return of 1.9 of 2
    wrong = dimix("-m", "serial", "-c", "my_env_config.py", "-o", "env.cells=1")
    assert "env.cells (in -o): 1 is out of range. Use an int >= 2." in wrong.stderr


def test_extending_page_lists_methods_that_exist():
    text = (REPO / "docs/extending.md").read_text("utf-8")
    named = set(re.findall(r"`(_\w+|default_model)(?:\([^`]*\))?`", text))
    assert named and all(hasattr(QMIXPolicy, name) for name in named)


def test_extending_page_lists_moments_that_exist():
    text = (REPO / "docs/extending.md").read_text("utf-8").partition("## Callbacks")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(\w+)\([^`]*\)`", text)) - {"serial_pipeline"}
    moments = {name for name in vars(Callback) if name.startswith("on_")}
    assert named == moments | {"stop_reason", "state_dict", "load_state_dict"}


def test_config_page_is_current():
    assert (REPO / "docs/config.md").read_text("utf-8") == page(), "run: python -m dimix.config.page > docs/config.md"


@pytest.mark.parametrize(("source", "line"), commands(), ids=lambda v: v[:60])
def test_commands_in_the_docs_are_right(source, line):
    """Every option is known, and every zoo file named is there."""
    words = shlex.split(line.split("#")[0])[1:]
    context = command.make_context("dimix", list(words), resilient_parsing=False)
    config = context.params["config"]
    if config and config.startswith("dizoo/"):
        assert find_config(config).is_file()


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_links_between_pages_lead_somewhere(path):
    """To a file that is there, and to a heading that it has."""
    for target, heading in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", path.read_text("utf-8")):
        linked = path.parent / target if target else path
        assert linked.exists(), target
        assert not heading or linked.suffix != ".md" or heading in headings(linked), f"{target}#{heading}"


def headings(path: Path) -> set[str]:
    """Names under which a page's headings are linked."""
    found = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in found}


def test_help_shows_the_example_of_the_readme():
    example = "dimix -m serial -c dizoo/smac/config/smac_MMM_qmix_config.py -s 0"
    assert example in CliRunner().invoke(command, ["-h"]).output
    assert example in (REPO / "README.md").read_text("utf-8")


def modules() -> list[str]:
    files = [p.relative_to(REPO).with_suffix("") for name in ("dimix", "dizoo") for p in (REPO / name).rglob("*.py")]
    zoo = [f for f in files if f.parts[0] == "dizoo" and f.parent.name == "config"]
    return [".".join(f.parts) for f in files if f.name not in ("__init__", "__main__") and f not in zoo]


@pytest.mark.parametrize("name", modules())
def test_public_methods_have_a_docstring_of_their_own_or_of_a_base(name):
    module = importlib.import_module(name)
    for cls in vars(module).values():
        if inspect.isclass(cls) and cls.__module__ == name and not cls.__name__.startswith("_"):
            kinds = (FunctionType, classmethod, staticmethod)  # properties: the class lists its attributes
            methods = [key for key, f in vars(cls).items() if isinstance(f, kinds) and not key.startswith("_")]
            methods = [key for key in methods if getattr(getattr(cls, key), "__name__", "") != "<lambda>"]
            assert not [key for key in methods if not inspect.getdoc(getattr(cls, key))], cls
