"""Group runs into experiments (same config, different seeds), and label them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from keyword import iskeyword
from pathlib import Path
from typing import Any

from dimix.config.checks import DERIVED, FREE_KEYS, is_of
from dimix.plot.runs import Run, read_runs

#: Config keys and branches that may differ between seeds of one experiment, because they do not affect training or are
#: derived from other keys.
NOT_TRAINED = (
    *FREE_KEYS,
    *DERIVED,
    "seed",
    "env.manager",
    "env.num_threads",
    "env.evaluator_env_num",
    "env.n_evaluator_episode",
    "env.jitter_eval.n_episode",
    "policy.cuda",
    "policy.device",
    "policy.eval.evaluator.eval_freq",
    "policy.type",  # create_config.policy.type
)
#: Only callbacks may affect both how a run is observed and what it trains.
_CALLBACKS, _WATCHING = ("run.callbacks", "create_config.callback"), ("run.callbacks.wandb",)

Config = Mapping[str, Any]
_MISSING = object()


def read_experiments(folders: Sequence[str | Path], out: Callable[[str], None]) -> dict[str, list[Run]]:
    """Read runs and group them into experiments; no run counts twice.

    Args:
        folders: run folders, or folders that contain some.
        out: called with a line about each run left out, and about runs without a readable config.

    Returns:
        Runs by experiment, see `group_runs`.

    Raises:
        OutputError: a folder has no runs, or one cannot be read.
    """
    runs = read_runs(folders, out)
    unknown = [str(run.folder) for run in runs if run.config is None]
    if unknown:
        out(f"no total_config.py that can be read, grouped by the folder's name: {', '.join(unknown)}")
    return {label: without_repeats(group, out) for label, group in group_runs(runs).items()}


def group_runs(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Group runs whose configs differ only in the seed and in keys that do not affect training.

    Runs without a config are grouped if their folders differ only in ``seed<number>`` (and a suffix ``_2``).

    Returns:
        Runs by label, in the order given. The label lists the config keys that differ; for a single config it is the
        shortest folder name that tells the experiments apart.
    """
    by_config: dict[Any, list[Run]] = {}
    by_folder: dict[Any, list[Run]] = {}
    for run in runs:
        if run.config is None:
            by_folder.setdefault(run.experiment_path, []).append(run)
        else:
            by_config.setdefault(_identity(run.config), []).append(run)
    labels = config_labels([group[0].config or {} for group in by_config.values()])
    if len(labels) == 1:
        labels = _endings([group[0].experiment_path for group in by_config.values()], "/")
    names = _endings(list(by_folder), "/")
    if labels:
        names = [f"{name} (no config)" for name in names]
    return dict(zip(labels + names, [*by_config.values(), *by_folder.values()], strict=True))


def without_repeats(runs: Sequence[Run], out: Callable[[str], None]) -> list[Run]:
    """Keep one run per seed of an experiment, the longest, and call ``out`` with a line about each run left out.

    Repeating config and seed repeats the training and adds no new sample.
    """
    kept: dict[Any, Run] = {}
    for run in sorted(runs, key=lambda run: -run.env_steps):
        key = run.folder if run.seed is None else run.seed
        if kept.setdefault(key, run) is not run:
            out(f"left out: {run.folder} is the experiment and seed of {kept[key].folder} again, not a second seed")
    return [run for run in runs if run in kept.values()]


def config_labels(configs: Sequence[Config]) -> list[str]:
    """Differences between flat configs that all train differently, as ``equivariant=True, start_jitter=0.5``.

    The first label lists all keys that differ; the others list those that differ from the first.
    """
    trained = dict.fromkeys(key for config in configs for key in config if _trained(key))
    differing = [key for key in trained if len({_value(config, key) for config in configs}) > 1]
    # Skip what comes with an algorithm or environment: its own keys, and the module that registers it.
    chosen = [key for key in differing if _differs_where_it_is(key, configs) and not key.endswith(".import_names")]
    keys = chosen if _tell_apart(chosen, configs) else differing
    names = _endings([tuple(key.split(".")) for key in keys], ".")
    values = [[_value(config, key) for key in keys] for config in configs]
    return [_label(names, mine, values[0]) for mine in values]


def _label(names: Sequence[str], values: Sequence[str], first: Sequence[str]) -> str:
    told = zip(names, values, first, strict=True)
    return ", ".join(f"{name}={value}" for name, value, other in told if values is first or value != other)


def _identity(config: Config) -> frozenset[tuple[str, str]]:
    return frozenset((key, repr(value)) for key, value in config.items() if _trained(key))


def _trained(key: str) -> bool:
    """Whether a config key may affect training."""
    return not is_of(key, _WATCHING if is_of(key, _CALLBACKS) else NOT_TRAINED)


def _value(config: Config, key: str) -> str:
    value = config.get(key, _MISSING)
    if value is _MISSING:
        return "-"
    return value if isinstance(value, str) and not iskeyword(value) else repr(value)  # keep 'None' and None apart


def _differs_where_it_is(key: str, configs: Sequence[Config]) -> bool:
    return len({_value(config, key) for config in configs if key in config}) > 1


def _tell_apart(keys: Sequence[str], configs: Sequence[Config]) -> bool:
    return len({tuple(_value(config, key) for key in keys) for config in configs}) == len(configs)


def _endings(paths: Sequence[tuple[str, ...]], separator: str) -> list[str]:
    """Each path by the fewest last parts with which no other path ends."""
    return [separator.join(_ending(path, paths)) for path in paths]


def _ending(path: tuple[str, ...], paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    endings = (path[-length:] for length in range(1, len(path)))
    return next((end for end in endings if sum(other[-len(end) :] == end for other in paths) == 1), path)
