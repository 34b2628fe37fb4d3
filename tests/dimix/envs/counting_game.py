"""A game of which everything is known, and that misbehaves on demand: for tests of whoever runs games."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from dimix.envs.game_env import Frame, GameEnv
from dimix.envs.vec_env import EnvInfo


class CountingGame(GameEnv):
    """Two agents, three actions. Each step earns agent 0's action plus a random part; over after ``length`` steps.

    Observation: seed's first random number, steps, last joint action's sum, agent. ``fault`` says what goes wrong at
    ``fault_step`` (0: in the reset) while ``fault_file`` exists (each fault removes it, unless ``fault_again``).
    """

    config = dict(
        # (int) Steps of an episode.
        length=5,
        # (int) Time limit that dimix keeps.
        limit=10,
        # (str) What goes wrong.
        fault="",
        # (int) When.
        fault_step=2,
        # (str) While this file exists.
        fault_file="",
        # (bool) More than once.
        fault_again=False,
    )

    def __init__(self, cfg):
        self.cfg = cfg
        self.info = EnvInfo("counting", 2, 4, 8, 3, cfg.limit, has_win=False)

    def reset(self, seed):
        self.rng = np.random.default_rng(seed)
        self.first = self.rng.random()
        self.count = self.total = 0
        self.go_wrong()
        return self.frame(99.0)

    def step(self, action):
        self.count += 1
        self.total = int(action.sum())
        self.go_wrong()
        return self.frame(action[0] + self.rng.random(), terminated=self.count == self.cfg.length)

    def frame(self, reward, terminated=False):
        obs = [[self.first, self.count, self.total, agent] for agent in range(2)]
        mask = [[True, True, self.count % 2 == 0], [True, True, True]]
        return Frame(obs, None, mask, reward=reward, terminated=terminated)

    def go_wrong(self):
        flag = Path(self.cfg.fault_file)
        if not self.cfg.fault or self.count != self.cfg.fault_step or not flag.is_file():
            return
        if not self.cfg.fault_again:
            try:
                flag.unlink()
            except FileNotFoundError:  # another game was faster
                return
        if self.cfg.fault == "raise":
            raise RuntimeError("the game broke")
        if self.cfg.fault == "die":
            os._exit(7)
        if self.cfg.fault == "hang":
            time.sleep(1000)


class ForgetfulGame(CountingGame):
    """One that seed and actions do not decide, and that does not say so."""

    def reset(self, seed):
        return super().reset(int.from_bytes(os.urandom(4), "little"))


class UnsavedGame(ForgetfulGame):
    """The same, and it says so."""

    deterministic = False
