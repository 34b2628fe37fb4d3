"""A random battle small enough to record in full, and a policy whose hidden state remembers what it saw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dimix.envs.agent_input import AgentInput
from dimix.envs.vec_env import EnvInfo, VecEnv
from dimix.policy.base import ActMode

HIDDEN = 3


class ToyEnv(VecEnv):
    """Random features, dying agents, random ends; one random stream per game.

    Args:
        num_envs: games.
        seed: of all streams.
        end: chance per step that a game ends by itself; one number, or one per game.
        limit: steps after which a game is cut.
    """

    def __init__(self, num_envs: int = 3, seed: int = 0, end: float | list[float] = 0.15, limit: int = 12) -> None:
        agents, obs, state, actions = 3, 37, 5, 4
        self.info = EnvInfo("toy", agents, obs, state, actions, limit)
        self.num_envs = num_envs
        self.end = np.broadcast_to(np.asarray(end, float), (num_envs,))
        self.agent_state = np.zeros((num_envs, agents, obs), np.float32)
        self.global_state = np.zeros((num_envs, state), np.float32)
        self.action_mask = np.zeros((num_envs, agents, actions), bool)
        self.alive = np.zeros((num_envs, agents), bool)
        self.reward = np.zeros(num_envs, np.float32)
        self.terminated, self.truncated, self.battle_won = (np.zeros(num_envs, bool) for _ in range(3))
        self.episode_length = np.zeros(num_envs, np.int32)
        self.rngs = [np.random.default_rng([seed, env]) for env in range(num_envs)]
        self.reset()

    def reset(self, env_ids=None) -> None:
        for env in range(self.num_envs) if env_ids is None else env_ids:
            self.alive[env] = True
            for array in (self.reward, self.terminated, self.truncated, self.battle_won, self.episode_length):
                array[env] = 0
            self._observe(env)

    def step(self, action: np.ndarray) -> None:
        for env in range(self.num_envs):
            if self.terminated[env] or self.truncated[env]:
                self.reward[env] = 0
                continue
            assert self.action_mask[env][np.arange(self.info.agent_num), action[env]].all()
            rng = self.rngs[env]
            self.episode_length[env] += 1
            self.reward[env] = rng.normal() + action[env].sum()
            self.alive[env] &= rng.random(self.info.agent_num) > 0.1
            self.terminated[env] = rng.random() < self.end[env]
            self.truncated[env] = not self.terminated[env] and self.episode_length[env] == self.info.episode_limit
            self.battle_won[env] = self.terminated[env] and rng.random() < 0.5
            self._observe(env)

    def _observe(self, env: int) -> None:
        rng = self.rngs[env]
        values = rng.normal(size=self.agent_state[env].shape)
        values[rng.random(values.shape) < 0.5] = 0
        values[rng.random(values.shape) < 0.2] = 1
        self.agent_state[env] = values * self.alive[env][:, None]
        self.global_state[env] = rng.normal(size=self.info.global_obs_shape)
        self.action_mask[env] = rng.random(self.action_mask[env].shape) < 0.5
        self.action_mask[env] |= ~self.action_mask[env].any(-1, keepdims=True)
        self.action_mask[env][~self.alive[env]] = [True] + [False] * (self.info.action_shape - 1)

    _names = (
        *("agent_state", "global_state", "action_mask", "alive", "reward"),
        *("terminated", "truncated", "battle_won", "episode_length"),
    )

    def state_dict(self) -> dict[str, Any]:
        arrays = {name: getattr(self, name).copy() for name in self._names}
        return {"arrays": arrays, "rngs": [rng.bit_generator.state for rng in self.rngs]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in self._names:
            getattr(self, name)[:] = state["arrays"][name]
        for rng, saved in zip(self.rngs, state["rngs"], strict=True):
            rng.bit_generator.state = saved


class ToyPolicy:
    """Random available actions; the hidden state is half the old one plus the sum of the input."""

    def __init__(self, agents: int = 3, seed: int = 0) -> None:
        self.agents = agents
        self.rng = np.random.default_rng(seed)
        self.seen_hidden: list[np.ndarray] = []  # hidden states before each call
        self.seen_input: list[np.ndarray] = []
        self.seen_epsilon: list[float | np.ndarray] = []
        self.mode = ActMode(self.forward, self.init_hidden, self.state_dict, self.load_state_dict)

    def init_hidden(self, num_envs: int) -> torch.Tensor:
        return torch.zeros(num_envs, self.agents, HIDDEN)

    def forward(self, obs, hidden_state, epsilon=0.0):
        self.seen_hidden.append(hidden_state.numpy().copy())
        self.seen_input.append(obs["agent_state"].copy())
        self.seen_epsilon.append(epsilon)
        score = np.where(obs["action_mask"], self.rng.random(obs["action_mask"].shape), -1)
        total = torch.from_numpy(obs["agent_state"]).sum(-1, keepdim=True)
        return score.argmax(-1), hidden_state * 0.5 + total * torch.arange(1.0, 1 + HIDDEN)

    def state_dict(self) -> dict[str, Any]:
        return {"rng": self.rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rng.bit_generator.state = state["rng"]


@pytest.fixture
def toy_env():
    return ToyEnv


@pytest.fixture
def toy_policy():
    return ToyPolicy


@pytest.fixture
def toy_input():
    info = ToyEnv(1).info
    return AgentInput(info.obs_shape, info.action_shape, info.agent_num)
