"""Checks that involve several config keys: sizes against the environment, and combinations that cannot work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from easydict import EasyDict

from dimix.envs.agent_input import AgentInput
from dimix.envs.vec_env import Entities, EnvInfo
from dimix.errors import ConfigError
from dimix.machine.cores import usable_cores
from dimix.machine.device import resolve_device
from dimix.machine.plain import plain

Report = Callable[[str, str], None]


def lookup(cfg: Any, dotted: str) -> Any:
    """Value of a dotted key; None if the config has no such key."""
    for name in dotted.split("."):
        if not isinstance(cfg, dict) or name not in cfg:
            return None
        cfg = cfg[name]
    return cfg


def agent_input(env_cfg: EasyDict, info: EnvInfo) -> AgentInput:
    """The network input of one agent: its observation plus what the config appends to it."""
    return AgentInput(info.obs_shape, info.action_shape, info.agent_num, env_cfg.obs_last_action, env_cfg.obs_agent_id)


#: Keys derived from other settings and from the environment's sizes, and how to compute them.
DERIVED: dict[str, Callable[[EasyDict, EnvInfo], Any]] = {
    "env.agent_num": lambda cfg, info: info.agent_num,
    "policy.model.agent_num": lambda cfg, info: info.agent_num,
    "policy.model.obs_shape": lambda cfg, info: agent_input(cfg.env, info).size,
    "policy.model.global_obs_shape": lambda cfg, info: plain(info.global_obs_shape),
    "policy.model.action_shape": lambda cfg, info: info.action_shape,
    "policy.model.agent_types": lambda cfg, info: plain(info.agent_types),
    "policy.model.entities": lambda cfg, info: place_entities(info, agent_input(cfg.env, info)),
    "policy.model.state_entities": lambda cfg, info: _as_dicts(info.state_entities) if info.state_entities else None,
    "policy.collect.env_num": lambda cfg, info: cfg.env.collector_env_num,
    "policy.eval.env_num": lambda cfg, info: cfg.env.evaluator_env_num,
}


#: Keys and branches that a resumed run may change: they do not affect training up to the point where it stops.
FREE_KEYS = ("exp_name", "run", "env.stop_value", "env.jitter_eval.stop_value", "env.replay", "create_config.callback")


def is_of(key: str, branches: Iterable[str]) -> bool:
    """Whether a dotted key is one of these keys, or lies in one of these branches."""
    return any(key == branch or key.startswith(f"{branch}.") for branch in branches)


def fill_sizes(cfg: EasyDict, info: EnvInfo, given: Callable[[str], Any], report: Report) -> None:
    """Write the `DERIVED` keys into the config and report values of the user's that contradict them.

    Args:
        cfg: the merged config, changed in place.
        info: sizes of the environment.
        given: maps a dotted key to the user's value, None if not given.
        report: called with (key, message) for each contradiction.
    """
    for key, derive in DERIVED.items():
        path, _, name = key.rpartition(".")
        value, branch = derive(cfg, info), lookup(cfg, path) or {}
        user = branch.get(name)
        if given(key) is not None and user is not None and user not in (value, [value]):
            report(key, f"{user!r}, but {_origin(key, cfg, info)}. Use {value}, or leave the key out.")
        if name in branch or path == "policy.model":  # a user's own model may read any of them
            branch[name] = value


def _origin(key: str, cfg: EasyDict, info: EnvInfo) -> str:
    """Where a derived value comes from, in words."""
    value = DERIVED[key](cfg, info)
    if key.endswith(".env_num"):
        return f"env.{'collector' if key == 'policy.collect.env_num' else 'evaluator'}_env_num = {value}"
    if key != "policy.model.obs_shape":
        return f"{info.name} has {value}"
    parts = f"{info.obs_shape} observed"
    parts += f" + {info.action_shape} last action" if cfg.env.obs_last_action else ""
    parts += f" + {info.agent_num} agent id" if cfg.env.obs_agent_id else ""
    return f"{info.name} has {value} ({parts})"


def without_derived(main: Mapping[str, Any]) -> dict[str, Any]:
    """The main config without derived keys, so that they are computed afresh wherever it is used."""

    def kept(tree: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        return {
            name: kept(value, f"{prefix}{name}.") if isinstance(value, Mapping) else value
            for name, value in tree.items()
            if prefix + name not in DERIVED and prefix + name != "policy.type"  # set by create_config.policy.type
        }

    return kept(main, "")


def _as_dicts(kinds: Iterable[Entities]) -> list[dict[str, Any]]:
    # Leave out empty tuples (the default), so that configs saved before named_by existed compare equal.
    return [{key: plain(value) for key, value in asdict(kind).items() if value != ()} for kind in kinds]


def place_entities(info: EnvInfo, joined: AgentInput) -> list[dict[str, Any]] | None:
    """Positions of the units in an agent's network input: in the observation, and in the last action after it."""
    if info.entities is None:
        return None

    def last_action(action: int | None) -> int | None:
        return None if action is None or not joined.last_action else joined.last_action_column + action

    return [{**kind, "last_action": last_action(kind["action"])} for kind in _as_dicts(info.entities)]


def check_combination(cfg: EasyDict, report: Report) -> None:
    """Report keys that are valid one by one but not together."""
    batch, capacity = (
        lookup(cfg, "policy.learn.batch_size"),
        lookup(cfg, "policy.other.replay_buffer.replay_buffer_size"),
    )
    if batch and capacity and batch > capacity:
        report(
            "policy.learn.batch_size",
            f"{batch} is more than policy.other.replay_buffer.replay_buffer_size = {capacity}. "
            "Use a smaller batch or a larger buffer.",
        )
    burnin, unroll = lookup(cfg, "policy.collect.burnin_len"), lookup(cfg, "policy.collect.unroll_len")
    if burnin and (unroll is None or burnin >= unroll):
        found = (
            "whole episodes are sampled (policy.collect.unroll_len = None)"
            if unroll is None
            else f"unroll_len = {unroll}"
        )
        report("policy.collect.burnin_len", f"{burnin}, but {found}. Use a burn-in shorter than the window.")
    start, end = lookup(cfg, "policy.other.eps.start"), lookup(cfg, "policy.other.eps.end")
    if start is not None and end is not None and end > start:
        report("policy.other.eps.end", f"{end} is more than policy.other.eps.start = {start}. Epsilon only falls.")
    anneal_step = lookup(cfg, "policy.other.replay_buffer.anneal_step")
    if anneal_step and not lookup(cfg, "policy.priority_IS_weight"):
        report(
            "policy.other.replay_buffer.anneal_step",
            f"{anneal_step}, but there are no importance weights for beta to shape. "
            "Set policy.priority and policy.priority_IS_weight to True too.",
        )
    if lookup(cfg, "policy.model.any_size") and lookup(cfg, "env.obs_agent_id"):
        why = "True, but env.obs_agent_id is True, and ids are as many as the agents"
        report("policy.model.any_size", f"{why}. Use env.obs_agent_id=False.")
    _check_device(cfg, report)
    folder = lookup(cfg, "exp_name")
    if folder is not None and not (folder.strip() and Path(folder).resolve().name):
        report("exp_name", f"{folder!r} names no folder of its own. Give it a name, or leave the key out.")


#: Keys of which every worker needs a share.
SHARED = ("env.collector_env_num", "policy.collect.n_episode", "policy.learn.batch_size")


def settle_workers(cfg: EasyDict, sums_gradients: bool, report: Report) -> None:
    """Replace ``run.workers="auto"`` by a number, and report a number that cannot work."""
    workers, obstacle = cfg.run.workers, ""
    if not sums_gradients:
        obstacle = f"policy '{cfg.policy.type}' does not sum its gradients over several (Policy.sums_gradients)"
    if workers == "auto":
        eighths = min(cfg.env.collector_env_num, cfg.policy.collect.n_episode, cfg.policy.learn.batch_size // 8)
        on_cpu = resolve_device(cfg.policy.device, cfg.policy.cuda).type == "cpu"
        cfg.run.workers = 1 if obstacle or not on_cpu else max(1, min(usable_cores(), eighths))
    elif workers > 1:
        if obstacle:
            report("run.workers", f"{workers}, but {obstacle}. Use 1.")
        for key in SHARED:
            total = lookup(cfg, key)
            if cfg.policy.get("on_policy"):  # all make their updates on the same number of steps
                if key != "policy.collect.n_episode" and total % workers:
                    report("run.workers", f"{workers} does not divide {key} = {total}. On policy, shares are equal.")
            elif total < workers:
                report("run.workers", f"{workers}, but {key} = {total}, and each takes a share. Use at most {total}.")


def _check_device(cfg: EasyDict, report: Report) -> None:
    device, cuda = lookup(cfg, "policy.device"), lookup(cfg, "policy.cuda")
    try:
        resolve_device("auto" if device is None else device, bool(cuda))
    except ConfigError as e:
        key, _, text = str(e).partition(": ")
        report("policy.cuda" if cuda and device in (None, "auto") else key, text)
