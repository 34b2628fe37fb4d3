"""What goes into a run's checkpoints, and whether one fits the config that wants to use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dimix.config import CompiledConfig, full_schema
from dimix.config_file import plain
from dimix.config_schema import walk
from dimix.entry.rooms import Rooms
from dimix.entry.run_folder import RunFolder, split_config
from dimix.errors import CheckpointError
from dimix.inputs import find_changes
from dimix.policy.base_policy import Policy
from dimix.worker import load_checkpoint

#: Keys that a resumed run may change: they do not touch the course of training up to where it stops.
FREE_KEYS = ("exp_name", "run.", "env.stop_value", "env.replay.", "create_config.callback.")

#: Sizes that a network is built for.
SIZES = ("agent_num", "obs_shape", "global_obs_shape", "action_shape")


def run_content(rooms: Rooms, compiled: CompiledConfig, run: Mapping[str, Any]) -> dict[str, Any]:
    """Content of a resume checkpoint."""
    return {**_head("run", compiled), "rooms": rooms.state_dict(), "run": run}


def weights_content(rooms: Rooms, compiled: CompiledConfig, evaluation: Mapping[str, float]) -> dict[str, Any]:
    """Content of a policy checkpoint: networks and how they did, without buffer and games."""
    return {
        **_head("policy", compiled),
        "rooms": {"policy": rooms.policy_state()},
        "env_step": rooms.collector.env_step,
        "train_iter": rooms.learner.train_iter,
        "evaluation": dict(evaluation),
    }


def _head(kind: str, compiled: CompiledConfig) -> dict[str, Any]:
    main, create = split_config(compiled.cfg)
    return {
        "kind": kind,
        "config": {"main": plain(main), "create": plain(create)},
        "env": asdict(compiled.info),
        "inputs": {i.name: i.entry() for i in compiled.inputs},
    }


def find_checkpoint(path: str | Path) -> Path:
    """The checkpoint that a path names: the file, or of a run folder its best, else its final, else its latest one.

    Raises:
        CheckpointError: a folder without any of them.
    """
    folder = RunFolder(Path(path))
    if not folder.path.is_dir():
        return folder.path
    for found in (folder.best, folder.final, folder.latest):
        if found.exists():
            return found
    raise CheckpointError(f"--load-path {path}: no checkpoint in {folder.ckpt}. Give a run folder, or a checkpoint.")


def read_any(path: str | Path) -> dict[str, Any]:
    """A checkpoint of either kind.

    Raises:
        CheckpointError: missing, damaged, foreign.
    """
    content = load_checkpoint(path)
    if content.get("kind") not in ("run", "policy"):
        raise CheckpointError(f"checkpoint {path}: not from a training run. Right is a file from a run's ckpt folder.")
    return content


def read_run(path: str | Path) -> dict[str, Any]:
    """A checkpoint that a run can go on from.

    Raises:
        CheckpointError: missing, damaged, foreign, or holding networks only.
    """
    content = read_any(path)
    if content["kind"] != "run":
        raise CheckpointError(
            f"checkpoint {path}: holds networks only. Resume from latest.pth.tar, or use --load-path with it."
        )
    return content


def run_state(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The run's own state in a resume checkpoint, also from files written before there were callbacks."""
    state = dict(content["run"])
    if not isinstance(state["seconds"], Mapping):
        state["seconds"] = {"wall": state["seconds"], "cpu": 0.0}
    if "callbacks" in state:
        return state
    names = {"StopRule": ("scores",), "BestPolicy": ("best",), "MetricLog": ("logger",)}
    callbacks = {callback: {key: state[key] for key in keys} for callback, keys in names.items()}
    return {**state, "callbacks": callbacks}


def check_same_config(saved: Mapping[str, Any], compiled: CompiledConfig, path: Path) -> None:
    """Refuse to go on with a config, or with inputs, that would have trained differently.

    Raises:
        CheckpointError: naming each key with both values, and each input.
    """
    inputs = saved.get("inputs", {})
    main, create = split_config(compiled.cfg)
    old = dict(_flat({**saved["config"]["main"], "create_config": saved["config"]["create"]}))
    new = dict(_flat({**plain(main), "create_config": plain(create)}))
    # A key that was added to dimix since, and has its default, changes nothing.
    known = walk(full_schema(compiled.env_class, compiled.policy_class, compiled.model_class))
    added = {key for key, rule in known if key not in old and plain(rule.default) == new.get(key)}
    changed = [f"  {line}" for line in find_changes(inputs, compiled.inputs)]
    changed += [
        f"  {key}: the run has {old.get(key)!r}, the config now {new.get(key)!r}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key) and key not in {*added, *inputs} and not key.startswith(FREE_KEYS)
    ]
    if changed:
        raise CheckpointError(
            "\n".join([f"--resume {path.parent.parent}: the config changed since.", *changed])
            + "\nSet them back, or start a new run with --load-path."
        )


def load_weights(policy: Policy, path: str | Path, compiled: CompiledConfig) -> dict[str, Any]:
    """Put a checkpoint's networks into a policy; optimizer and counters stay as they are.

    Returns:
        The checkpoint's content.

    Raises:
        CheckpointError: it belongs to a map of other sizes, or to another kind of network.
    """
    content = read_any(path)
    check_sizes(content, compiled, path)
    state = policy.learn_mode.state_dict()
    saved = content["rooms"]["policy"]["learn"]
    networks = [name for name in state if name.endswith("model")]
    if missing := [name for name in networks if name not in saved]:
        raise CheckpointError(
            f"checkpoint {path}: holds no {', '.join(missing)}. Right is a checkpoint of the same policy type "
            f"('{compiled.cfg.policy.type}')."
        )
    policy.learn_mode.load_state_dict({**state, **{name: saved[name] for name in networks}})
    return content


def check_sizes(content: Mapping[str, Any], compiled: CompiledConfig, path: str | Path) -> None:
    """Refuse a checkpoint whose networks were built for other sizes.

    Raises:
        CheckpointError: naming the map and the sizes that differ.
    """
    model, here, there = content["config"]["main"]["policy"]["model"], compiled.cfg.policy.model, content["env"]["name"]
    differ = [f"{k} {model[k]} instead of {here[k]}" for k in SIZES if model[k] != here[k]]
    if differ:
        raise CheckpointError(
            f"checkpoint {path}: trained on {there}, the config says {compiled.info.name}: {', '.join(differ)}. "
            f"Use a checkpoint of {compiled.info.name}, or the config of {there}."
        )


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
