"""Plays training episodes in all environments at once and stores them in the replay buffer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from torch import Tensor

from dimix.envs.agent_input import AgentInput
from dimix.envs.curriculum import Curriculum
from dimix.envs.vec_env import VecEnv
from dimix.machine.signals import say
from dimix.policy.base import ActMode
from dimix.replay.open_episodes import Rows
from dimix.replay.step_store import StepStore
from dimix.worker.rollout import Rollout

_PER_EPISODE = ("ep_reward", "ep_length", "battle_won")


@dataclass
class CollectStats:
    """Statistics of one collection.

    Attributes:
        env_steps: steps, summed over all environments.
        ep_reward: return of each finished episode, in order of their ends.
        ep_length: steps of each finished episode.
        battle_won: whether each was won.
    """

    env_steps: int = 0
    ep_reward: list[float] = field(default_factory=list)
    ep_length: list[int] = field(default_factory=list)
    battle_won: list[bool] = field(default_factory=list)

    @classmethod
    def of(cls, parts: Sequence[CollectStats]) -> CollectStats:
        """The statistics of several collections as one."""
        lists = {name: [x for part in parts for x in getattr(part, name)] for name in _PER_EPISODE}
        return cls(sum(part.env_steps for part in parts), **lists)

    @property
    def num_episodes(self) -> int:
        """Number of finished episodes."""
        return len(self.ep_reward)

    def means(self) -> dict[str, float]:
        """Mean ``ep_reward``, ``ep_length`` and ``battle_won``; empty if no episode finished."""
        if not self.ep_reward:
            return {}
        return {name: float(np.mean(getattr(self, name))) for name in _PER_EPISODE}


class Collector:
    """Plays with exploration. Games still running at the end of a call continue in the next one.

    Args:
        env: environments, all stepped together; reset by the first collection.
        policy: a policy's ``collect_mode``.
        buffer: stores the episodes.
        agent_input: builds the agents' input.
        curriculum: chooses where episodes begin; None: each at its start.

    Attributes:
        env_step: steps so far, summed over all environments.
        episode_count: episodes finished so far.
    """

    def __init__(
        self,
        env: VecEnv,
        policy: ActMode,
        buffer: StepStore,
        agent_input: AgentInput,
        curriculum: Curriculum | None = None,
    ) -> None:
        self.env_step = 0
        self.episode_count = 0
        self._env = env
        self._curriculum = curriculum
        self._buffer = buffer
        self._ids = np.arange(env.num_envs)
        self._games = Rollout(env, policy if curriculum is None else _guided(policy, curriculum), agent_input)
        self._started = False
        buffer.open(env.num_envs)

    @property
    def episodes_lost(self) -> int:
        """Episodes dropped so far because their game failed; their steps count in ``env_step``."""
        return self._env.episodes_lost

    def start(self, out: Callable[[str], None] = say) -> None:
        """Reset all environments, once; otherwise the first collection does it.

        ``out`` is called with each line that a curriculum prints while it prepares; an error it raises ends the
        preparation.
        """
        if not self._started:
            if self._curriculum is not None:
                self._curriculum.prepare(out)
            self._begin(self._ids)
            self._started = True

    def collect(self, n_episode: int | None = None, epsilon: float = 0.0, *, n_step: int | None = None) -> CollectStats:
        """Play until enough episodes have ended or enough steps are made.

        All environments step together, so a few more episodes or steps than requested may be played; all are kept.

        Args:
            n_episode: number of episodes to finish; None sets no such goal.
            epsilon: probability of a random action per agent, in [0, 1].
            n_step: number of env steps, summed over all environments; None sets no such goal.

        Raises:
            ValueError: not exactly one goal, or a goal below 1.
        """
        goals = [goal for goal in (n_episode, n_step) if goal is not None]
        if len(goals) != 1 or goals[0] < 1:
            raise ValueError(f"collect: n_episode {n_episode}, n_step {n_step}. Right is one of them, at least 1.")
        self.start()
        stats = CollectStats()
        while (stats.num_episodes if n_step is None else stats.env_steps) < goals[0]:
            self._step(epsilon, stats)
        return stats

    def state_dict(self) -> dict[str, Any]:
        """Counters, environments, curriculum and running games (their steps so far are in the buffer's state)."""
        return {
            "env_step": self.env_step,
            "episode_count": self.episode_count,
            "started": self._started,
            "env": self._env.state_dict(),
            "curriculum": None if self._curriculum is None else self._curriculum.state_dict(),
            "games": self._games.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned; load the buffer's state as well, before or after.

        Raises:
            CheckpointError: the state is from other environments or another network.
        """
        self._games.load_state_dict(state["games"])
        env = dict(state["env"])
        curriculum = state.get("curriculum", env.pop("backplay", None))  # older checkpoints kept it in the environment
        self._env.load_state_dict(env)
        if self._curriculum is not None:
            self._curriculum.load_state_dict(curriculum or {})
        self.env_step = state["env_step"]
        self.episode_count = state["episode_count"]
        self._started = state["started"]

    def close(self) -> None:
        """Close the environments."""
        self._env.close()

    def _step(self, epsilon: float, stats: CollectStats) -> None:
        env, games = self._env, self._games
        if len(env.lost):  # in the last step, or on loading
            self._take_up(env.lost)
        action = games.step(env, epsilon)
        hidden = games.hidden.cpu().numpy() if self._buffer.wants_hidden else None
        ids = np.setdiff1d(self._ids, env.lost) if len(env.lost) else self._ids
        self._buffer.append(ids, action, env.reward, Rows.of(env), hidden)
        self.env_step += len(ids)
        stats.env_steps += len(ids)
        over = np.flatnonzero(env.terminated | env.truncated)
        if len(over):
            stats.ep_reward += games.ep_return[over].tolist()
            stats.ep_length += env.episode_length[over].tolist()
            stats.battle_won += env.battle_won[over].tolist()
            self.episode_count += len(over)
            self._buffer.finish(over, env.terminated)
            self._begin(over)

    def _begin(self, env_ids: np.ndarray) -> None:
        (self._curriculum or self._env).reset(env_ids)
        self._take_up(env_ids)

    def _take_up(self, env_ids: np.ndarray) -> None:
        """Start tracking episodes that begin now; unfinished ones of these games are dropped."""
        self._games.begin(env_ids)
        self._buffer.begin(env_ids, Rows.of(self._env))


def _guided(policy: ActMode, curriculum: Curriculum) -> ActMode:
    """A policy's act function with the curriculum's exploration and actions."""

    def forward(obs: dict[str, np.ndarray], hidden_state: Tensor, epsilon: float) -> tuple[np.ndarray, Tensor]:
        action, hidden_state = policy.forward(obs, hidden_state, curriculum.epsilon(epsilon))
        return curriculum.action(action), hidden_state

    return replace(policy, forward=forward)
