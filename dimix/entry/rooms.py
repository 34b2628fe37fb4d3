"""Builds the components of a run from a compiled config. Together, their states are the state of the run."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

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
from dimix.errors import ConfigError
from dimix.machine.seeds import set_pkg_seed
from dimix.machine.signals import say
from dimix.policy.base import Policy
from dimix.policy.schedule import Schedule
from dimix.registry import CALLBACK_REGISTRY
from dimix.replay.buffer import ReplayBuffer
from dimix.replay.priorities import Priorities
from dimix.replay.rollout_buffer import RolloutBuffer
from dimix.replay.step_store import StepStore
from dimix.worker import Collector, Evaluator, Learner

#: The random streams of a run; each has its own seed, derived from the run's seed and this order.
STREAMS = ("collect", "evaluate", "evaluate_jitter", "policy", "replay")


def stream_seed(seed: int, stream: str) -> int:
    """Seed of one of a run's `STREAMS`; streams and runs are independent of each other."""
    return int(np.random.SeedSequence([seed, STREAMS.index(stream)]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def make_env(compiled: CompiledConfig, role: str, out: Callable[[str], None] = say) -> VecEnv:
    """Create the environments of a role: ``collect``, ``evaluate`` or ``evaluate_jitter``."""
    cfg = compiled.branch("env")
    num_envs = cfg.collector_env_num if role == "collect" else cfg.evaluator_env_num
    env = compiled.env_class.create(cfg, role, num_envs, stream_seed(compiled.cfg.seed, role))
    env.out = out
    return env


def make_curriculum(compiled: CompiledConfig, env: VecEnv) -> Curriculum | None:
    """The curriculum of the ``collect`` environments; None if every episode begins at its start."""
    return compiled.env_class.curriculum(compiled.branch("env"), env, stream_seed(compiled.cfg.seed, "collect"))


def make_agent_input(compiled: CompiledConfig) -> AgentInput:
    """Build the agents' input as configured."""
    return agent_input(compiled.cfg.env, compiled.info)


def make_policy(compiled: CompiledConfig) -> Policy:
    """Create the policy with fresh weights, after seeding the global random streams."""
    set_pkg_seed(compiled.cfg.seed)
    return compiled.policy_class(compiled.branch("policy"), seed=stream_seed(compiled.cfg.seed, "policy"))


def make_buffer(compiled: CompiledConfig, policy: Policy, agent_input: AgentInput) -> StepStore:
    """The buffer of a policy: of its latest steps if it learns on policy, else of its latest episodes."""
    cfg = compiled.branch("policy")
    same: dict[str, Any] = dict(
        info=compiled.info,
        agent_input=agent_input,
        hidden_shape=tuple(policy.init_hidden(1).shape[1:]),
        unroll_len=cfg.collect.unroll_len,
        burnin_len=cfg.collect.burnin_len,
        seed=stream_seed(compiled.cfg.seed, "replay"),
    )
    if cfg.get("on_policy"):
        return RolloutBuffer(**same)
    replay = cfg.other.replay_buffer
    priorities = Priorities(replay.alpha, replay.beta, replay.anneal_step) if cfg.priority else None
    return ReplayBuffer(replay.replay_buffer_size, start_state=cfg.collect.start_state, priorities=priorities, **same)


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


class Rooms:
    """The components of a training run.

    Args:
        compiled: the config.
        out: called with each line that the environments print.

    Attributes:
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

    def __init__(self, compiled: CompiledConfig, out: Callable[[str], None] = say) -> None:
        policy_cfg = compiled.branch("policy")
        agent_input = make_agent_input(compiled)
        self.policy = make_policy(compiled)
        self.buffer = make_buffer(compiled, self.policy, agent_input)
        env = make_env(compiled, "collect", out)
        curriculum = make_curriculum(compiled, env)
        self.collector = Collector(env, self.policy.collect_mode, self.buffer, agent_input, curriculum)
        self.learner = Learner(self.policy.learn_mode, self.buffer, policy_cfg.learn.batch_size)
        self.evaluator = Evaluator(make_env(compiled, "evaluate", out), self.policy.eval_mode, agent_input)
        self.jitter_evaluator = (
            Evaluator(make_env(compiled, "evaluate_jitter", out), self.policy.eval_mode, agent_input)
            if jitter_games(compiled)
            else None
        )
        every = lookup(compiled.cfg, "env.replay.every")
        if every and not isinstance(self.evaluator.env, Recordable):
            kind = type(self.evaluator.env).__name__
            raise ConfigError(f"env.replay.every: {every}, but {compiled.info.name} ({kind}) has no replays. Use 0.")
        eps = policy_cfg.other.eps
        self.epsilon = Schedule(eps.type, eps.start, eps.end, eps.decay)

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
