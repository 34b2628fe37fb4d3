"""The runs as JSON for marl-eval (Gorsane et al. 2022, "Towards a standardised performance evaluation protocol").

By environment (one per rule profile), task (map), algorithm and run; each evaluation with its step count, elapsed
seconds, win rate and mean return, and ``absolute_metrics`` of the final games.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from benchmark.win_rate.summary import experiments, main_experiments, win_rates


def marl_eval(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the experiments of the results page in marl-eval's format."""
    found: dict[str, Any] = defaultdict(lambda: defaultdict(dict))
    for (rules, map_name, algo), one in main_experiments(experiments(rows)).items():
        found[f"SMAC_{rules}"][map_name][algo] = {f"seed_{row['cell']['seed']}": _run(row) for row in one.rows}
    return {environment: dict(tasks) for environment, tasks in found.items()}


def _run(row: Mapping[str, Any]) -> dict[str, Any]:
    seen, final = row["evaluations"], row["final"]["greedy"]
    won, returns = win_rates(row).tolist(), seen.get("ep_reward")
    run: dict[str, Any] = {}
    for i, step in enumerate(seen["env_step"]):
        metrics = {"win_rate": [won[i]], **({} if returns is None else {"return": [returns[i]]})}
        run[f"step_{i}"] = {"step_count": step, "elapsed_time": seen["seconds"][i], **metrics}
    absolute = {"win_rate": [final["games_won"] / final["games_played"]]}
    return {**run, "absolute_metrics": absolute | ({"return": [final["ep_reward"]]} if "ep_reward" in final else {})}
