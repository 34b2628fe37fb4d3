"""Cells of the benchmark: one training run each, of any zoo config; those of SMAC by map, algorithm and rules."""

from __future__ import annotations

import hashlib
import itertools
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmark import ROOT, zoo_file
from benchmark.arithmetic import AS_IT_IS
from benchmark.win_rate.published import DI_ENGINE_MAPS
from dimix.config.compile import CompiledConfig, compile_all
from dimix.config.file import read_config
from dimix.errors import ConfigError, nearest
from dimix.machine.text import short
from dimix.registry import POLICY_REGISTRY
from dizoo.smac.battle.maps.scenario import load_scenario, map_names, own_rules, task_names

#: The map whose zoo files provide an algorithm's settings for maps without a file of their own.
MODEL_MAP = "3s5z"

#: Default env steps of a training run: enough for QMIX to win and to keep winning, found map by map.
ENV_STEPS = {
    "3m": 200_000,
    "8m": 200_000,
    "25m": 400_000,
    "5m_vs_6m": 500_000,
    "8m_vs_9m": 500_000,
    "10m_vs_11m": 500_000,
    "27m_vs_30m": 800_000,
    "MMM": 500_000,
    "MMM2": 1_000_000,
    "2s3z": 300_000,
    "3s5z": 800_000,
    "3s5z_vs_3s6z": 2_000_000,
    "3s_vs_3z": 600_000,
    "3s_vs_4z": 1_000_000,
    "3s_vs_5z": 3_000_000,
    "1c3s5z": 1_000_000,
    "2m_vs_1z": 800_000,
    "corridor": 900_000,
    "6h_vs_8z": 3_000_000,
    "2s_vs_1sc": 600_000,
    "so_many_baneling": 500_000,
    "bane_vs_bane": 500_000,
    "2c_vs_64zg": 200_000,
}
#: The same for SMACv2's tasks: small and even ones, all others, and teams that see nothing.
EVEN_TASK_ENV_STEPS, TASK_ENV_STEPS, BLIND_TASK_ENV_STEPS = 2_000_000, 1_000_000, 500_000
EVEN_TASKS = tuple(name for name in task_names() if name.endswith(("_5_vs_5", "_10_vs_10")))
#: The same for the zoo's QMIX, where a skill takes more or fewer than one battle by heart.
QMIX_ENV_STEPS = {"8m": 300_000, "2s3z": 500_000, "3s5z": 600_000, "MMM2": 700_000}
#: The same under the rules ``smac``, which are harder for some teams; MMM2's is a guess, not yet run, and 2m_vs_1z's
#: does not suffice for a win.
SMAC_ENV_STEPS = {
    "2s3z": 1_000_000,
    "3s5z": 2_000_000,
    "3s_vs_3z": 2_000_000,
    "3s_vs_4z": 3_000_000,
    "2m_vs_1z": 3_000_000,
    "MMM2": 2_000_000,
}

#: As published: agents that read their observation as one row, and every battle from the map's own start.
PUBLISHED = (
    "policy.model.equivariant=False",
    "policy.model.layer_norm=False",
    "policy.learn.batch_size=32",
    "policy.learn.update_per_collect=2",
    "policy.eval.evaluator.eval_freq=50",
    "env.start_jitter=0",
)
#: What a map asked for beside that, where the zoo's config does not say so.
ASKED_FOR = {
    "3s_vs_3z": ("policy.learn.lr_schedule=linear", "policy.learn.lr_end=0.00005", "policy.learn.lr_decay=3000"),
}
#: Algorithms that are not a zoo config as it is: policy and additional settings.
VARIANTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "published": ("qmix", PUBLISHED),
    "nominal": ("qmix", ("env.start_jitter=0",)),
    "vdn": ("vdn", PUBLISHED),
    "ow_qmix": ("wqmix", ("policy.learn.wqmix_ow=True", "policy.learn.alpha=0.5", *PUBLISHED)),
    "cw_qmix": ("wqmix", ("policy.learn.wqmix_ow=False", "policy.learn.alpha=0.75", *PUBLISHED)),
    "qtran": ("qtran", PUBLISHED),
    "open_loop": ("qmix", ("env.open_loop=True", "env.obs_last_action=False", *PUBLISHED)),
    "net_reward": ("qmix", ("env.reward_only_positive=False", "env.reward_negative_scale=0", "env.start_jitter=0")),
}
NEVER = 1.1  # a win rate that no run reaches
RULES = ("smaclite", "smac")
FAMILY = ("published", "vdn", "ow_qmix", "cw_qmix", "qtran")
FAMILY_MAPS = (*DI_ENGINE_MAPS, "2s3z", "corridor")


@dataclass(frozen=True, kw_only=True)
class Cell(ABC):
    """One training run of the benchmark: a zoo config, overrides, and a seed.

    Attributes:
        seed: of the run.
        env_steps: length of the run; None: as in the config.
        options: ``dotted.key=value`` texts.
        until_won: stop as the config says, once the team wins; else train for all env steps.
        arithmetic: one of `benchmark.arithmetic.KINDS`.
    """

    seed: int = 0
    env_steps: int | None = None
    options: tuple[str, ...] = ()
    until_won: bool = False
    arithmetic: str = AS_IT_IS

    @abstractmethod
    def sources(self) -> tuple[list[str], tuple[dict[str, Any], dict[str, Any]]]:
        """Return the zoo files of the cell, and their main and create config.

        Raises:
            ConfigError: there is no such file.
        """

    @abstractmethod
    def _label(self) -> list[str]:
        """Describe what is trained, for the first parts of the cell's name."""

    @property
    def group(self) -> str:
        """File name shared by the seeds of one experiment."""
        parts = self._label()
        if self.env_steps is not None:
            parts.append(short(self.env_steps))
        if self.until_won:
            parts.append("until_won")
        if self.arithmetic != AS_IT_IS:
            parts.append(self.arithmetic)
        if self.options:
            text = re.sub(r"[^\w.=+-]", "_", ",".join(self.options))
            parts.append(text if len(text) <= 80 else hashlib.sha256(text.encode()).hexdigest()[:12])
        return "__".join(parts)

    @property
    def name(self) -> str:
        """File name of the cell."""
        return f"{self.group}__seed{self.seed}"

    @property
    def overrides(self) -> tuple[str, ...]:
        """What the cell changes in its config files; the user's options come last."""
        return (*(() if self.until_won else (f"env.stop_value={NEVER}",)), *self.options)

    def fields(self) -> dict[str, Any]:
        """Return the cell as stored in a row."""
        return {**asdict(self), "options": list(self.options)}

    def compile(self, **options: Any) -> CompiledConfig:
        """Return the cell's config, checked; see `dimix.config.compile_all` for the options.

        Raises:
            ConfigError: lists everything that is wrong with it.
        """
        return compile_all(
            self.sources()[1], seed=self.seed, env_step=self.env_steps, overrides=self.overrides, **options
        )


@dataclass(frozen=True, kw_only=True)
class ConfigCell(Cell):
    """A training run of any config.

    Attributes:
        config: the file, relative to the repository's root.
    """

    config: str

    def sources(self) -> tuple[list[str], tuple[dict[str, Any], dict[str, Any]]]:
        source = read_config(ROOT / self.config)
        return [self.config], (source.main, source.create)

    def _label(self) -> list[str]:
        return [Path(self.config).stem.removesuffix("_config")]


@dataclass(frozen=True, kw_only=True)
class MapCell(Cell):
    """A training run on one of SMAC's maps or SMACv2's tasks.

    Attributes:
        map: one of the 23, or one of SMACv2's tasks.
        algo: a policy's registered name, or one of `VARIANTS`.
        rules: rule profile; ``smacv2`` for the tasks.
    """

    env_steps: int = field()
    map: str
    algo: str = "qmix"
    rules: str = "smaclite"

    @property
    def overrides(self) -> tuple[str, ...]:
        own, settings = (f"env.map_name={self.map}", f"env.rules={self.rules}"), _policy(self.algo)[1]
        asked_for = ASKED_FOR.get(self.map, ()) if set(PUBLISHED) <= set(settings) else ()
        return (*own, *settings, *asked_for, *super().overrides)

    def sources(self) -> tuple[list[str], tuple[dict[str, Any], dict[str, Any]]]:
        """See `Cell.sources`.

        Uses the map's own file for the algorithm if there is one; else the map's QMIX file, with the policy settings of
        the algorithm's file for `MODEL_MAP`.
        """
        policy = _policy(self.algo)[0]
        own, qmix, model = zoo_file(self.map, policy), zoo_file(self.map, "qmix"), zoo_file(MODEL_MAP, policy)
        if (ROOT / own).exists():
            source = read_config(ROOT / own)
            return [own], (source.main, source.create)
        base = read_config(ROOT / qmix)
        create = {**base.create, "policy": {"type": policy}}
        if not (ROOT / model).exists():
            return [qmix], (base.main, create)
        branch = read_config(ROOT / model).main.get("policy", {})
        return [qmix, model], ({**base.main, "policy": _joined(branch, base.main.get("policy", {}))}, create)

    def _label(self) -> list[str]:
        return [self.rules, self.map, self.algo]


def make_cells(
    maps: Sequence[str],
    algos: Sequence[str],
    seeds: Sequence[int],
    rules: Sequence[str | None] = (None,),
    env_steps: int | None = None,
    **same: Any,
) -> list[MapCell]:
    """Return all combinations, seed by seed, so that a queue stopped early has some of everything.

    Rules that are None are each map's own. Without ``env_steps``, each map gets its own, see `own_env_steps`; ``same``
    sets the cells' other fields.

    Raises:
        ConfigError: no such map or algorithm.
    """
    for option, given, known in (
        ("--maps", maps, [*map_names(), *task_names()]),
        ("--algos", algos, _algorithms()),
    ):
        for name in given:
            if name not in known:
                raise ConfigError(f"{option} {name}: unknown.{nearest(name, known)} There are {', '.join(known)}.")
    combinations = ((s, r or own_rules(m), a, m) for s, r, a, m in itertools.product(seeds, rules, algos, maps))
    cells = [
        MapCell(map=m, algo=a, rules=r, env_steps=env_steps or own_env_steps(m, a, r), seed=s, **same)
        for s, r, a, m in combinations
    ]
    return list(dict.fromkeys(cells))


def task_cells() -> list[MapCell]:
    """Return the cells of SMACv2's table: the zoo's QMIX and an open-loop team on all tasks, more seeds on some."""
    return [*make_cells(task_names(), ["qmix", "open_loop"], [0]), *make_cells(EVEN_TASKS, ["qmix"], [1, 2])]


def table_cells() -> list[MapCell]:
    """Return the cells of the win-rate tables: three seeds each, ten of the zoo's QMIX on DI-engine's maps."""
    maps = map_names()
    paid = [name for name in maps if load_scenario(name, "smac").enemy_recovers]
    plan = [
        (maps, ["qmix", "published", "open_loop"], range(3), RULES),
        (DI_ENGINE_MAPS, ["qmix"], range(10), ["smaclite"]),
        ([name for name in maps if name in FAMILY_MAPS], FAMILY, range(3), RULES),
        (paid, ["net_reward"], range(3), ["smac"]),
    ]
    return list(dict.fromkeys(cell for one in plan for cell in make_cells(*one)))


def own_env_steps(map_name: str, algo: str, rules: str) -> int:
    """Length of a map's training runs by algorithm and rules."""
    if map_name not in ENV_STEPS:
        if algo == "open_loop":
            return BLIND_TASK_ENV_STEPS
        return EVEN_TASK_ENV_STEPS if map_name in EVEN_TASKS else TASK_ENV_STEPS
    env_steps = ENV_STEPS[map_name]
    if algo == "qmix":
        env_steps = QMIX_ENV_STEPS.get(map_name, env_steps)
    return max(env_steps, SMAC_ENV_STEPS.get(map_name, 0)) if rules == "smac" else env_steps


def _algorithms() -> list[str]:
    import dimix.policy  # noqa: F401  (registers)

    return list(dict.fromkeys([*POLICY_REGISTRY.names(), *VARIANTS]))


def _policy(algo: str) -> tuple[str, tuple[str, ...]]:
    return VARIANTS.get(algo, (algo, ()))


def _joined(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    both = {k: _joined(under[k], v) if isinstance(v, Mapping) and k in under else v for k, v in over.items()}
    return {**under, **both}
