"""Which runs are the seeds of one experiment, and what to call it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from keyword import iskeyword
from pathlib import Path
from typing import Any

from dimix.config.checks import DERIVED, FREE_KEYS, is_of
from dimix.plot.runs import Run, read_runs

#: Config keys, or whole branches, in which seeds of one experiment may differ: they change nothing in what is trained,
#: or follow from other keys.
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
#: Callbacks alone may both change how a run is watched and what it trains.
_CALLBACKS, _WATCHING = ("run.callbacks", "create_config.callback"), ("run.callbacks.wandb",)

Config = Mapping[str, Any]
_MISSING = object()


def read_experiments(folders: Sequence[str | Path], out: Callable[[str], None]) -> dict[str, list[Run]]:
    """Read runs and group them; no run counts twice.

    Args:
        folders: run folders, or folders of such.
        out: takes a line about what was left out, and about runs without a readable config.

    Returns:
        Runs by experiment, see `group_runs`.

    Raises:
        OutputError: a folder without runs, or one that cannot be read.
    """
    runs = read_runs(folders, out)
    unknown = [str(run.folder) for run in runs if run.config is None]
    if unknown:
        out(f"no total_config.py that can be read, grouped by the folder's name: {', '.join(unknown)}")
    return {label: without_repeats(group, out) for label, group in group_runs(runs).items()}


def group_runs(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs by experiment: the same config but for the seed and for what does not touch training.

    Runs without a config belong together when their folders differ only in ``seed<number>`` (and a suffix ``_2``).

    Returns:
        Runs by label, in the order given: the config keys that differ when there are several configs, otherwise a
        folder name as short as tells the experiments apart.
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
    """One run per seed, the longest: the same config and seed again is the same training again, not another sample.

    Args:
        runs: of one experiment.
        out: takes a line about each run left out.
    """
    kept: dict[Any, Run] = {}
    for run in sorted(runs, key=lambda run: -run.env_steps):
        key = run.folder if run.seed is None else run.seed
        if kept.setdefault(key, run) is not run:
            out(f"left out: {run.folder} is the experiment and seed of {kept[key].folder} again, not a second seed")
    return [run for run in runs if run in kept.values()]


def config_labels(configs: Sequence[Config]) -> list[str]:
    """What differs between configs, as ``equivariant=True, start_jitter=0.5``.

    The first is told by all keys that differ, each other one by those in which it differs from the first.

    Args:
        configs: flat ones, no two of which train the same.
    """
    trained = dict.fromkeys(key for config in configs for key in config if _trained(key))
    differing = [key for key in trained if len({_value(config, key) for config in configs}) > 1]
    # Not what an algorithm or environment brings along: keys of its own, and the module that registers it.
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
    """Whether a config key may change what is trained."""
    return not is_of(key, _WATCHING if is_of(key, _CALLBACKS) else NOT_TRAINED)


def _value(config: Config, key: str) -> str:
    value = config.get(key, _MISSING)
    if value is _MISSING:
        return "-"
    return value if isinstance(value, str) and not iskeyword(value) else repr(value)  # 'None' is not None


def _differs_where_it_is(key: str, configs: Sequence[Config]) -> bool:
    return len({_value(config, key) for config in configs if key in config}) > 1


def _tell_apart(keys: Sequence[str], configs: Sequence[Config]) -> bool:
    return len({tuple(_value(config, key) for key in keys) for config in configs}) == len(configs)


def _endings(paths: Sequence[tuple[str, ...]], separator: str) -> list[str]:
    """Each path by as few of its last parts as no other path ends with."""
    return [separator.join(_ending(path, paths)) for path in paths]


def _ending(path: tuple[str, ...], paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    endings = (path[-length:] for length in range(1, len(path)))
    return next((end for end in endings if sum(other[-len(end) :] == end for other in paths) == 1), path)
