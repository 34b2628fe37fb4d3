"""The content of a run's checkpoints, and whether one fits a config."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from easydict import EasyDict

from dimix.config.checks import DERIVED, FREE_KEYS, is_of, lookup
from dimix.config.compile import CompiledConfig, full_schema, model_options, settings_of
from dimix.config.inputs import find_changes
from dimix.config.schema import walk
from dimix.entry.rooms import Rooms
from dimix.entry.transfer import AGENT, Transfer, transfer
from dimix.envs.vec_env import EnvInfo
from dimix.errors import CheckpointError, DimixError
from dimix.machine.plain import flat, plain
from dimix.policy.base import Policy
from dimix.team.files import find_checkpoint, read_any, saved_sizes

__all__ = ["check_same_config", "find_checkpoint", "load_weights", "read_any", "read_run", "run_content", "run_state"]

#: Sizes that determine the networks.
SIZES = ("agent_num", "obs_shape", "global_obs_shape", "action_shape")


def run_content(rooms: Rooms, compiled: CompiledConfig, run: Mapping[str, Any]) -> dict[str, Any]:
    """Content of a resume checkpoint: rank 0's rooms, and those of the others if there are any."""
    first, *others = rooms.states()
    more = {"other_rooms": others} if others else {}
    return {**_head("run", compiled), "rooms": first, **more, "run": run}


def rank_states(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rooms of each rank in a resume checkpoint."""
    return [content["rooms"], *content.get("other_rooms", ())]


def weights_content(rooms: Rooms, compiled: CompiledConfig, evaluation: Mapping[str, float]) -> dict[str, Any]:
    """Content of a policy checkpoint: networks and their evaluation, without buffer and games."""
    return {
        **_head("policy", compiled),
        "rooms": {"policy": rooms.policy_state()},
        "env_step": rooms.env_step,
        "train_iter": rooms.learner.train_iter,
        "evaluation": dict(evaluation),
    }


def _head(kind: str, compiled: CompiledConfig) -> dict[str, Any]:
    main, create = compiled.settings()
    return {
        "kind": kind,
        "config": {"main": main, "create": create},
        "env": asdict(compiled.info),
        "inputs": {i.name: i.entry() for i in compiled.inputs},
    }


def read_run(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint from which a run can resume.

    Raises:
        CheckpointError: missing, damaged, not from dimix, or with networks only.
    """
    content = read_any(path)
    if content["kind"] != "run":
        raise CheckpointError(
            f"checkpoint {path}: holds networks only. Resume from latest.pth.tar, or use --load-path with it."
        )
    return content


def run_state(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The run's own state in a resume checkpoint, also in files from before callbacks existed."""
    state = dict(content["run"])
    if not isinstance(state["seconds"], Mapping):
        state["seconds"] = {"wall": state["seconds"], "cpu": 0.0}
    if "callbacks" in state:
        return state
    names = {"StopRule": ("scores",), "BestPolicy": ("best",), "MetricLog": ("logger",)}
    callbacks = {callback: {key: state[key] for key in keys} for callback, keys in names.items()}
    return {**state, "callbacks": callbacks}


def check_same_config(saved: Mapping[str, Any], compiled: CompiledConfig, path: Path) -> None:
    """Refuse to resume with a config or inputs that would have trained differently.

    Raises:
        CheckpointError: the message names each key with both values, and each input.
    """
    main, create = compiled.settings()
    before = settings_of(saved["config"]["main"], compiled.policy_class)
    old = dict(flat({**before, "create_config": saved["config"]["create"]}))
    new = dict(flat({**main, "create_config": create}))
    inputs = saved.get("inputs", {})
    changed = [f"  {line}" for line in find_changes(inputs, compiled.inputs)] + _changed(old, new, compiled, inputs)
    if not changed:  # the environment itself may differ, for example a map file
        old = _derived(EasyDict(before), _saved_info(saved, compiled.info))
        changed = _changed(old, _derived(compiled.cfg, compiled.info), compiled, inputs)
    if changed:
        raise CheckpointError(
            "\n".join([f"--resume {path.parent.parent}: the config changed since.", *changed])
            + "\nSet them back, or start a new run with --load-path."
        )
    if (then := len(rank_states(saved))) != (now := compiled.cfg.run.workers):
        raise CheckpointError(
            f"--resume {path.parent.parent}: trained by {then} worker{'s' * (then > 1)}, now run.workers = {now}. Go "
            f"on with --workers {then}, or start a new run from its weights with --load-path."
        )


def _changed(
    old: Mapping[str, Any], new: Mapping[str, Any], compiled: CompiledConfig, inputs: Container[str]
) -> list[str]:
    """One line for each key that differs, except those that a resumed run may change and those that name inputs."""
    # A key added to dimix since then changes nothing while it has its default.
    mixer = lookup(compiled.cfg, "policy.model.mixer")
    known = walk(full_schema(compiled.env_class, compiled.policy_class, compiled.model_class, mixer=mixer))
    added = {key for key, rule in known if key not in old and plain(rule.default) == new.get(key)}
    return [
        f"  {key}: the run has {old.get(key)!r}, the config now {new.get(key)!r}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key) and key not in added and key not in inputs and not is_of(key, FREE_KEYS)
    ]


def load_weights(
    policy: Policy, path: str | Path, compiled: CompiledConfig, out: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Load a checkpoint's networks into a policy and return its content; optimizer and counters are unchanged.

    From a map of other sizes, the agents are taken if they fit (see ``policy.model.any_size``), and whatever else does.

    Args:
        policy: gets the weights.
        path: the checkpoint.
        compiled: the policy's config.
        out: called with a line on what was taken from a map of other sizes.

    Raises:
        CheckpointError: the checkpoint has agents of other sizes or another kind of network.
    """
    content = read_any(path)
    other_sizes = find_other_sizes(content, compiled, path)
    state = policy.learn_mode.state_dict()
    saved = content["rooms"]["policy"]["learn"]
    networks = [name for name in state if name.endswith("model")]
    if content["kind"] == "team":  # one network, for whatever use
        saved = dict.fromkeys(networks, saved["model"])
    if missing := [name for name in networks if name not in saved]:
        raise other_sizes or CheckpointError(
            f"checkpoint {path}: holds no {', '.join(missing)}. Right is a checkpoint of the same policy type "
            f"('{compiled.cfg.policy.type}')."
        )
    if other_sizes is not None:
        saved = {name: transfer(saved[name], state[name]) for name in networks}
        out(_taken(next(iter(saved.values())), content, compiled, other_sizes))
        saved = {name: each.weights for name, each in saved.items()}
    try:
        policy.learn_mode.load_state_dict({**state, **{name: saved[name] for name in networks}})
    except CheckpointError as e:
        if keys := list(_other_networks(content["config"], compiled)):
            raise CheckpointError(_trained_otherwise(path, keys)) from e
        raise
    return content


def _taken(found: Transfer, content: Mapping[str, Any], compiled: CompiledConfig, refused: CheckpointError) -> str:
    """A line on what was taken from another map; raises ``refused`` if the map is the same, or the agents do not fit.

    Which layer of agents of any size does not fit tells more than the sizes do.
    """
    was, here = content["env"]["name"], compiled.info.name
    if was != here and AGENT in found.taken:
        return f"weights of {was} for {here}: {found}"
    any_size = lookup(compiled.cfg, "policy.model.any_size")
    raise CheckpointError(f"{refused} Agents: {found.fresh[AGENT]}.") if any_size and AGENT in found.fresh else refused


def find_other_sizes(content: Mapping[str, Any], compiled: CompiledConfig, path: str | Path) -> CheckpointError | None:
    """The error that a checkpoint was trained with other sizes; None if they are the same.

    It names the map or the ``env`` keys that cause the difference, and the sizes that differ.
    """
    old, here = _saved_info(content, compiled.info), compiled.info
    was, now = _sizes(EasyDict(content["config"]["main"]), old), _sizes(compiled.cfg, here)
    differ = ", ".join(f"{name} {was[name]} instead of {now[name]}" for name in SIZES if was[name] != now[name])
    if not differ:
        return None
    keys = list(_keys_that_size(content["config"]["main"]["env"], compiled)) if old.name == here.name else []
    if keys:
        return CheckpointError(_trained_otherwise(path, keys, f" ({differ})"))
    return CheckpointError(
        f"checkpoint {path}: trained on {old.name}, the config says {here.name}: {differ}. "
        f"Use a checkpoint of {here.name}, or the config of {old.name}."
    )


def _saved_info(content: Mapping[str, Any], here: EnvInfo) -> EnvInfo:
    """The environment's sizes in training; fields not saved then are taken from here."""
    return replace(here, **saved_sizes(content))


def _derived(cfg: EasyDict, info: EnvInfo) -> dict[str, Any]:
    return {key: derive(cfg, info) for key, derive in DERIVED.items()}


def _sizes(cfg: EasyDict, info: EnvInfo) -> dict[str, Any]:
    return {name: DERIVED[f"policy.model.{name}"](cfg, info) for name in SIZES}


#: A key, its value in training and its value now.
Differing = tuple[str, Any, Any]


def _trained_otherwise(path: str | Path, keys: Iterable[Differing], more: str = "") -> str:
    found = "; ".join(f"{key}: the checkpoint was trained with {a!r}, the config says {b!r}" for key, a, b in keys)
    return f"checkpoint {path}: {found}{more}. Use the same, or another checkpoint."


def _other_networks(trained: Mapping[str, Any], compiled: CompiledConfig) -> Iterator[Differing]:
    """Keys that determine the networks and have changed."""
    model = model_options(trained["main"]["policy"]["model"], compiled.policy_class)
    for key, value in flat({"create_config": trained["create"], "policy": {"model": model}}):
        here = lookup(compiled.cfg, key)
        if key.startswith(("create_config.policy.type", "policy.model.")) and here != value:
            yield key, value, here


def _keys_that_size(trained: Mapping[str, Any], compiled: CompiledConfig) -> Iterator[Differing]:
    """Keys of ``env`` whose values in training would give other sizes."""
    now = _sizes(compiled.cfg, compiled.info)
    for key, value in flat(trained, "env."):
        cfg = EasyDict(env=compiled.branch("env"))
        path, _, name = key.rpartition(".")
        branch = lookup(cfg, path)
        if branch is None or (here := branch.get(name)) == value:
            continue
        branch[name] = value
        with suppress(DimixError):  # an invalid combination
            if _sizes(cfg, compiled.env_class.describe(cfg.env)) != now:
                yield key, value, here
