"""A table with one row per experiment, as CSV, Markdown or LaTeX."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from dimix.plot.bands import mean_interval
from dimix.plot.runs import Run

LAST = 10  # evaluations averaged for the result of a run
GOOD, IN_A_ROW = 0.95, 5  # a run has learned to win after this many evaluations in a row at this win rate


@dataclass(frozen=True)
class Row:
    """Results of the seeds of one experiment, NaN if nothing was recorded.

    Attributes:
        experiment: its label.
        seeds: number of runs.
        env_steps: env steps of a run, mean over the seeds.
        won: win rate from the nominal start over each seed's last ten evaluations, mean over the seeds.
        won_half_width: half the width of the 95 % interval of that mean (Student's t); NaN for a single seed.
        won_jitter: the same from jittered starts.
        won_jitter_half_width: half the width of its interval.
        episode_return: return of the greedy games, likewise.
        episode_return_half_width: half the width of its interval.
        best_won: win rate of a seed's best single evaluation, mean over the seeds.
        seeds_good: number of seeds that won 0.95 in five evaluations in a row.
        env_steps_to_good: env steps at the fifth of these, median over all seeds; infinite unless more than half
            of them got there.
        minutes: wall time of a run, mean over the seeds.
    """

    experiment: str
    seeds: int
    env_steps: float
    won: float
    won_half_width: float
    won_jitter: float
    won_jitter_half_width: float
    episode_return: float
    episode_return_half_width: float
    best_won: float
    seeds_good: int
    env_steps_to_good: float
    minutes: float


def summarise(experiment: str, runs: Sequence[Run]) -> Row:
    """Compute the row of one experiment from its seeds."""
    won = [run.curve("eval/battle_won")[2] for run in runs]
    good = [env_steps_to_good(run) for run in runs]
    return Row(
        experiment,
        len(runs),
        float(np.mean([run.env_steps for run in runs])),
        *_last(runs, "eval/battle_won"),
        *_last(runs, "eval/battle_won_jitter"),
        *_last(runs, "eval/ep_reward"),
        best_won=float(np.mean([rates.max() if len(rates) else math.nan for rates in won])),
        seeds_good=sum(math.isfinite(steps) for steps in good),
        env_steps_to_good=float(np.median(good)),
        minutes=float(np.mean([run.hours[-1] for run in runs])) * 60,
    )


def env_steps_to_good(run: Run) -> float:
    """Env steps at the fifth evaluation in a row with a win rate of 0.95; infinite if that never happened."""
    step, _, won = run.curve("eval/battle_won")
    at = learned_at(won)
    return math.inf if at is None else float(step[at])


def learned_at(won: Iterable[float], level: float = GOOD) -> int | None:
    """Index of the evaluation that completes the first `IN_A_ROW` in a row at ``level`` or more; None if none does."""
    in_a_row = 0
    for at, rate in enumerate(won):
        in_a_row = in_a_row + 1 if rate >= level else 0
        if in_a_row == IN_A_ROW:
            return at
    return None


def _last(runs: Sequence[Run], metric: str) -> tuple[float, float]:
    """Mean over the seeds of each one's last ten, and half the width of its interval; NaN unless all recorded it."""
    curves = [run.curve(metric)[2][-LAST:] for run in runs]
    if not all(len(curve) for curve in curves):
        return math.nan, math.nan
    mean, half = mean_interval(np.array([curve.mean() for curve in curves]))
    return float(mean), float(half)


def table(groups: Mapping[str, Sequence[Run]], ending: str) -> str:
    """Format the table of experiments as text; ``ending`` is one of `TABLES`."""
    return TABLES[ending]([summarise(label, runs) for label, runs in groups.items()])


def _csv(rows: Sequence[Row]) -> str:
    """All values of all rows, unrounded, with the field names of `Row`; missing values are empty cells."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(asdict(rows[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: value if _is_there(value) else "" for name, value in asdict(row).items()} for row in rows)
    return text.getvalue()


def _markdown(rows: Sequence[Row]) -> str:
    head, *body = [[cell.replace("|", r"\|") for cell in line] for line in shown(rows)]
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _latex(rows: Sequence[Row]) -> str:
    """A tabular that needs no packages."""
    cells = shown(rows)
    head, *body = [" & ".join(map(_latex_text, line)) + r" \\" for line in cells]
    begin = rf"\begin{{tabular}}{{l{'r' * (len(cells[0]) - 1)}}}"
    return "\n".join([begin, r"\hline", head, r"\hline", *body, r"\hline", r"\end{tabular}", ""])


#: Writers of tables by file extension.
TABLES: dict[str, Callable[[Sequence[Row]], str]] = {".csv": _csv, ".md": _markdown, ".tex": _latex}


def shown(rows: Sequence[Row]) -> list[list[str]]:
    """Headings and rows for people, without columns that have no values."""
    names = [
        "experiment",
        "seeds",
        "env steps (k)",
        "won",
        "won, jittered",
        "return",
        "best won",
        f"env steps (k) to {IN_A_ROW} x {GOOD}",
        "minutes",
    ]
    lines = [_cells(row) for row in rows]
    kept = [i for i in range(len(names)) if any(line[i] != "-" for line in lines)]
    return [[line[i] for i in kept] for line in [names, *lines]]


def _cells(row: Row) -> list[str]:
    good = f" ({row.seeds_good}/{row.seeds})" if row.seeds > 1 and row.seeds_good else ""
    return [
        row.experiment,
        str(row.seeds),
        _number(row.env_steps / 1e3, 0),
        _estimate(row.won, row.won_half_width),
        _estimate(row.won_jitter, row.won_jitter_half_width),
        _estimate(row.episode_return, row.episode_return_half_width),
        _number(row.best_won, 2),
        _number(row.env_steps_to_good / 1e3, 0) + good,
        _number(row.minutes, 1),
    ]


def _estimate(mean: float, half_width: float) -> str:
    return _number(mean, 2) + (f" ± {_number(half_width, 2)}" if _is_there(half_width) else "")


def _number(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}" if _is_there(value) else "-"


def _is_there(value: object) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


#: Characters that LaTeX reads as commands; ``[`` and ``*`` only after the end of a row, where they are its options.
_LATEX = {char: rf"\{char}" for char in "&%$#_{}"} | {
    "[": "{[}",
    "*": "{*}",
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
    "±": r"$\pm$",
}


def _latex_text(text: str) -> str:
    """Text escaped for LaTeX."""
    return "".join(_LATEX.get(char, char) for char in text)
