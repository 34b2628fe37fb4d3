"""A parallel environment whose agents differ and leave early, by hand."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces


class Leavers:
    """Three agents with 1, 2 and 3 numbers to see and 2, 3 and 4 actions; agent k leaves after ``leave[k]`` steps.

    Where masks are given (``masked_obs``, ``masked_infos``) an agent may take one action, ``(clock + 1) % n``, and none
    after its last step.

    Args:
        masked_infos: for agents by name: what their infos say instead, or None for the same.
    """

    def __init__(self, leave=(2, 4, 4), how="terminate", max_cycles=10, masked_obs=False, masked_infos=()):
        self.leave, self.how, self.max_cycles = leave, how, max_cycles
        self.masked_obs, self.masked_infos = masked_obs, dict(masked_infos)
        self.possible_agents = ["a", "b", "c"]
        self.agents = []
        self.sent = []
        self.unwrapped = self

    def observation_space(self, agent):
        box = spaces.Box(-9, 9, (self.possible_agents.index(agent) + 1,), np.float32)
        return spaces.Dict(observation=box, action_mask=spaces.MultiBinary(self._n(agent))) if self.masked_obs else box

    def action_space(self, agent):
        return spaces.Discrete(self._n(agent))

    def reset(self, seed=None, options=None):
        self.agents, self.clock = list(self.possible_agents), 0
        return self._see(self.agents), self._infos()

    def step(self, actions):
        self.sent.append(dict(actions))
        self.clock += 1
        acting = self.agents
        gone = {a for a in acting if self.clock >= self.leave[self.possible_agents.index(a)]}
        self.agents = [a for a in acting if a not in gone]
        ends = {a: a in gone for a in acting}
        none = dict.fromkeys(acting, False)
        terminations, truncations = (ends, none) if self.how == "terminate" else (none, ends)
        return self._see(acting), dict.fromkeys(acting, 1.0), terminations, truncations, self._infos()

    def close(self):
        pass

    def _n(self, agent):
        return self.possible_agents.index(agent) + 2

    def _see(self, agents):
        seen = {a: np.full(self.possible_agents.index(a) + 1, self.clock + 1.0, np.float32) for a in agents}
        if not self.masked_obs:
            return seen
        return {a: dict(observation=o, action_mask=self._mask(a)) for a, o in seen.items()}

    def _infos(self):
        return {
            agent: dict(action_mask=self._mask(agent) if mask is None else mask)
            for agent, mask in self.masked_infos.items()
        }

    def _mask(self, agent):
        n = self._n(agent)
        return np.int8((np.arange(n) == (self.clock + 1) % n) & (agent in self.agents))


def parallel_env(**options):
    return Leavers(**options)
