"""Does every environment family learn: its zoo configs once each, beside random play; curves and a table.

    python -m benchmark.win_rate.environments_learning                    # all that is installed, one after the other
    python -m benchmark.win_rate.environments_learning --only lbf spread  # those whose name holds one of these

Each training is the command a user types, ``dimix -m serial -c <zoo config> -s 0``, ended by the config's own
``run.env_step`` or ``stop_value``. The floor is the mean return of uniformly random available actions. Run folders are
kept in ``benchmark/work/environments``; a training that is finished there is read and not run again (``--again`` runs
it again). ``benchmark/results/environments/`` gets a CSV of evaluations per config, ``floors.json``, ``learning.md``
and ``learning.png``; what is not run this time stays as it is.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dimix.config.compile import compile_all
from dimix.errors import ConfigError, EnvError
from dimix.machine.processes import ONE_THREAD
from dimix.plot import panel_grid, read_run, style

ROOT = Path(__file__).resolve().parents[2]
RUNS = ROOT / "benchmark" / "work" / "environments"
RESULTS = ROOT / "benchmark" / "results" / "environments"
CONFIGS = {
    "lbf_8x8": "dizoo/lbf/config/lbf_8x8_2p_2f_qmix_config.py",
    "lbf_2s_10x10": "dizoo/lbf/config/lbf_2s_10x10_4p_2f_qmix_config.py",
    "mpe_speaker_listener": "dizoo/petting_zoo/config/mpe_simple_speaker_listener_qmix_config.py",
    "mpe_spread": "dizoo/petting_zoo/config/mpe_simple_spread_qmix_config.py",
    "sisl_pursuit": "dizoo/petting_zoo/config/sisl_pursuit_qmix_config.py",
    "smax_3m": "dizoo/smax/config/smax_3m_qmix_config.py",
    "smax_2s3z": "dizoo/smax/config/smax_2s3z_qmix_config.py",
}
FLOOR_GAMES = 256
LAST = 5  # evaluations whose mean is the final figure
METRICS = ("ep_reward", "std_ep_reward", "ep_length", "battle_won", "games_played")


class Floor(NamedTuple):
    """Random play: mean return of so many games, and the deviation of one game's."""

    mean: float
    std: float
    games: int

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return self.std / math.sqrt(self.games)


def command(config: str) -> list[str]:
    """What a user types."""
    return ["dimix", "-m", "serial", "-c", config, "-s", "0"]


def random_floor(config: str, games: int = FLOOR_GAMES) -> Floor:
    """Play with random available actions, every game of the batch as many episodes as the others.

    Args:
        config: a zoo config.
        games: at least so many episodes in all.
    """
    compiled = compile_all(str(ROOT / config), overrides=_in_this_process(config)[1:])
    count = compiled.cfg.env.evaluator_env_num
    env, rng = compiled.env_class.create(compiled.branch("env"), "evaluate", count, 0), np.random.default_rng(0)
    returns = []
    for _ in range(math.ceil(games / count)):
        env.reset()
        total, playing = np.zeros(count), np.ones(count, bool)
        while playing.any():
            env.step((rng.random(env.action_mask.shape) * env.action_mask).argmax(-1))
            total += np.where(playing, env.reward, 0.0)
            playing = ~(env.terminated | env.truncated)
        returns.extend(total.tolist())
    env.close()
    return Floor(float(np.mean(returns)), float(np.std(returns, ddof=1)), len(returns))


def train(name: str, again: bool) -> list[dict[str, float]]:
    """Train a config if that is not done; its evaluations.

    Raises:
        RuntimeError: the training failed; its output stands above.
    """
    run = RUNS / name
    if again or not (run / "result.json").exists():
        shutil.rmtree(run, ignore_errors=True)
        options = ["--exp-name", str(run), "-o", "run.tensorboard=False", *_in_this_process(CONFIGS[name])]
        typed = [*command(CONFIGS[name])[1:], *options]
        done = subprocess.run([sys.executable, "-m", "dimix.cli", *typed], cwd=ROOT, env={**os.environ, **ONE_THREAD})
        if done.returncode:
            raise RuntimeError(f"{name}: status {done.returncode}")
    ours = read_run(run)
    step, cpu_s = ours.columns["env_step"], ours.columns["speed/cpu_seconds"]
    return [
        {**values, "cpu_s": round(float(np.nanmax(cpu_s[step <= values["env_step"]], initial=0.0)), 1)}
        for values in ours.evaluations(METRICS)
    ]


def _in_this_process(config: str) -> list[str]:
    """The option that keeps games in the training process, where their processor time is counted."""
    return [] if "smax" in config else ["-o", "env.manager.type=base"]


def read_results() -> dict[str, list[dict[str, float]]]:
    """Evaluations of every config that was ever run, in the order of `CONFIGS`."""
    results = {}
    for name in CONFIGS:
        path = RESULTS / f"{name}.csv"
        if path.exists():
            with open(path, newline="") as file:
                results[name] = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    return results


def read_floors() -> dict[str, Floor]:
    """Random play of every config that was ever measured."""
    path = RESULTS / "floors.json"
    return {k: Floor(**v) for k, v in json.loads(path.read_text()).items()} if path.exists() else {}


def write_csv(name: str, rows: Sequence[dict[str, float]]) -> None:
    """Evaluations of one config."""
    with open(RESULTS / f"{name}.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def final(rows: Sequence[dict[str, float]]) -> tuple[float, float, float]:
    """Mean return of the last evaluations, its standard error over their games, and the share of games won."""
    last = rows[-LAST:]
    games = sum(row["games_played"] for row in last)
    mean, won = (sum(row[key] * row["games_played"] for row in last) / games for key in ("ep_reward", "battle_won"))
    spread = [row["std_ep_reward"] ** 2 + (row["ep_reward"] - mean) ** 2 for row in last]
    square = sum(value * row["games_played"] for value, row in zip(spread, last, strict=True)) / games
    return mean, math.sqrt(square / games), won


def table(results: dict[str, list[dict[str, float]]], floors: dict[str, Floor]) -> str:
    """A line per config, as Markdown."""
    lines = [
        f"Return per game: random play ({FLOOR_GAMES} games or more) and greedy play, mean of the last {LAST} "
        "evaluations, each with its standard error; margin in standard errors of the difference.",
        "",
        "| config | random | learned | margin | games won | env steps | processor minutes |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, rows in results.items():
        (mean, error, won), floor = final(rows), floors[name]
        margin = (mean - floor.mean) / math.hypot(error, floor.error)
        lines.append(
            f"| `{CONFIGS[name]}` | {floor.mean:.2f} ± {floor.error:.2f} | {mean:.2f} ± {error:.2f} | "
            f"{mean - floor.mean:+.2f} ({margin:.0f}) | {f'{won:.2f}' if 'smax' in name else ''} | "
            f"{rows[-1]['env_step'] / 1e3:.0f}k | {rows[-1]['cpu_s'] / 60:.1f} |"
        )
    return "\n".join(lines)


def draw(results: dict[str, list[dict[str, float]]], floors: dict[str, Floor]) -> Any:
    """A panel per config: mean return of each evaluation against env steps, and random play."""
    figure, panels = panel_grid(len(results), 3.3, 2.5)
    for panel, (name, rows) in zip(panels, results.items(), strict=True):
        steps = [row["env_step"] / 1e3 for row in rows]
        panel.plot(steps, [row["ep_reward"] for row in rows], label="greedy", **style(0))
        panel.axhline(floors[name].mean, label="random", **style(1))
        panel.set(title=name, xlabel="env steps (thousands)", ylabel="return")
        panel.grid(alpha=0.3)
    panels[0].legend(fontsize="small")
    return figure


def main() -> None:
    """Floors, trainings, and the files after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[""], metavar="TEXT", help=", ".join(CONFIGS))
    parser.add_argument("--again", action="store_true", help="also what is finished")
    args = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name, config in CONFIGS.items():
        if not any(text in name for text in args.only):
            continue
        try:
            floor = random_floor(config)
        except (ConfigError, EnvError) as error:
            print(f"{name} is left out: {error}", flush=True)
            continue
        rows = train(name, args.again)
        (RESULTS / "floors.json").write_text(
            json.dumps({k: v._asdict() for k, v in {**read_floors(), name: floor}.items()}, indent=1) + "\n"
        )
        write_csv(name, rows)
        results, floors = read_results(), read_floors()
        (RESULTS / "learning.md").write_text(table(results, floors) + "\n")
        draw(results, floors).savefig(RESULTS / "learning.png", dpi=90)
        print(table({name: rows}, floors).splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()
