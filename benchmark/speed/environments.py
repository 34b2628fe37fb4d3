"""What each adapter costs over the environment that it adapts, on one machine in one run.

``python -m benchmark.speed.environments`` prints a table; ``--write`` stores the figures in
``benchmark/results/environments.json``. Environments whose package is missing are skipped, and a line says so. Each row
plays several games in turn, with random available actions:

- *bare*: the environment's own ``reset`` and ``step``, as its package documents them;
- *adapter*: the same games as a batch in this process (``env.manager.type="base"``), including everything that a
  training step needs: arrays of observations, state and masks, checks, the record of actions;
- *processes*: such games in one process per core (``env.manager.type="subprocess"``).

Bare and adapter alternate in short rounds and play the same games in each round (same seeds, same actions). Figures are
medians over rounds, in processor time; through processes, in wall time per step of one game. In the row *still*,
nothing happens in the game, so its time through processes is the cost of communication alone.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from easydict import EasyDict

from benchmark import markdown
from benchmark.provenance import machine, revision, versions, write_report
from benchmark.speed.still_game import StillGame
from dimix.config.schema import class_schema, defaults
from dimix.envs.games.vec_env import episode_seed
from dimix.envs.packages import Package
from dimix.envs.vec_env import VecEnv
from dimix.machine.cores import usable_cores
from dizoo.lbf.envs.lbf_env import LBFGame
from dizoo.petting_zoo.envs.petting_zoo_env import FAMILIES, PettingZooGame
from dizoo.smac.envs.games.smaclite_game import SMACLITE
from dizoo.smac.envs.smac_env import SMACEnv
from dizoo.smax.envs.smax_env import JAXMARL, SMAXEnv

ROUNDS = 15
ROUND_S = 0.3  # processor seconds of each side per round
SEED = 0

#: Steps all games: takes their actions (E, A); starts the next episode of games that are over.
Play = Callable[[np.ndarray], None]


@dataclass(frozen=True)
class Case:
    """An environment, bare and adapted.

    Attributes:
        name: for the table.
        env_class: the adapter.
        env: keys of the config's ``env`` branch.
        bare: creates the bare environment's own loop from the seeds of each game's episodes.
        package: the package that the environment needs, or None.
        games: games in turn (E).
        processes: whether games can run in processes.
    """

    name: str
    env_class: Any
    env: dict[str, Any]
    bare: Callable[[Sequence[Iterator[int]]], Play]
    package: Package | None
    games: int = 8
    processes: bool = True


@dataclass(frozen=True)
class Row:
    """Figures of one case, microseconds per step of one game.

    Attributes:
        lost: share of the bare environment's throughput that is lost; median over rounds.
        lost_quartiles: its quartiles.
        processes_us: None if games cannot run in processes.
    """

    name: str
    games: int
    bare_us: float
    adapter_us: float
    lost: float
    lost_quartiles: tuple[float, float]
    processes_us: float | None
    processes: int


def _each(make: Callable[[], Callable[[np.ndarray, Iterator[int]], None]]) -> Callable[[Sequence[Iterator[int]]], Play]:
    def bare(seeds: Sequence[Iterator[int]]) -> Play:
        steps = [make() for _ in seeds]

        def play(actions: np.ndarray) -> None:
            for step, action, seed in zip(steps, actions, seeds, strict=True):
                step(action, seed)

        return play

    return bare


def bare_lbf(env_id: str) -> Callable[[np.ndarray, Iterator[int]], None]:
    """The package's game without gymnasium's wrappers, as the adapter uses it."""
    import gymnasium

    importlib.import_module("lbforaging")

    env: Any = gymnasium.make(env_id, disable_env_checker=True).unwrapped
    over = True

    def step(action: np.ndarray, seeds: Iterator[int]) -> None:
        nonlocal over
        if over:
            for player in env.players:
                player.position = None  # like the adapter, so that both play the same games
            env.reset(seed=next(seeds))
        _, _, terminated, truncated, _ = env.step(action.tolist())
        over = terminated or truncated

    return step


def bare_petting_zoo(package: str, env_id: str) -> Callable[[np.ndarray, Iterator[int]], None]:
    """The package's parallel environment."""
    env = importlib.import_module(f"{package}.{env_id}").parallel_env()
    agents = env.possible_agents
    over = True

    def step(action: np.ndarray, seeds: Iterator[int]) -> None:
        nonlocal over
        if over:
            env.reset(seed=next(seeds))
        env.step(dict(zip(agents, action.tolist(), strict=True)))
        over = not env.agents

    return step


def bare_smaclite(map_name: str) -> Callable[[np.ndarray, Iterator[int]], None]:
    """SMAClite with what its own training loops read at every step: state and available actions."""
    import gymnasium

    importlib.import_module("smaclite")

    env: Any = gymnasium.make(f"smaclite/{map_name}-v0", disable_env_checker=True).unwrapped
    limit = SMACEnv.describe(_config(SMACEnv, dict(map_name=map_name))).episode_limit
    steps = limit

    def step(action: np.ndarray, seeds: Iterator[int]) -> None:
        nonlocal steps
        if steps == limit:
            env.last_actions = np.zeros_like(env.last_actions)  # like the adapter, so that both play the same games
            env.reset(seed=next(seeds))
            env.get_state(), env.get_avail_actions()
            steps = 0
        _, _, terminated, _, _ = env.step(action.tolist())
        env.get_state(), env.get_avail_actions()
        steps = limit if terminated else steps + 1

    return step


def bare_smax(map_name: str) -> Callable[[Sequence[Iterator[int]]], Play]:
    """JaxMARL's vectorisation with its own automatic reset; the time of a step does not depend on the game."""

    def bare(seeds: Sequence[Iterator[int]]) -> Play:
        import jax
        from jaxmarl.environments.smax import HeuristicEnemySMAX, map_name_to_scenario

        env = HeuristicEnemySMAX(scenario=map_name_to_scenario(map_name), max_steps=100)
        keys = jax.numpy.stack([jax.random.PRNGKey(next(seed)) for seed in seeds])
        _, state = jax.jit(jax.vmap(env.reset))(keys)
        # Types as returned by a step: those of `reset` would compile everything twice.
        state = jax.tree.map(lambda leaf: jax.lax.convert_element_type(leaf, leaf.dtype), state)

        def one(key: Any, state: Any, action: Any) -> Any:
            key, now = jax.random.split(key)
            obs, state, reward, done, _ = env.step(now, state, dict(zip(env.agents, action, strict=True)))
            return key, state, (obs, reward, done, env.get_avail_actions(state))

        step = jax.jit(jax.vmap(one))
        game = [keys, state]

        def play(actions: np.ndarray) -> None:
            *game[:], shown = step(*game, actions.astype(np.int32))
            jax.block_until_ready(shown)

        return play

    return bare


def _pz(family: str, env_id: str) -> Case:
    package = FAMILIES[family]
    env = dict(env_family=family, env_id=env_id)
    bare = _each(lambda: bare_petting_zoo(package.module, env_id))
    return Case(f"{env_id} ({family})", PettingZooGame, env, bare, package)


def _lbf(env_id: str) -> Case:
    return Case(env_id, LBFGame, dict(env_id=env_id), _each(lambda: bare_lbf(env_id)), LBFGame.packages[0])


CASES = [
    _lbf("Foraging-8x8-2p-2f-v3"),
    _lbf("Foraging-2s-10x10-4p-2f-v3"),
    _pz("mpe", "simple_spread_v3"),
    _pz("mpe", "simple_speaker_listener_v4"),
    _pz("sisl", "pursuit_v5"),
    Case(
        "2s3z (smaclite)", SMACEnv, dict(map_name="2s3z", backend="smaclite"), _each(lambda: bare_smaclite("2s3z")),
        SMACLITE,
    ),
    Case("2s3z (smax)", SMAXEnv, dict(map_name="2s3z"), bare_smax("2s3z"), JAXMARL, games=32, processes=False),
]  # fmt: skip
STILL = Case("still", StillGame, {}, _each(lambda: lambda action, seeds: None), None)


def _config(env_class: Any, env: dict[str, Any]) -> EasyDict:
    cfg = EasyDict(defaults(class_schema(env_class)))
    cfg.update(env)
    return cfg


def make(case: Case, manager: str) -> VecEnv:
    """Create the adapter's batch; ``manager`` sets where its games run, if it has any."""
    cfg = _config(case.env_class, case.env)
    if "manager" in cfg:
        cfg.manager.type = manager
    return case.env_class.create(cfg, "collect", case.games, SEED)


def seeds_of(game: int) -> Iterator[int]:
    """Return the seeds of the episodes that a game of the adapter plays."""
    episode = 0
    while True:
        yield episode_seed(SEED, game, episode)
        episode += 1


def random_actions(env: VecEnv, rng: np.random.Generator) -> np.ndarray:
    """Draw (E, A) available actions."""
    return (rng.random(env.action_mask.shape) * env.action_mask).argmax(-1)


def advance(env: VecEnv, action: np.ndarray) -> None:
    """Step all games, and start a new episode in those that are over."""
    env.step(action)
    over = np.flatnonzero(env.terminated | env.truncated)
    if len(over):
        env.reset(over)


def measure(case: Case, rounds: int = ROUNDS, round_s: float = ROUND_S) -> Row:
    """Time one case."""
    env, rng = make(case, "base"), np.random.default_rng(SEED)
    bare = case.bare([_ahead(seeds_of(game)) for game in range(case.games)])
    env.reset()
    clock = time.process_time

    def play(steps: int) -> tuple[float, float]:
        """Seconds that the bare environment and the adapter take for this many steps of all games."""
        adapter_s, played = 0.0, []
        for _ in range(steps):
            played.append(random_actions(env, rng))  # choosing is not part of an environment
            start = clock()
            advance(env, played[-1])
            adapter_s += clock() - start
        start = clock()
        for action in played:
            bare(action)
        return clock() - start, adapter_s

    play(3)  # compiles, and fills caches
    warm_s = max(play(5)) / 5
    steps = max(5, int(round_s / warm_s))
    times = np.array([play(steps) for _ in range(rounds)]) / (steps * case.games)
    env.close()
    bare_us, adapter_us = 1e6 * np.median(times, 0)
    low, lost, high = np.quantile(1 - times[:, 0] / times[:, 1], (0.25, 0.5, 0.75))
    processes_us, count = _through_processes(case, rng, 10 * round_s) if case.processes else (None, 1)
    return Row(case.name, case.games, bare_us, adapter_us, lost, (low, high), processes_us, count)


def _ahead(seeds: Iterator[int], count: int = 10_000) -> Iterator[int]:
    """Draw the first seeds now, so that the bare environment is not charged for them."""
    return iter([next(seeds) for _ in range(count)])


def _through_processes(case: Case, rng: np.random.Generator, seconds: float) -> tuple[float, int]:
    """Measure wall time per step of one game (median); returns it and the number of processes."""
    env = make(case, "subprocess")
    env.reset()
    times, start = list[float](), time.perf_counter()
    while time.perf_counter() - start < seconds or len(times) < 20:
        action = random_actions(env, rng)
        before = time.perf_counter()
        advance(env, action)
        times.append(time.perf_counter() - before)
    env.close()
    return 1e6 * float(np.mean(times)) / case.games, min(case.games, usable_cores())


def as_markdown(report: dict[str, Any]) -> str:
    """Format the figures with their conditions above them."""
    made = f"{report['machine']['cpu']}; {report['rounds']} rounds of {report['round_s']} processor seconds a side."
    return f"{made}\n\n{table([Row(**row) for row in report['rows']])}"


def table(rows: Sequence[Row]) -> str:
    """Format the figures as Markdown."""
    lines = []
    for r in rows:
        low, high = r.lost_quartiles
        lost = f"{r.lost:.1%} ({low:.1%} to {high:.1%})" if r.bare_us > 1 else ""
        processes = "" if r.processes_us is None else f"{r.processes_us:.0f}"
        lines.append([r.name, str(r.games), f"{r.bare_us:.1f}", f"{r.adapter_us:.1f}", lost, processes])
    head = f"Microseconds per step of one game. Processes: {rows[0].processes} of them, wall time."
    names = ("environment", "games", "bare", "adapter", "lost (quartiles)", "processes")
    return f"{head}\n\n{markdown.table(names, lines)}"


def main() -> None:
    """Measure all cases."""
    parser = argparse.ArgumentParser(description="Adapters beside the environments that they adapt.")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--write", action="store_true", help="write benchmark/results/environments.json")
    args = parser.parse_args()
    rows, packages = [], set()
    for case in [*CASES, STILL]:
        if args.only not in case.name:
            continue
        if case.package and not case.package.installed:
            print(f"{case.name} is left out: {case.package.module} is not installed. {case.package.install}")
            continue
        rows.append(measure(case))
        print(table(rows[-1:]).splitlines()[-1], flush=True)
        if case.package:
            packages.add(case.package.module.partition(".")[0])
    if args.write and rows:
        made = {"versions": versions("numpy", "gymnasium", *sorted(packages)), "machine": machine(), "code": revision()}
        report = {**made, "rounds": ROUNDS, "round_s": ROUND_S, "rows": [asdict(r) for r in rows]}
        write_report("environments", report)


if __name__ == "__main__":
    main()
