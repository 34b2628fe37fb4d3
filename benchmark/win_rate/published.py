"""Published win rates in percent, all measured on StarCraft II, with other numbers of steps and games."""

from __future__ import annotations

#: Meaning of each column, by heading.
SOURCES = {
    "DI-engine": "best single evaluation of 32 games within 10M steps (DI-engine's benchmark page)",
    "PyMARL": "the PyMARL column of the same page",
    "PyMARL2": "fine-tuned QMIX, 10M steps: one setting for all maps / set per map (PyMARL2's README)",
    "HPN-QMIX": "10M steps, permutation-equivariant agents (HPN's README)",
}

#: By map, in the order of SOURCES.
WIN_RATES: dict[str, tuple[str, str, str, str]] = {
    "MMM": ("100", "100", "", ""),
    "3s5z": ("100", "100", "100", ""),
    "MMM2": ("80", "70", "100", "100"),
    "5m_vs_6m": ("60", "76", "90", "100"),
    "2c_vs_64zg": ("100", "100", "100", "100"),
    "3s5z_vs_3s6z": ("3", "3", "75 / 93", "100"),
    "corridor": ("", "", "100", "100"),
    "27m_vs_30m": ("", "", "100", "100"),
    "8m_vs_9m": ("", "", "100", "100"),
    "3s_vs_5z": ("", "", "100", "100"),
    "bane_vs_bane": ("", "", "100", "100"),
    "6h_vs_8z": ("", "", "84 / 93", "98"),
}

#: The maps of DI-engine's table, in its order.
DI_ENGINE_MAPS = ("MMM", "3s5z", "MMM2", "5m_vs_6m", "2c_vs_64zg", "3s5z_vs_3s6z")
