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

#: SMACv2's own QMIX (Ellis et al. 2023) on StarCraft II, mean test win rate over three to six seeds, by task: after 1M,
#: 2M, 5M and 10M env steps; from the authors' training results (oxwhirl/smacv2, ``smac2_training_results.pkl``).
SMACV2_STEPS = (1_000_000, 2_000_000, 5_000_000, 10_000_000)
SMACV2_QMIX: dict[str, tuple[float, float, float, float]] = {
    "terran_5_vs_5": (0.54, 0.62, 0.68, 0.62),
    "terran_10_vs_10": (0.40, 0.60, 0.67, 0.68),
    "terran_20_vs_20": (0.15, 0.41, 0.60, 0.55),
    "terran_10_vs_11": (0.20, 0.33, 0.47, 0.40),
    "terran_20_vs_23": (0.03, 0.07, 0.09, 0.08),
    "protoss_5_vs_5": (0.35, 0.47, 0.65, 0.69),
    "protoss_10_vs_10": (0.20, 0.47, 0.64, 0.70),
    "protoss_20_vs_20": (0.12, 0.23, 0.63, 0.73),
    "protoss_10_vs_11": (0.08, 0.18, 0.33, 0.41),
    "protoss_20_vs_23": (0.01, 0.03, 0.13, 0.18),
    "zerg_5_vs_5": (0.35, 0.38, 0.40, 0.37),
    "zerg_10_vs_10": (0.28, 0.40, 0.47, 0.40),
    "zerg_20_vs_20": (0.18, 0.32, 0.36, 0.29),
    "zerg_10_vs_11": (0.19, 0.25, 0.30, 0.25),
    "zerg_20_vs_23": (0.05, 0.10, 0.13, 0.09),
}
