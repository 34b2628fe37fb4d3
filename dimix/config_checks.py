"""Checks that need more than one key of a config: sizes against the environment, combinations that cannot work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from easydict import EasyDict

from dimix.envs.agent_input import AgentInput
from dimix.envs.vec_env import EnvInfo
from dimix.errors import ConfigError
from dimix.torch_utils import resolve_device

Report = Callable[[str, str], None]


def lookup(cfg: Any, dotted: str) -> Any:
    """The value of a dotted key, None when the config has no such key."""
    for name in dotted.split("."):
        if not isinstance(cfg, dict) or name not in cfg:
            return None
        cfg = cfg[name]
    return cfg


def agent_input(env_cfg: EasyDict, info: EnvInfo) -> AgentInput:
    """What one agent's network reads: its observation and what the config appends to it."""
    return AgentInput(info.obs_shape, info.action_shape, info.agent_num, env_cfg.obs_last_action, env_cfg.obs_agent_id)


def fill_sizes(cfg: EasyDict, info: EnvInfo, given: Callable[[str], Any], report: Report) -> None:
    """Write the sizes that the environment knows into the config, and compare those that the user gave as well.

    Args:
        cfg: the merged config, changed in place.
        info: sizes of the environment.
        given: value that the user gave for a dotted key, None when not given.
        report: called with (key, message) for each contradiction.
    """
    joined = agent_input(cfg.env, info)
    parts = f"{info.obs_shape} observed"
    parts += f" + {info.action_shape} last action" if cfg.env.obs_last_action else ""
    parts += f" + {info.agent_num} agent id" if cfg.env.obs_agent_id else ""
    known = {
        "env.agent_num": (info.agent_num, ""),
        "policy.model.agent_num": (info.agent_num, ""),
        "policy.model.obs_shape": (joined.size, f" ({parts})"),
        "policy.model.global_obs_shape": (_plain(info.global_obs_shape), ""),
        "policy.model.action_shape": (info.action_shape, ""),
        "policy.model.agent_types": (_plain(info.agent_types), ""),
        "policy.model.entities": (place_entities(info, joined), ""),
    }
    for key, (value, why) in known.items():
        user = _plain(given(key))
        if user is not None and user not in (value, [value]):
            report(key, f"{user!r}, but {info.name} has {value}{why}. Use {value}, or leave the key out.")
    cfg.policy.model.update({key.rpartition(".")[2]: value for key, (value, _) in known.items() if ".model." in key})
    if "agent_num" in cfg.env:
        cfg.env.agent_num = info.agent_num
    for mine, envs in (("collect", "collector_env_num"), ("eval", "evaluator_env_num")):
        key = f"policy.{mine}.env_num"
        branch = cfg.policy.get(mine, {})
        if "env_num" in branch:
            user = given(key)
            if user is not None and user != cfg.env[envs]:
                report(key, f"{user!r}, but env.{envs} = {cfg.env[envs]}. Use {cfg.env[envs]}, or leave the key out.")
            branch.env_num = cfg.env[envs]


def place_entities(info: EnvInfo, joined: AgentInput) -> list[dict[str, Any]] | None:
    """Where the units are in what an agent's network reads: in the observation, and in the last action behind it."""
    if info.entities is None:
        return None

    def last_action(action: int | None) -> int | None:
        return None if action is None or not joined.last_action else joined.last_action_column + action

    kinds = [{**asdict(kind), "last_action": last_action(kind.action)} for kind in info.entities]
    # without empty tuples, the default: configs saved before there was named_by stay equal
    return [{key: _plain(value) for key, value in kind.items() if value != ()} for kind in kinds]


def _plain(value: Any) -> Any:
    """A tuple as the list that a saved config holds."""
    return list(value) if isinstance(value, tuple) else value


def check_combination(cfg: EasyDict, report: Report) -> None:
    """Report keys that fit one by one but not together."""
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
    _check_device(cfg, report)


def _check_device(cfg: EasyDict, report: Report) -> None:
    device, cuda = lookup(cfg, "policy.device"), lookup(cfg, "policy.cuda")
    try:
        resolve_device(device or "auto", bool(cuda))
    except ConfigError as e:
        key, _, text = str(e).partition(": ")
        report("policy.cuda" if cuda and device in (None, "auto") else key, text)
