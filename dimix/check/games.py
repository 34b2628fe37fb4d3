"""Games with known answers: trained on every way to play them, each once, then played greedily."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from torch import Tensor

from dimix.check.oracles import Entry
from dimix.config import CompiledConfig, compile_all
from dimix.entry.rooms import make_agent_input, make_env, make_policy
from dimix.envs.vec_env import EnvInfo
from dimix.policy.base_policy import ActMode, Policy
from dimix.types import EpisodeBatch
from dimix.worker import Collector, Evaluator, ReplayBuffer

#: Steps at the front of a game at which there is nothing to choose, and how many beginnings its copies take in turns.
WAITS, BEGINNINGS = {"cue": 3}, {"cue": 2}


def config(game: str, policy: str, updates: dict[str, Any], seed: int = 0, **model: Any) -> CompiledConfig:
    """A small training on a matrix game, with one environment for every way to play it.

    Args:
        game: name of the game.
        policy: registered name of the policy.
        updates: keys of ``policy.learn``.
        seed: of the run.
        model: keys of ``policy.model``.
    """
    learn = dict(td_lambda=0.0, learning_rate=0.01, target_update_theta=0.1, average_theta=1.0)
    small = dict(hidden_size_list=[32], lstm_type="mlp")
    mixing = {} if policy == "qtran" else dict(mixer_embed_dim=8, hypernet_embed_dim=16)
    env = dict(map_name=game, obs_last_action=False)
    branches = dict(learn={**learn, **updates}, model={**small, **mixing, **model})
    sizes = compile_all((dict(env=env), dict(env=dict(type="matrix_game")))).info
    main = dict(env=dict(env, collector_env_num=len(_plan(sizes))), policy=branches)
    return compile_all((main, dict(env=dict(type="matrix_game"), policy=dict(type=policy))), seed=seed)


def _plan(info: EnvInfo) -> np.ndarray:
    """(games, T, A) int64: every sequence of joint actions, once for each beginning of the game."""
    waits = WAITS.get(info.name, 0)
    free = (info.episode_limit - waits, info.agent_num)
    every = np.array(list(itertools.product(range(info.action_shape), repeat=math.prod(free)))).reshape(-1, *free)
    every = np.concatenate([np.zeros((len(every), waits, info.agent_num), np.int64), every], 1)
    return np.repeat(every, BEGINNINGS.get(info.name, 1), axis=0)


def every_game(compiled: CompiledConfig, policy: Policy) -> EpisodeBatch:
    """One episode per game of the plan, played by the collector and sampled from the replay buffer."""
    info, agent_input = compiled.info, make_agent_input(compiled)
    env, plan = make_env(compiled, "collect"), _plan(info)

    def play(obs: Any, hidden_state: Tensor, epsilon: float) -> tuple[np.ndarray, Tensor]:
        return plan[np.arange(len(plan)), env.episode_length], hidden_state

    buffer = ReplayBuffer(len(plan), info, agent_input, tuple(policy.init_hidden(1).shape[1:]))
    Collector(env, ActMode(play, policy.init_hidden, dict, lambda state: None), buffer, agent_input).collect(len(plan))
    return buffer.gather(np.arange(len(plan)))


def greedy_return(
    game: str, policy: str, n_updates: int, learn: dict[str, Any] | None = None, seed: int = 0, **model: Any
) -> tuple[float, dict[str, Any]]:
    """What the greedy team earns after training on every game at once, and the last update's metrics."""
    compiled = config(game, policy, learn or {}, seed, **model)
    team = make_policy(compiled)
    batch = every_game(compiled, team)
    metrics: dict[str, Any] = {}
    for _ in range(n_updates):
        metrics = team.learn_mode.forward(batch)
    evaluator = Evaluator(make_env(compiled, "evaluate"), team.eval_mode, make_agent_input(compiled))
    return evaluator.evaluate(compiled.cfg.env.evaluator_env_num).ep_reward, metrics


def _game(game: str, policy: str, expected: float, n_updates: int, **options: Any) -> tuple[bool, str]:
    found, _ = greedy_return(game, policy, n_updates, **options)
    return found == expected, f"return {found:g}"


def _entry(name: str, proves: str, *args: Any, **options: Any) -> Entry:
    return name, proves, f"return {args[2]:g}", lambda: _game(*args, **options)


CALM = dict(reward_scale=0.1, learning_rate=0.002, nopt_min_weight=1.0)  # larger steps towards -12 kill its ReLUs
TWO, ROWS, CUE = "two_step", "non_monotonic", "cue"

GAMES: list[Entry] = [
    _entry("QMIX, two steps", "finds the best of its paper", TWO, "qmix", 8.0, 600),
    _entry("VDN, two steps", "a sum settles for the safe one", TWO, "vdn", 7.0, 600),
    _entry("QMIX, rows", "a monotonic value cannot hold it", ROWS, "qmix", 0.0, 300),
    _entry("OW-QMIX, rows", "finds the best", ROWS, "wqmix", 8.0, 400, learn=dict(wqmix_ow=True, alpha=0.1)),
    _entry("CW-QMIX, rows", "finds the best", ROWS, "wqmix", 8.0, 400, learn=dict(wqmix_ow=False, alpha=0.1)),
    _entry("QTRAN-base, rows", "finds the best", ROWS, "qtran", 8.0, 500, learn=dict(qtran="base", **CALM)),
    _entry("QTRAN-alt, rows", "finds the best", ROWS, "qtran", 8.0, 500, learn=dict(qtran="alt", **CALM)),
    _entry("GRU, memory", "answers both cues", CUE, "qmix", 1.0, 500, lstm_type="gru"),
    _entry("LSTM, memory", "answers both cues", CUE, "qmix", 1.0, 500, lstm_type="lstm"),
    _entry("MLP, memory", "cannot tell them apart: chance", CUE, "qmix", 0.5, 500, lstm_type="mlp"),
]
