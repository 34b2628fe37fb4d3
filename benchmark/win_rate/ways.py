"""Does every way to train learn? Zoo configs, one run each, until their stop rule or 600k env steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from benchmark import ZOO
from benchmark.markdown import table
from benchmark.win_rate.cells import ConfigCell
from benchmark.win_rate.rows import cell_of
from benchmark.win_rate.summary import win_rates
from dimix.plot import panel_grid, style
from dimix.plot.table import GOOD, IN_A_ROW

Row = Mapping[str, Any]
CW = ("policy.learn.wqmix_ow=False", "policy.learn.alpha=0.75")


def _way(config: str, *options: str) -> ConfigCell:
    """Return a zoo config, by what is between ``smac_`` and ``_config.py``, with its overrides."""
    return ConfigCell(config=f"{ZOO}/smac_{config}_config.py", env_steps=600_000, options=options, until_won=True)


WAYS = {
    "single environment, MLP": _way("3m_qmix_mlp"),
    "memory-efficient": _way("2s3z_qmix_memefficient"),
    "parallel, several batches": _way("2s3z_qmix_multienvs"),
    "LSTM, truncated": _way("2s3z_qmix_lstm"),
    "weights per unit type": _way("2s3z_qmix_types"),
    "weights per agent": _way("2s3z_qmix", "policy.model.parameter_sharing=none"),
    "VDN": _way("2s3z_vdn"),
    "IQL": _way("2s3z_iql"),
    "QTRAN 2s3z": _way("2s3z_qtran"),
    "PyMARL2's setting": _way("3s5z_qmix_pymarl2"),
    "OW-QMIX 3s5z": _way("3s5z_wqmix"),
    "CW-QMIX 3s5z": _way("3s5z_wqmix", *CW),
    "QTRAN 3s5z": _way("3s5z_qtran"),
    "OW-QMIX MMM": _way("MMM_wqmix"),
    "CW-QMIX MMM": _way("MMM_wqmix", *CW),
    "QTRAN MMM": _way("MMM_qtran"),
    "OW-QMIX 5m_vs_6m": _way("5m6m_wqmix"),
    "CW-QMIX 5m_vs_6m": _way("5m6m_wqmix", *CW),
    "QTRAN 5m_vs_6m": _way("5m6m_qtran"),
    "OW-QMIX MMM2": _way("MMM2_wqmix"),
    "CW-QMIX MMM2": _way("MMM2_wqmix", *CW),
}


def by_way(rows: Iterable[Row]) -> dict[str, Row]:
    """Return the row of each way that was run, in the order of `WAYS`."""
    found = {cell_of(row): row for row in rows}
    return {name: found[cell] for name, cell in WAYS.items() if cell in found}


def ways_table(ways: Mapping[str, Row]) -> str:
    """Format a line per way, as Markdown."""
    lines = []
    for name, row in ways.items():
        cell, evaluations = WAYS[name], row["evaluations"]
        won, jitter, returns = win_rates(row), win_rates(row, jitter=True), evaluations["ep_reward"]
        good = [step for step, share in zip(evaluations["env_step"], won, strict=True) if share >= GOOD]
        set_over = "".join(f" -o {option}" for option in cell.options)
        lines.append([
            name,
            f"`{cell.config.rpartition('/')[2]}{set_over}`",
            f"{evaluations['env_step'][-1] / 1e3:.0f}k",
            f"{row['training']['cpu_seconds']:.0f}",
            f"{good[0] / 1e3:.0f}k" if good else "-",
            *(f"{np.mean(shares[-IN_A_ROW:]):.2f}" for shares in (won, jitter)),
            f"{returns[0]:.1f} -> {returns[-1]:.1f}",
        ])  # fmt: skip
    names = ("way", "config", "env steps", "processor s", "first evaluation won >= 0.95", "won, last 5")
    return table((*names, "jittered, last 5", "return, first -> last"), lines, left=2)


def draw(ways: Mapping[str, Row]) -> Any:
    """Draw a small panel per way: games won against env steps, from the map's start and from jittered starts."""
    figure, panels = panel_grid(len(ways), 3.2, 2.3, sharey=True)
    for panel, (name, row) in zip(panels, ways.items(), strict=True):
        steps = np.divide(row["evaluations"]["env_step"], 1e3)
        for number, label in enumerate(("won", "won, jittered starts")):
            panel.plot(steps, win_rates(row, jitter=number == 1), label=label, **style(number))
        panel.set(title=name, ylim=(-0.03, 1.03), xlabel="env steps (thousands)")
        panel.grid(alpha=0.3)
    panels[0].legend(fontsize="small", loc="lower right")
    return figure
