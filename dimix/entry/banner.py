"""The first lines of a run: what is trained where, sizes, replay ratio and memory."""

from __future__ import annotations

import math
from dataclasses import replace

from easydict import EasyDict

from dimix import __version__
from dimix.config.compile import CompiledConfig
from dimix.entry.rooms import Rooms, jitter_games, jitter_stop_value
from dimix.machine.text import short
from dimix.policy.optim import parameter_count
from dimix.replay.buffer import ReplayBuffer


def banner(compiled: CompiledConfig, rooms: Rooms, folder: str) -> list[str]:
    """The lines to print at the start of a run."""
    cfg, info = compiled.cfg, compiled.info
    env, policy, run = cfg.env, cfg.policy, cfg.run
    threads = f"{run.torch_threads} torch thread{'s' if run.torch_threads > 1 else ''}"
    threads = f"{run.workers} workers, {threads} each" if run.workers > 1 else threads
    unit = "episodes" if policy.collect.unroll_len is None else f"windows of {policy.collect.unroll_len} steps"
    lines = [
        f"dimix {__version__}: {policy.type} on {cfg.create_config.env.type} {info.name}, seed {cfg.seed}, "
        f"on {rooms.policy.device} ({threads})",
        f"  {info.agent_num} agents, {info.action_shape} actions, agent input {policy.model.obs_shape}, "
        f"global state {info.global_obs_shape}, limit {info.episode_limit} steps, "
        f"model of {short(parameter_count(rooms.policy.model))} parameters",
        f"  {env.collector_env_num} games side by side; after every {_round(policy)} "
        f"{policy.learn.update_per_collect} updates of {policy.learn.batch_size} {unit}: "
        f"replay ratio {replay_ratio(compiled):.3g} (steps learned from per step played)",
        f"  {_memory(rooms, policy)}",
        f"  stops {_stops(compiled)}",
        f"  writes to {folder}/",
    ]
    return lines + [f"  note: {note}" for note in compiled.notes]


def replay_ratio(compiled: CompiledConfig) -> float:
    """Expected steps learned from per step played; windows are counted for episodes of half the time limit."""
    policy, limit = compiled.cfg.policy, compiled.info.episode_limit
    if policy.get("on_policy"):
        return policy.learn.update_per_collect * policy.learn.batch_size / compiled.cfg.env.collector_env_num
    per_episode = policy.learn.update_per_collect * policy.learn.batch_size / policy.collect.n_episode
    if policy.collect.unroll_len is None:
        return per_episode
    return per_episode / math.ceil(max(limit / 2, 1) / policy.collect.unroll_len)


def _round(policy: EasyDict) -> str:
    """What is played between two rounds of updates, in words."""
    if policy.get("on_policy"):
        return f"{policy.collect.unroll_len} steps of each"
    return f"{policy.collect.n_episode} episodes"


def _memory(rooms: Rooms, policy: EasyDict) -> str:
    """What the buffers of all workers keep."""
    if isinstance(rooms.buffer, ReplayBuffer):
        return replace(rooms.buffer.plan, capacity=policy.other.replay_buffer.replay_buffer_size).text()
    return rooms.buffer.memory_plan()


def _stops(compiled: CompiledConfig) -> str:
    env, run = compiled.cfg.env, compiled.cfg.run
    what = "win rate" if compiled.info.has_win else "return"
    epsilon = compiled.cfg.policy.eval.epsilon
    games = f"{env.n_evaluator_episode} " + (f"games with epsilon {epsilon:g}" if epsilon else "greedy games")
    need = f"{env.stop_value:g}"
    if jitter_games(compiled):
        jitter = jitter_stop_value(compiled)
        games += f" (and {jitter_games(compiled)} from jittered starts{'' if jitter else ', for information'})"
        need += f" and {jitter:g} from jittered starts," if jitter else ""
    parts = [f"at {what} {need} over the last {run.stop_window} evaluations of {games}"]
    parts += [f"after {short(run.env_step)} env steps"] if run.env_step else []
    parts += [f"after {short(run.train_iter)} updates"] if run.train_iter else []
    return ", or ".join(parts)
