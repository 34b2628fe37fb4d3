"""Does every way to run it learn: each zoo config of the family once, its evaluations, a table and a picture.

    python -m benchmark.win_rate.family                       # all ways, one after the other
    python -m benchmark.win_rate.family --ways "IQL" "LSTM, truncated" --env-step 300000

Each way is the command a user types, ``dimix -m serial -c <zoo config> -s <seed>``, ended by its stop rule (95 % of the
last five evaluations' games won) or by ``--env-step``. ``results/family/evaluations.csv`` holds every evaluation,
``family.md`` the table, ``family.png`` a curve per way; a way that is run again replaces its own rows and no others.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dimix.machine.processes import ONE_THREAD
from dimix.plot import panel_grid, read_run, style

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmark" / "results" / "family"
COLUMNS = ("way", "command", "seed", "env_step", "battle_won", "battle_won_jitter", "ep_reward", "cpu_s")
METRICS = ("battle_won", "battle_won_jitter", "ep_reward")
CW = ("policy.learn.wqmix_ow=False", "policy.learn.alpha=0.75")


class Way(NamedTuple):
    """A zoo config, by what is between ``smac_`` and ``_config.py``, and what the command changes in it."""

    config: str
    overrides: tuple[str, ...] = ()


WAYS = {
    "single environment, MLP": Way("3m_qmix_mlp"),
    "memory-efficient": Way("2s3z_qmix_memefficient"),
    "parallel, several batches": Way("2s3z_qmix_multienvs"),
    "LSTM, truncated": Way("2s3z_qmix_lstm"),
    "weights per unit type": Way("2s3z_qmix_types"),
    "weights per agent": Way("2s3z_qmix", ("policy.model.parameter_sharing=none",)),
    "VDN": Way("2s3z_vdn"),
    "IQL": Way("2s3z_iql"),
    "QTRAN 2s3z": Way("2s3z_qtran"),
    "PyMARL2's setting": Way("3s5z_qmix_pymarl2"),
    "OW-QMIX 3s5z": Way("3s5z_wqmix"),
    "CW-QMIX 3s5z": Way("3s5z_wqmix", CW),
    "QTRAN 3s5z": Way("3s5z_qtran"),
    "OW-QMIX MMM": Way("MMM_wqmix"),
    "CW-QMIX MMM": Way("MMM_wqmix", CW),
    "QTRAN MMM": Way("MMM_qtran"),
    "OW-QMIX 5m_vs_6m": Way("5m6m_wqmix"),
    "CW-QMIX 5m_vs_6m": Way("5m6m_wqmix", CW),
    "QTRAN 5m_vs_6m": Way("5m6m_qtran"),
    "OW-QMIX MMM2": Way("MMM2_wqmix"),
    "CW-QMIX MMM2": Way("MMM2_wqmix", CW),
}


def command(way: Way, seed: int) -> list[str]:
    """What a user types, without limits of this benchmark."""
    config = f"dizoo/smac/config/smac_{way.config}_config.py"
    return ["dimix", "-m", "serial", "-c", config, "-s", str(seed), *(x for o in way.overrides for x in ("-o", o))]


def train(name: str, seed: int, env_step: int) -> list[dict[str, Any]]:
    """Train one way; its evaluations as rows.

    Raises:
        RuntimeError: the training failed; its output is the message.
    """
    typed = command(WAYS[name], seed)
    with tempfile.TemporaryDirectory(prefix="dimix_family_") as folder:
        run = f"{folder}/run"
        options = ["--exp-name", run, "--env-step", str(env_step), "-o", "run.tensorboard=False"]
        before = sum(os.times()[2:4])
        done = subprocess.run(
            [sys.executable, "-m", "dimix.cli", *typed[1:], *options],
            cwd=ROOT, env={**os.environ, **ONE_THREAD}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        cpu_s = sum(os.times()[2:4]) - before
        if done.returncode:
            raise RuntimeError(f"{name}: status {done.returncode}\n{done.stdout}")
        evaluations = read_run(run).evaluations(METRICS)
    fixed = {"way": name, "command": " ".join(typed), "seed": seed}
    return [{**fixed, **values, "cpu_s": round(cpu_s)} for values in evaluations]


def read_rows() -> list[dict[str, Any]]:
    """All evaluations so far."""
    path = RESULTS / "evaluations.csv"
    if not path.exists():
        return []
    with open(path, newline="") as file:
        text = ("way", "command")
        return [{k: v if k in text else float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def write(rows: Sequence[dict[str, Any]]) -> None:
    """The three files."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    with open(RESULTS / "evaluations.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    (RESULTS / "family.md").write_text(table(rows) + "\n")
    draw(rows).savefig(RESULTS / "family.png", dpi=90)


def by_way(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows of each way that was run, in the order of `WAYS`."""
    ways = {name: [row for row in rows if row["way"] == name] for name in WAYS}
    return {name: own for name, own in ways.items() if own}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """A line per way, as Markdown."""
    lines = [
        "| way | command | env steps | processor s | first evaluation won >= 0.95 | won, last 5 | jittered, last 5 | "
        "return, first -> last |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, own in by_way(rows).items():
        last = own[-5:]
        first = next((f"{row['env_step'] / 1e3:.0f}k" for row in own if row["battle_won"] >= 0.95), "-")
        won, jitter = (np.mean([row[key] for row in last]) for key in ("battle_won", "battle_won_jitter"))
        lines.append(
            f"| {name} | `{own[0]['command']}` | {own[-1]['env_step'] / 1e3:.0f}k | {own[0]['cpu_s']:.0f} | {first} | "
            f"{won:.2f} | {jitter:.2f} | {own[0]['ep_reward']:.1f} -> {own[-1]['ep_reward']:.1f} |"
        )
    return "\n".join(lines)


def draw(rows: Sequence[dict[str, Any]]) -> Any:
    """A small panel per way: games won against env steps, from the map's start and from jittered starts."""
    ways = by_way(rows)
    figure, panels = panel_grid(len(ways), 3.2, 2.3, sharey=True)
    for panel, (name, own) in zip(panels, ways.items(), strict=True):
        steps = [row["env_step"] / 1e3 for row in own]
        for number, (key, label) in enumerate((("battle_won", "won"), ("battle_won_jitter", "won, jittered starts"))):
            panel.plot(steps, [row[key] for row in own], label=label, **style(number))
        panel.set(title=name, ylim=(-0.03, 1.03), xlabel="env steps (thousands)")
        panel.grid(alpha=0.3)
    panels[0].legend(fontsize="small", loc="lower right")
    return figure


def main() -> None:
    """Parse, train, write after each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="WAY", help="; ".join(WAYS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--env-step", type=int, default=600_000, help="a run ends here at the latest")
    args = parser.parse_args()
    for name in args.ways:
        started = time.perf_counter()
        fresh = train(name, args.seed, args.env_step)
        write([row for row in read_rows() if row["way"] != name] + fresh)
        print(f"{table(fresh).splitlines()[-1]} {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
