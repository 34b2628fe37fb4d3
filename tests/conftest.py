"""What several test files share: one thread each, small configs, and dimix run as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "2")
# jax compiles for seconds what a test runs a few times: without its optimizer, half as long.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")

import pytest
import torch

torch.set_num_threads(1)

REPO = Path(__file__).resolve().parent.parent

#: A zoo config made small enough to train for a few hundred steps in a second.
SHRINK = (
    "env.collector_env_num=4",
    "env.evaluator_env_num=4",
    "env.n_evaluator_episode=4",
    "env.jitter_eval.n_episode=2",
    "policy.model.hidden_size_list=[16]",
    "policy.model.mixer_embed_dim=8",
    "policy.model.hypernet_embed_dim=8",
    "policy.learn.update_per_collect=2",
    "policy.learn.batch_size=4",
    "policy.collect.n_episode=4",
    "policy.eval.evaluator.eval_freq=4",
    "policy.other.replay_buffer.replay_buffer_size=32",
    "run.tensorboard=False",
)


#: Files that take a minute and more. They start first, so that no process is left with one alone in the end.
LONG = (
    *("entry/test_multi_seed", "entry/test_kill_resume", "smax/test_smax_env", "win_rate/test_queue"),
    *("machine/test_signals", "check/test_games", "tests/test_docs", "entry/test_moved_runs"),
    *("tests/test_notebooks", "tests/test_wheel"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first."""
    items.sort(key=lambda item: not item.path.with_suffix("").as_posix().endswith(LONG))


def pytest_addoption(parser: pytest.Parser) -> None:
    """How many seeds a test that trains is run with."""
    parser.addoption("--training-seeds", type=int, default=1, help="seeds of each test that trains (tests/arithmetic)")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes ``training_seed`` trains with each of the seeds."""
    if "training_seed" in metafunc.fixturenames:
        metafunc.parametrize("training_seed", range(metafunc.config.getoption("--training-seeds")))


class Margin:
    """Asserts a threshold and writes down which share of it was used, for `tests.margins`."""

    def __init__(self, record: Callable[[str, object], None]) -> None:
        self._record = record

    def below(self, value: float, limit: float) -> None:
        """``0 <= value < limit``."""
        self._record("margin", float(value) / limit)
        assert value < limit

    def above(self, value: float, limit: float) -> None:
        """``value > limit > 0``."""
        self._record("margin", limit / float(value) if value > 0 else float("inf"))
        assert value > limit


@pytest.fixture
def margin(record_property: Callable[[str, object], None]) -> Margin:
    """Thresholds with a name of how near they were."""
    return Margin(record_property)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was skipped: one line for each reason."""
    reasons = [report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.getreports("skipped")]
    for reason, count in Counter(reasons).most_common():
        terminalreporter.write_line(f"{count} skipped: {reason}")


@pytest.fixture
def shrink() -> tuple[str, ...]:
    """Overrides that make a SMAC config small."""
    return SHRINK


@pytest.fixture
def game_config() -> Callable[..., tuple[dict[str, Any], dict[str, Any]]]:
    """Main and create config of a tiny training on a matrix game; keyword arguments replace branches of policy."""

    def make(**policy: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        branches = dict(
            model=dict(hidden_size_list=[8], mixer_embed_dim=4, hypernet_embed_dim=4),
            learn=dict(update_per_collect=2, batch_size=8),
            collect=dict(n_episode=8),
            eval=dict(evaluator=dict(eval_freq=10)),
        )
        main = dict(
            env=dict(map_name="two_step"), policy={**branches, **policy}, run=dict(env_step=400, tensorboard=False)
        )
        create = dict(
            env=dict(type="matrix_game", import_names=["dizoo.matrix_game.envs.matrix_game_env"]),
            policy=dict(type="qmix"),
        )
        return main, create

    return make


@pytest.fixture
def dimix(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line in a fresh process, in an empty folder."""

    def run(*args: str, timeout: float = 600, **options: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dimix", *map(str, args)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=timeout, **options)

    return run
