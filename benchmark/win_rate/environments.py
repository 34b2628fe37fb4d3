"""Does every environment family learn? Zoo configs other than SMAC's, one run each, compared with random play.

Each run ends as its config says. Games are played in the training process, so that their processor time is counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from benchmark.markdown import table
from benchmark.win_rate.cells import ConfigCell
from benchmark.win_rate.rows import cell_of
from dimix.plot import panel_grid, style

Row = Mapping[str, Any]
LAST = 5  # evaluations whose mean is the final figure
_HERE = "env.manager.type=base"

CELLS = {
    name: ConfigCell(config=f"dizoo/{config}_config.py", options=options, until_won=True)
    for name, config, options in (
        ("lbf_8x8", "lbf/config/lbf_8x8_2p_2f_qmix", (_HERE,)),
        ("lbf_2s_10x10", "lbf/config/lbf_2s_10x10_4p_2f_qmix", (_HERE,)),
        ("mpe_speaker_listener", "petting_zoo/config/mpe_simple_speaker_listener_qmix", (_HERE,)),
        ("mpe_spread", "petting_zoo/config/mpe_simple_spread_qmix", (_HERE,)),
        ("sisl_pursuit", "petting_zoo/config/sisl_pursuit_qmix", (_HERE,)),
        ("smax_3m", "smax/config/smax_3m_qmix", ()),
        ("smax_2s3z", "smax/config/smax_2s3z_qmix", ()),
    )
}


def by_name(rows: Iterable[Row]) -> dict[str, Row]:
    """Return the row of each config that was run, in the order of `CELLS`."""
    found = {cell_of(row): row for row in rows}
    return {name: found[cell] for name, cell in CELLS.items() if cell in found}


def final(row: Row) -> tuple[float, float, float]:
    """Mean return of the last evaluations, its standard error over their games, and the share of games won."""
    mean, std, games, won = (
        np.array(row["evaluations"][column][-LAST:], float)
        for column in ("ep_reward", "std_ep_reward", "games_played", "games_won")
    )
    overall = np.average(mean, weights=games)
    variance = np.average(std**2 + (mean - overall) ** 2, weights=games)
    return float(overall), math.sqrt(variance / games.sum()), float(won.sum() / games.sum())


def random_play(row: Row) -> tuple[float, float]:
    """Return the mean return of uniformly random available actions, and its standard error."""
    games = row["final"]["random"]
    return games["ep_reward"], games["std_ep_reward"] / math.sqrt(games["games_played"] - 1)


def learning_table(found: Mapping[str, Row]) -> str:
    """Format a line per config, as Markdown."""
    lines = []
    for name, row in found.items():
        (mean, error, won), (floor, floor_error) = final(row), random_play(row)
        margin = (mean - floor) / math.hypot(error, floor_error)
        lines.append([
            f"`{CELLS[name].config}`",
            f"{floor:.2f} ± {floor_error:.2f}",
            f"{mean:.2f} ± {error:.2f}",
            f"{mean - floor:+.2f} ({margin:.0f})",
            f"{won:.2f}" if "smax" in name else "",
            f"{row['evaluations']['env_step'][-1] / 1e3:.0f}k",
            f"{row['evaluations']['cpu_seconds'][-1] / 60:.1f}",
        ])  # fmt: skip
    return table(("config", "random", "learned", "margin", "games won", "env steps", "processor minutes"), lines)


def draw(found: Mapping[str, Row]) -> Any:
    """Draw a panel per config: mean return of each evaluation against env steps, and random play."""
    figure, panels = panel_grid(len(found), 3.3, 2.5)
    for panel, (name, row) in zip(panels, found.items(), strict=True):
        steps = np.divide(row["evaluations"]["env_step"], 1e3)
        panel.plot(steps, row["evaluations"]["ep_reward"], label="greedy", **style(0))
        panel.axhline(random_play(row)[0], label="random", **style(1))
        panel.set(title=name, xlabel="env steps (thousands)", ylabel="return")
        panel.grid(alpha=0.3)
    panels[0].legend(fontsize="small")
    return figure
