"""Games with known answers: train on every possible course of the game, then play greedily."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from dimix.check.batches import selected
from dimix.check.oracles import Entry
from dimix.config.compile import CompiledConfig, compile_all
from dimix.entry.rooms import make_agent_input, make_env, make_policy
from dimix.envs.vec_env import EnvInfo
from dimix.policy.base import ActMode, Policy
from dimix.replay.batch import EpisodeBatch
from dimix.replay.buffer import ReplayBuffer
from dimix.worker import Collector, Evaluator

#: Leading steps of a game without a choice, and the number of beginnings that its copies cycle through.
WAITS, BEGINNINGS = {"cue": 3}, {"cue": 2}
LAST = 100  # updates whose metrics are averaged, since a single one may be a spike


def config(game: str, policy: str, updates: dict[str, Any], seed: int = 0, **model: Any) -> CompiledConfig:
    """A small training on a matrix game, with one environment for every way to play it.

    ``updates`` are keys of ``policy.learn``, ``model`` those of ``policy.model``.
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
    """One episode for each row of the plan, played by the collector and sampled from the replay buffer."""
    info, agent_input = compiled.info, make_agent_input(compiled)
    env, plan = make_env(compiled, "collect"), _plan(info)

    def play(obs: Any, hidden_state: Tensor, epsilon: float) -> tuple[np.ndarray, Tensor]:
        return plan[np.arange(len(plan)), env.episode_length], hidden_state

    buffer = ReplayBuffer(len(plan), info, agent_input, tuple(policy.init_hidden(1).shape[1:]))
    Collector(env, ActMode(play, policy.init_hidden, dict, lambda state: None), buffer, agent_input).collect(len(plan))
    return buffer.gather(np.arange(len(plan)))


def greedy_return(
    game: str, policy: str, n_updates: int, learn: dict[str, Any] | None = None, seed: int = 0, draws: int = 0,
    **model: Any,
) -> tuple[float, dict[str, float]]:  # fmt: skip
    """Train on every game at once, or with ``draws`` on that many drawn anew for each update.

    Returns:
        The greedy team's return and the mean metrics of the last updates.
    """
    compiled = config(game, policy, learn or {}, seed, **model)
    team = make_policy(compiled)
    batch = every_game(compiled, team)
    rng, games = np.random.default_rng(seed), len(batch.action)
    batches = (selected(batch, rng.integers(games, size=draws)) if draws else batch for _ in range(n_updates))
    metrics = [team.learn_mode.forward(each) for each in batches][-LAST:]
    means = {name: sum(float(m[name]) for m in metrics) / len(metrics) for name in team.learn_mode.monitor_vars()}
    evaluator = Evaluator(make_env(compiled, "evaluate"), team.eval_mode, make_agent_input(compiled))
    return evaluator.evaluate(compiled.cfg.env.evaluator_env_num).ep_reward, means


@dataclass(frozen=True)
class Known:
    """The return that one policy must earn in a game, whatever its initial weights, or from some of a few.

    Attributes:
        name: short name.
        proves: what the check shows, in a few words.
        game: name of the game.
        policy: registered name of the policy.
        expected: the greedy team's return; None if it depends on the initial weights.
        n_updates: updates that suffice, measured over many seeds.
        learn: keys of ``policy.learn``.
        model: keys of ``policy.model``.
        least_loss: smallest loss that values of this kind can reach on the game.
        draws: see `greedy_return`.
        tries: initial weights tried until one leads to the expected return.
    """

    name: str
    proves: str
    game: str
    policy: str
    expected: float | None
    n_updates: int
    learn: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    least_loss: float = 0.0
    draws: int = 0
    tries: int = 1

    @property
    def answer(self) -> str:
        """The right answer, in words."""
        return f"loss >= {self.least_loss:g}" if self.expected is None else f"return {self.expected:g}"

    def train(self, seed: int = 0) -> tuple[float, dict[str, float]]:
        """See `greedy_return`; of the last try."""
        for n in range(self.tries):
            own = seed + 1_000_000 * n
            found = greedy_return(self.game, self.policy, self.n_updates, self.learn, own, self.draws, **self.model)
            if found[0] == self.expected:
                break
        return found

    def check(self) -> tuple[bool, str]:
        """Whether training found the answer, and what it found."""
        earned, metrics = self.train()
        if self.expected is None:
            return metrics["loss"] > 0.999 * self.least_loss, f"loss {metrics['loss']:.2f}"
        return earned == self.expected, f"return {earned:g}"


CALM = dict(reward_scale=0.1, learning_rate=0.002, nopt_min_weight=1.0)  # larger steps towards -12 kill the ReLUs
#: Where QPLEX's greedy action is not the best one, the others' advantages have to pass 0, where lambda would have to be
#: infinite to keep the table: the noise of drawn games takes them across, with most first weights (so a few may be
#: tried), and a falling learning rate ends it.
LEAVE: dict[str, Any] = dict(
    n_updates=1500, learn=dict(learning_rate=0.02, lr_schedule="linear", lr_decay=1500),
    model=dict(hypernet_embed_dim=64), draws=16, tries=4,
)  # fmt: skip
TWO, ROWS, CLIMB, CUE = "two_step", "non_monotonic", "climbing", "cue"
#: Half the mean squared error of the best monotonic value for `ROWS`, found by pooling cells that it cannot order: keep
#: the 8 and set the other eight cells to -6 (16), or keep the four zeros and set the 8 and the four -12 to -8 (17.8).
#: Both are minima of QMIX's loss; most initial weights lead to the second, whose greedy team earns 0.
MONOTONIC = 0.5 * 8 * 6**2 / 9

KNOWN = [
    Known("QMIX, two steps", "finds the best of its paper", TWO, "qmix", 8.0, 600),
    Known("VDN, two steps", "a sum settles for the safe one", TWO, "vdn", 7.0, 600),
    Known("QMIX, rows", "a monotonic value cannot hold it", ROWS, "qmix", None, 300, least_loss=MONOTONIC),
    Known("OW-QMIX, rows", "finds the best", ROWS, "wqmix", 8.0, 600, dict(wqmix_ow=True, alpha=0.1)),
    Known("CW-QMIX, rows", "finds the best", ROWS, "wqmix", 8.0, 600, dict(wqmix_ow=False, alpha=0.1)),
    Known("QTRAN-base, rows", "finds the best", ROWS, "qtran", 8.0, 500, dict(qtran="base", **CALM)),
    Known("QTRAN-alt, rows", "finds the best", ROWS, "qtran", 8.0, 500, dict(qtran="alt", **CALM)),
    Known("QPLEX, climbing", "finds the best, of four first weights", CLIMB, "qplex", 11.0, **LEAVE),
    Known("QMIX, climbing", "settles for a safe one", CLIMB, "qmix", 6.0, 600),
    Known("GRU, memory", "answers both cues", CUE, "qmix", 1.0, 1000, model=dict(lstm_type="gru")),
    Known("LSTM, memory", "answers both cues", CUE, "qmix", 1.0, 1000, model=dict(lstm_type="lstm")),
    Known("MLP, memory", "cannot tell them apart: chance", CUE, "qmix", 0.5, 500, model=dict(lstm_type="mlp")),
]

GAMES: list[Entry] = [(known.name, known.proves, known.answer, known.check) for known in KNOWN]
