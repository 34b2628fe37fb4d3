"""SMACv2's tasks: does a team beat battles it has never seen? QMIX beside floors and SMACv2's own results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from benchmark.markdown import percent, table
from benchmark.win_rate.cells import EVEN_TASKS, own_env_steps
from benchmark.win_rate.published import SMACV2_QMIX, SMACV2_STEPS
from benchmark.win_rate.summary import Experiment, seed_interval
from dimix.machine.text import short
from dizoo.smac.battle.maps.generator import STARTS
from dizoo.smac.battle.maps.scenario import task_names

RULES = "smacv2"
#: Floors by opponent, task and script: games won and played by kind of start.
Floors = Mapping[tuple[str, str, str], Mapping[str, tuple[int, int]]]


def read_floors(path: Path) -> Floors:
    """Read the games of scripted teams, as written by `dizoo.smac.battle.teams.floors`."""
    floors = json.loads(path.read_text("utf-8"))
    return {(f["opponent"], f["map"], f["team"]): f["by_start"] for f in floors}


def tasks_table(found: Mapping[tuple[str, str, str], Experiment], floors: Floors) -> str:
    """Format a line per task, as Markdown."""
    lines = []
    for task in task_names():
        one, blind = (found.get((RULES, task, algo)) for algo in ("qmix", "open_loop"))
        scripts = (("chase", "random"), ("chase", "attack_nearest"), ("near", "attack_nearest"))
        steps = one.cell.env_steps if one else own_env_steps(task, "qmix", RULES)
        lines.append([
            task,
            *(floor_cell(floors.get((opponent, task, team))) for opponent, team in scripts),
            "" if blind is None else f"{with_interval(blind)} ({short(blind.cell.env_steps)})",
            *(trained_cells(one) if one else [""] * 6),
            *published_cells(task, steps),
        ])  # fmt: skip
    ours = ("seeds", "env steps", "**last ten**", "final", "5 % random", "on near")
    names = ("task", "random", "attack nearest", "on near", "open loop", *ours, "published", "published, 10M")
    return table(names, lines)


def readme_table(found: Mapping[tuple[str, str, str], Experiment], floors: Floors) -> str:
    """Format what the zoo's configs of the small, even tasks give, a line per task, as Markdown."""
    lines = []
    for task in EVEN_TASKS:
        if one := found.get((RULES, task, "qmix")):
            minutes = sum(row["training"]["cpu_seconds"] for row in one.rows) / len(one.rows) / 60
            blind, script = found.get((RULES, task, "open_loop")), floors.get(("chase", task, "attack_nearest"))
            lines.append([
                task,
                short(one.cell.env_steps),
                f"{minutes:.0f}",
                f"**{with_interval(one)}**",
                "" if blind is None else with_interval(blind),
                floor_cell(script).partition(" (")[0],
                *published_cells(task, one.cell.env_steps),
            ])  # fmt: skip
    theirs = ("SMACv2's QMIX, as many steps", "10M")
    return table(("task", "env steps", "minutes of a core", "% won", "seeing nothing", "script", *theirs), lines)


def floor_cell(by_start: Mapping[str, tuple[int, int]] | None) -> str:
    """Format the share of games that a script won, in brackets by kind of start; empty if it was not measured."""
    if by_start is None:
        return ""
    won, played = (sum(games) for games in zip(*by_start.values(), strict=True))
    if won == 0:
        return "0"
    shares = [percent(by_start[start][0] / by_start[start][1]) for start in STARTS if start in by_start]
    return f"{percent(won / played)} ({' / '.join(shares)})"


def trained_cells(one: Experiment) -> list[str]:
    """Return the cells of a trained team: seeds, length, last ten evaluations and final games."""
    finals = [final_cell(one, kind) for kind in ("greedy", "epsilon", "near")]
    return [f"{len(one.rows)}{'†' * bool(one.mixed())}", short(one.cell.env_steps), with_interval(one), *finals]


def final_cell(one: Experiment, kind: str) -> str:
    """Format the share of the final games that a team won, in brackets by kind of start if the rows tell."""
    share, games = percent(one.final(kind).mean()), [row["final"][kind].get("by_label") for row in one.rows]
    if not all(games):
        return share
    of_starts = ([by_label[start] for by_label in games] for start in STARTS if start in games[0])
    won_and_played = (map(sum, zip(*each, strict=True)) for each in of_starts)
    return f"{share} ({' / '.join(percent(won / played) for won, played in won_and_played)})"


def with_interval(one: Experiment) -> str:
    """Format the mean of an experiment's last ten evaluations and, of several seeds, its 95 % interval."""
    mean, low, high = seed_interval(one.last_ten())
    return percent(mean) + (f" ({percent(low)}-{percent(high)})" if len(one.rows) > 1 else "")


def published_cells(task: str, env_steps: int) -> list[str]:
    """Return SMACv2's own win rates: after as many steps, empty if it is not known, and after 10M."""
    by_steps = dict(zip(SMACV2_STEPS, SMACV2_QMIX[task], strict=True))
    return [percent(by_steps[steps]) if steps in by_steps else "" for steps in (env_steps, 10_000_000)]
