"""Builds the components of a run from a compiled config. Together, their states are the state of the run."""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch
from easydict import EasyDict

from dimix.callbacks import Callback
from dimix.config.checks import agent_input, lookup
from dimix.config.compile import CompiledConfig
from dimix.envs.agent_input import AgentInput
from dimix.envs.curriculum import Curriculum
from dimix.envs.recordable import Recordable
from dimix.envs.vec_env import VecEnv
from dimix.errors import ConfigError, TrainingError
from dimix.machine.device import resolve_device
from dimix.machine.ranks import ALONE, Ranks
from dimix.machine.seeds import set_pkg_seed
from dimix.machine.signals import StopSignals, say
from dimix.policy.base import Policy
from dimix.policy.schedule import Schedule
from dimix.registry import CALLBACK_REGISTRY
from dimix.replay.buffer import ReplayBuffer
from dimix.replay.priorities import Priorities
from dimix.replay.rollout_buffer import RolloutBuffer
from dimix.replay.step_store import StepStore
from dimix.worker import Collector, CollectStats, Evaluator, Learner
from dimix.worker.evaluator import PlayedGame

R = TypeVar("R")

#: The random streams of a run; each has its own seed, derived from the run's seed and this order.
STREAMS = ("collect", "evaluate", "evaluate_jitter", "policy", "replay")


def stream_seed(seed: int, stream: str, rank: int = 0) -> int:
    """Seed of one of a run's `STREAMS`; streams, runs and ranks are independent of each other."""
    entropy = [seed, STREAMS.index(stream), *([rank] if rank else [])]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))


def make_env(compiled: CompiledConfig, role: str, out: Callable[[str], None] = say, ranks: Ranks = ALONE) -> VecEnv:
    """Create the environments of a role, or a rank's share: ``collect``, ``evaluate`` or ``evaluate_jitter``."""
    cfg = compiled.branch("env")
    num_envs = ranks.share(cfg.collector_env_num if role == "collect" else cfg.evaluator_env_num)
    env = compiled.env_class.create(cfg, role, max(num_envs, 1), stream_seed(compiled.cfg.seed, role, ranks.rank))
    env.out = out
    return env


def compile_once(compiled: CompiledConfig, out: Callable[[str], None]) -> None:
    """Compile the simulator here if necessary, rather than in every child at the same time."""
    if notice := compiled.env_class.compile_notice():
        out(notice)
        make_env(compiled, "evaluate").close()


def make_curriculum(compiled: CompiledConfig, env: VecEnv, ranks: Ranks = ALONE) -> Curriculum | None:
    """The curriculum of the ``collect`` environments; None if every episode begins at its start."""
    seed = stream_seed(compiled.cfg.seed, "collect", ranks.rank)
    return compiled.env_class.curriculum(compiled.branch("env"), env, seed)


def make_agent_input(compiled: CompiledConfig) -> AgentInput:
    """Build the agents' input as configured."""
    return agent_input(compiled.cfg.env, compiled.info)


def make_policy(compiled: CompiledConfig, ranks: Ranks = ALONE) -> Policy:
    """Create the policy with fresh weights, after seeding the global random streams; the weights of all ranks agree."""
    set_pkg_seed(compiled.cfg.seed)
    cfg, seed = compiled.branch("policy"), stream_seed(compiled.cfg.seed, "policy", ranks.rank)
    if ranks.size == 1:
        return compiled.policy_class(cfg, seed=seed)
    device = resolve_device(str(ranks.device(resolve_device(cfg.device, cfg.cuda))))
    policy = compiled.policy_class(cfg, device=device, seed=seed, ranks=ranks)
    if ranks.rank:
        set_pkg_seed(seed)  # what a policy draws from them while it learns differs between the ranks
    return policy


def make_buffer(
    compiled: CompiledConfig, policy: Policy, agent_input: AgentInput, ranks: Ranks = ALONE
) -> StepStore:
    """The buffer of a policy: of its latest steps if it learns on policy, else of its latest episodes."""
    cfg = compiled.branch("policy")
    same: dict[str, Any] = dict(
        info=compiled.info,
        agent_input=agent_input,
        hidden_shape=tuple(policy.init_hidden(1).shape[1:]),
        unroll_len=cfg.collect.unroll_len,
        burnin_len=cfg.collect.burnin_len,
        seed=stream_seed(compiled.cfg.seed, "replay", ranks.rank),
        pinned=policy.device.type == "cuda",
    )
    if cfg.get("on_policy"):
        return RolloutBuffer(**same)
    replay = cfg.other.replay_buffer
    buffer = ReplayBuffer(
        ranks.share(replay.replay_buffer_size),
        start_state=cfg.collect.start_state,
        priorities=Priorities(replay.alpha, replay.beta, replay.anneal_step, ranks) if cfg.priority else None,
        **same,
    )
    if ranks.size > 1:  # each has only checked its own share
        replace(buffer.plan, capacity=replay.replay_buffer_size * ranks.local_size // ranks.size).check()
    return buffer


def collect_goal(cfg: EasyDict) -> dict[str, int]:
    """What each collection of a run with this config plays: arguments of `Collector.collect`."""
    policy = cfg.policy
    if policy.get("on_policy"):
        return {"n_step": policy.collect.unroll_len * cfg.env.collector_env_num}
    return {"n_episode": policy.collect.n_episode}


def make_callbacks(compiled: CompiledConfig) -> list[Callback]:
    """Create the callbacks of ``run.callbacks``, in the order written.

    Raises:
        ConfigError: one of them cannot work here.
    """
    named = compiled.branch("run").callbacks
    return [CALLBACK_REGISTRY.get(name)(**options) for name, options in named.items()]


def jitter_games(compiled: CompiledConfig) -> int:
    """Number of evaluation games from jittered starts; 0 if the environment has none."""
    return (lookup(compiled.cfg, "env.jitter_eval.n_episode") or 0) if compiled.info.has_jitter else 0


def jitter_stop_value(compiled: CompiledConfig) -> float:
    """Mean win rate from jittered starts that a run needs to stop; 0 if they do not count, or none are played."""
    return lookup(compiled.cfg, "env.jitter_eval.stop_value") if jitter_games(compiled) else 0.0


def _together(method: Callable[..., R]) -> Callable[..., R]:
    """A method of `Rooms` that rank 0 calls, and the others with it, in `Rooms.follow`."""

    @functools.wraps(method)
    def call(self: Rooms, *args: Any) -> R:
        if self.ranks.rank == 0:
            self.ranks.broadcast((method.__name__, args))
        return method(self, *args)

    return call


class Rooms:
    """The components of a training run; of one of its ranks, which holds its share of them.

    Args:
        compiled: the config.
        out: called with each line that the environments print.
        ranks: the processes that train together.
        signals: told to rank 0 when another rank receives one.

    Attributes:
        ranks: these.
        env_step, episode_count, episodes_lost, sampled_steps: as in collector and learner, summed over the ranks.
        policy: the policy.
        buffer: what the learner samples from.
        collector: plays training games.
        learner: makes updates.
        evaluator: plays greedy games.
        jitter_evaluator: plays greedy games from jittered starts; None if the environment has none.
        epsilon: probability of a random action by env step.

    Raises:
        ConfigError: not enough memory, or games that cannot be recorded should be.
        EnvError: an environment cannot be created.
    """

    def __init__(
        self,
        compiled: CompiledConfig,
        out: Callable[[str], None] = say,
        ranks: Ranks = ALONE,
        signals: StopSignals | None = None,
    ) -> None:
        self.ranks = ranks
        self._signals = signals or StopSignals()
        self.env_step = self.episode_count = self.episodes_lost = self.sampled_steps = 0
        self._started = time.process_time()
        policy_cfg = compiled.branch("policy")
        agent_input = make_agent_input(compiled)
        self.policy = make_policy(compiled, ranks)
        self.buffer = make_buffer(compiled, self.policy, agent_input, ranks)
        env = make_env(compiled, "collect", out, ranks)
        curriculum = make_curriculum(compiled, env, ranks)
        self.collector = Collector(env, self.policy.collect_mode, self.buffer, agent_input, curriculum)
        self.learner = Learner(self.policy.learn_mode, self.buffer, ranks.share(policy_cfg.learn.batch_size), ranks)
        self.evaluator = Evaluator(make_env(compiled, "evaluate", out, ranks), self.policy.eval_mode, agent_input)
        self.jitter_evaluator = (
            Evaluator(make_env(compiled, "evaluate_jitter", out, ranks), self.policy.eval_mode, agent_input)
            if jitter_games(compiled)
            else None
        )
        every = lookup(compiled.cfg, "env.replay.every")
        if every and not isinstance(self.evaluator.env, Recordable):
            kind = type(self.evaluator.env).__name__
            raise ConfigError(f"env.replay.every: {every}, but {compiled.info.name} ({kind}) has no replays. Use 0.")
        eps = policy_cfg.other.eps
        self.epsilon = Schedule(eps.type, eps.start, eps.end, eps.decay)

    # ---- what all ranks do together ----------------------------------------------------------------------------------

    def follow(self) -> Any:
        """Do what rank 0 does until it ends the run; returns what it passed to `end`."""
        while True:
            name, args = self.ranks.broadcast()
            if name == "end":
                return args[0]
            getattr(self, name)(*args)

    def end(self, result: Any) -> None:
        """Dismiss the other ranks."""
        self.ranks.broadcast(("end", (result,)))

    @_together
    def start_others(self) -> None:
        """Start the training games of all ranks but 0."""
        if self.ranks.rank:
            self.collector.start(lambda line: None)

    @_together
    def collect(self, goal: Mapping[str, int], epsilon: float) -> CollectStats:
        """See `Collector.collect`; each rank plays its share of the goal, see `collect_goal`."""
        stats = self.collector.collect(epsilon=epsilon, **{unit: self.ranks.share(n) for unit, n in goal.items()})
        parts = self.ranks.every((stats, self._signals.received))
        if (heard := next((signal for _, signal in parts if signal), None)) is not None:
            self._signals.received = self._signals.received or heard
        self._count()
        return CollectStats.of([stats for stats, _ in parts])

    @_together
    def update(self, n_updates: int, episode_count: int) -> dict[str, float]:
        """See `Learner.train`; the metrics are means over the ranks, by the steps they learned from."""
        before = self.learner.sampled_steps
        metrics = self.learner.train(n_updates, episode_count)
        parts = self.ranks.every((metrics, self.learner.sampled_steps - before))
        self._count()
        return metrics if len(parts) == 1 else _weighted(parts)

    @_together
    def evaluate(self, jittered: bool, n_episode: int, epsilon: float) -> list[PlayedGame]:
        """See `Evaluator.play`; each rank plays its share of the games."""
        evaluator = self.jitter_evaluator if jittered else self.evaluator
        assert evaluator is not None
        played = self.ranks.every(evaluator.play(self.ranks.share(n_episode), epsilon))
        return [game for games in played for game in games]

    @_together
    def cpu_seconds(self) -> float:
        """Processor time of all ranks so far."""
        return sum(self.ranks.every(time.process_time() - self._started))

    @_together
    def states(self) -> list[dict[str, Any]]:
        """The state of each rank, on rank 0.

        Raises:
            TrainingError: the ranks' networks differ.
        """
        states = self.ranks.gather(self.state_dict())
        networks = [_networks(state) for state in states]
        if any(not torch.equal(x, y) for other in networks[1:] for x, y in zip(networks[0], other, strict=True)):
            raise TrainingError(
                f"the networks of the {self.ranks.size} workers differ: the policy does not sum its gradients, or "
                "their machines compute differently. Use run.workers=1."
            )
        return states

    def load_states(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Give each rank the state that `states` returned for it."""
        self.ranks.broadcast(("_receive", ()))
        self._receive(states)

    def _receive(self, states: Sequence[Mapping[str, Any]] | None = None) -> None:
        self.load_state_dict(self.ranks.scatter(states))
        self._count()

    @_together
    def share_weights(self) -> None:
        """Give all ranks what rank 0's policy has learned."""
        if self.ranks.size > 1:
            learn = self.policy.learn_mode
            learn.load_state_dict(self.ranks.broadcast(learn.state_dict()))

    def _count(self) -> None:
        """Sum the counters over the ranks."""
        mine = (
            *(self.collector.env_step, self.collector.episode_count, self.collector.episodes_lost),
            self.learner.sampled_steps,
        )
        self.env_step, self.episode_count, self.episodes_lost, self.sampled_steps = map(
            sum, zip(*self.ranks.every(mine), strict=True)
        )

    # ---- state -------------------------------------------------------------------------------------------------------

    def policy_state(self) -> dict[str, Any]:
        """State of the policy's three modes."""
        policy = self.policy
        return {
            "learn": policy.learn_mode.state_dict(),
            "collect": policy.collect_mode.state_dict(),
            "eval": policy.eval_mode.state_dict(),
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything that determines how the run continues."""
        return {
            "policy": self.policy_state(),
            "buffer": self.buffer.state_dict(),
            "collector": self.collector.state_dict(),
            "learner": self.learner.state_dict(),
            "evaluator": self.evaluator.state_dict(),
            "jitter_evaluator": self.jitter_evaluator.state_dict() if self.jitter_evaluator else None,
            "global_streams": _global_streams(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore exactly what ``state_dict`` returned.

        Raises:
            CheckpointError: the state is from another network or other environments.
        """
        policy = self.policy
        policy.learn_mode.load_state_dict(state["policy"]["learn"])
        policy.collect_mode.load_state_dict(state["policy"]["collect"])
        policy.eval_mode.load_state_dict(state["policy"]["eval"])
        self.buffer.load_state_dict(state["buffer"])
        self.collector.load_state_dict(state["collector"])
        self.learner.load_state_dict(state["learner"])
        self.evaluator.load_state_dict(state["evaluator"])
        if self.jitter_evaluator:
            self.jitter_evaluator.load_state_dict(state["jitter_evaluator"])
        _load_global_streams(state["global_streams"])

    def close(self) -> None:
        """Close the environments and end their processes."""
        for room in (self.collector, self.evaluator, self.jitter_evaluator):
            if room is not None:
                room.close()


def _weighted(parts: Sequence[tuple[Mapping[str, float], int]]) -> dict[str, float]:
    """Mean of each metric over those who have it, given (metrics, weight)."""
    names = {name: None for metrics, _ in parts for name in metrics}
    having = {name: [(metrics[name], weight) for metrics, weight in parts if name in metrics] for name in names}
    return {name: sum(x * w for x, w in pairs) / sum(w for _, w in pairs) for name, pairs in having.items()}


def _networks(state: Mapping[str, Any]) -> list[torch.Tensor]:
    """All weights in a rank's state."""
    learned = state["policy"]["learn"]
    return [x for name in learned if name.endswith("model") for x in learned[name].values()]


def _global_streams() -> dict[str, Any]:
    """State of the process-wide generators. Dimix does not draw from them while training, but a user's policy may."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    numpy_state = {"name": name, "keys": np.asarray(keys), "rest": [int(position), int(has_gauss), float(gauss)]}
    version, words, gauss_next = random.getstate()
    return {"torch": torch.get_rng_state(), "numpy": numpy_state, "python": [version, list(words), gauss_next]}


def _load_global_streams(state: Mapping[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    saved = state["numpy"]
    np.random.set_state((saved["name"], saved["keys"], *saved["rest"]))
    version, words, gauss_next = state["python"]
    random.setstate((version, tuple(words), gauss_next))
