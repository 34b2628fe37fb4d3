"""What each adapter costs beside the environment that it adapts, on one machine in one run.

``python benchmark/environments.py`` prints a table; ``--write`` puts it into ``benchmark/results/environments.md``, and
the raw figures beside it. Each row plays eight games in turn, with random joint actions:

- *bare*: the environment's own ``reset`` and ``step``, as its package documents them;
- *adapter*: the games as a batch in this process (``env.manager.type="base"``), everything included that a training
  step needs: arrays of observations, state and masks, checks, the record of actions;
- *processes*: the same games in as many processes as there are cores (``env.manager.type="subprocess"``).

Bare and adapter are timed in processor time, alternating in short rounds; the quickest round of each counts, the one
that other work disturbed least. The time through processes is wall time per game and step: what the hop to
another process costs, and what several cores give back.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from easydict import EasyDict

from dimix.config_schema import class_schema, defaults
from dimix.envs.game_env import GameEnv
from dimix.envs.vec_env import VecEnv
from dizoo.lbf.envs.lbf_env import LBFGame
from dizoo.petting_zoo.envs.petting_zoo_env import PettingZooGame

RESULTS = Path(__file__).resolve().parent / "results"
ROUNDS = 15
ROUND_S = 0.3  # processor seconds of each side per round
GAMES = 8


@dataclass(frozen=True)
class Case:
    """An environment, bare and adapted.

    Attributes:
        name: for the table.
        game: the adapter.
        env: keys of the config's ``env`` branch.
        bare: makes the bare environment's own loop: a function of a joint action and of the seed of the next episode,
            which is started when the one before is over.
    """

    name: str
    game: type[GameEnv]
    env: dict[str, Any]
    bare: Callable[[], Callable[[np.ndarray, int], None]]


@dataclass(frozen=True)
class Row:
    """Figures of one case, per step of one game."""

    name: str
    bare_us: float
    adapter_us: float
    lost: float  # share of the bare environment's throughput
    processes_us: float
    processes: int


def bare_lbf(env_id: str) -> Callable[[np.ndarray, int], None]:
    """The package's game without gymnasium's wrappers, as the adapter has it."""
    import gymnasium
    import lbforaging  # noqa: F401

    env: Any = gymnasium.make(env_id, disable_env_checker=True).unwrapped
    over = True

    def step(action: np.ndarray, seed: int) -> None:
        nonlocal over
        if over:
            env.reset(seed=seed)
        _, _, terminated, truncated, _ = env.step(action.tolist())
        over = terminated or truncated

    return step


def bare_petting_zoo(package: str, env_id: str) -> Callable[[np.ndarray, int], None]:
    """The package's parallel environment."""
    import importlib

    env = importlib.import_module(f"{package}.{env_id}").parallel_env()
    agents = env.possible_agents
    over = True

    def step(action: np.ndarray, seed: int) -> None:
        nonlocal over
        if over:
            env.reset(seed=seed)
        env.step(dict(zip(agents, action.tolist(), strict=True)))
        over = not env.agents

    return step


def _pz(family: str, package: str, env_id: str) -> Case:
    env = dict(env_family=family, env_id=env_id)
    return Case(f"{env_id} ({family})", PettingZooGame, env, lambda: bare_petting_zoo(package, env_id))


def _lbf(env_id: str) -> Case:
    return Case(env_id, LBFGame, dict(env_id=env_id), lambda: bare_lbf(env_id))


CASES = [
    _lbf("Foraging-8x8-2p-2f-v3"),
    _lbf("Foraging-2s-10x10-4p-2f-v3"),
    _pz("mpe", "mpe2", "simple_spread_v3"),
    _pz("mpe", "mpe2", "simple_speaker_listener_v4"),
    _pz("sisl", "pettingzoo.sisl", "pursuit_v5"),
]


def make(case: Case, num_envs: int, **manager: Any) -> VecEnv:
    """The adapter's batch."""
    cfg = EasyDict(defaults(class_schema(case.game)))
    cfg.update(case.env)
    cfg.manager.update(manager)
    return case.game.create(cfg, "collect", num_envs, seed=0)


def measure(case: Case, rounds: int = ROUNDS, round_s: float = ROUND_S) -> Row:
    """Time one case."""
    env, bare, rng = make(case, GAMES, type="base"), [case.bare() for _ in range(GAMES)], np.random.default_rng(0)
    env.reset()
    counts = env.action_mask[0].sum(-1)

    def actions(steps: int) -> np.ndarray:
        return rng.integers(0, counts, (steps // GAMES, GAMES, len(counts)))

    def play_bare(played: np.ndarray) -> None:
        for t, actions_of_all in enumerate(played):
            for step, action in zip(bare, actions_of_all, strict=True):
                step(action, t)

    def play_adapter(played: np.ndarray) -> None:
        for action in played:
            _advance(env, action)

    steps = max(1, int(round_s / _seconds(play_bare, actions(80)) * 80 / GAMES)) * GAMES
    times = []
    for _ in range(rounds):
        played = actions(steps)
        times.append((_seconds(play_bare, played) / steps, _seconds(play_adapter, played) / steps))
    env.close()
    bare_us, adapter_us = (1e6 * min(side) for side in zip(*times, strict=True))
    processes_us, count = _through_processes(case, counts, rng, round_s)
    return Row(case.name, bare_us, adapter_us, 1 - bare_us / adapter_us, processes_us, count)


def _seconds(play: Callable[[np.ndarray], None], played: np.ndarray) -> float:
    start = time.process_time()
    play(played)
    return time.process_time() - start


def _advance(env: VecEnv, action: np.ndarray) -> None:
    """One step of all games, and a new episode where one is over."""
    env.step(action)
    over = np.flatnonzero(env.terminated | env.truncated)
    if len(over):
        env.reset(over)


def _through_processes(case: Case, counts: np.ndarray, rng: np.random.Generator, round_s: float) -> tuple[float, int]:
    env = make(case, GAMES, type="subprocess")
    env.reset()
    rounds, start = [], time.perf_counter()
    while time.perf_counter() - start < 10 * round_s or len(rounds) < 20:
        action = rng.integers(0, counts, (GAMES, len(counts)))
        before = time.perf_counter()
        _advance(env, action)
        rounds.append(time.perf_counter() - before)
    env.close()
    return 1e6 * statistics.mean(rounds) / GAMES, min(GAMES, len(os.sched_getaffinity(0)))


def table(rows: list[Row]) -> str:
    """The figures as Markdown."""
    lines = [
        f"Microseconds per step of one game; processes: {GAMES} games in {rows[0].processes}, wall time.",
        "",
        "| environment | bare | adapter | lost | processes |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for r in rows:
        lines.append(f"| {r.name} | {r.bare_us:.0f} | {r.adapter_us:.0f} | {r.lost:.1%} | {r.processes_us:.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure all cases."""
    parser = argparse.ArgumentParser(description="Adapters beside the environments that they adapt.")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--write", action="store_true", help="write benchmark/results/environments.{json,md}")
    args = parser.parse_args()
    rows = []
    for case in CASES:
        if args.only in case.name:
            rows.append(measure(case))
            print(table(rows[-1:]).splitlines()[-1], flush=True)
    print(table(rows))
    if args.write:
        machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
        content = {"python": platform.python_version(), "machine": machine, "rows": [asdict(r) for r in rows]}
        (RESULTS / "environments.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")
        (RESULTS / "environments.md").write_text(table(rows) + "\n", "utf-8")


if __name__ == "__main__":
    main()
