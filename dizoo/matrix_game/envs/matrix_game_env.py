"""Cooperative matrix games for two agents, in one step or several: the shortest complete example of a `VecEnv`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from easydict import EasyDict

from dimix.envs.family import EnvFamily
from dimix.envs.vec_env import EnvInfo, VecEnv
from dimix.errors import EnvError, nearest
from dimix.registry import ENV_REGISTRY

#: Team payoff of the last (or only) step, one table per stage it can be played in; rows: agent 0's action.
GAMES: dict[str, np.ndarray] = {
    # Rashid et al. 2018 (QMIX), section 5: agent 0's first action picks the table. The safe one always pays 7, the
    # other 8, but only if both take action 1: a mixer that is a plain sum (VDN) settles for 7.
    "two_step": np.array([[[7.0, 7.0], [7.0, 7.0]], [[0.0, 1.0], [1.0, 8.0]]], np.float32),
    # Claus and Boutilier 1998: penalties surround the best joint action.
    "climbing": np.array([[[11.0, -30.0, 0.0], [-30.0, 7.0, 6.0], [0.0, 0.0, 5.0]]], np.float32),
    "penalty": np.array([[[10.0, 0.0, -10.0], [0.0, 2.0, 0.0], [-10.0, 0.0, 10.0]]], np.float32),
    # Son et al. 2019 (QTRAN) and Rashid et al. 2020 (WQMIX): the best action pays only if both take it. A monotonic
    # mixer that weighs all joint actions equally cannot represent this table and picks one of the zeros.
    "non_monotonic": np.array([[[8.0, -12.0, -12.0], [-12.0, 0.0, 0.0], [-12.0, 0.0, 0.0]]], np.float32),
    # Two roles for two agents that see the same: with shared weights and no ids, they cannot play it.
    "roles": np.array([[[0.0, 1.0], [0.0, 0.0]]], np.float32),
    # Additive in the agents' actions: every method of the family solves it.
    "additive": np.array([[[0.0, 1.0, 2.0], [1.0, 2.0, 3.0], [2.0, 3.0, 4.0]]], np.float32),
    # A cue is shown once, and `delay` steps later each agent that repeats it earns 0.5. A team with a memory earns 1;
    # one without cannot tell the cues apart when asked and earns 0.5 on average, whatever it answers.
    "cue": np.array([[[1.0, 0.5], [0.5, 0.0]], [[0.0, 0.5], [0.5, 1.0]]], np.float32),
}


@ENV_REGISTRY.register("matrix_game")
class MatrixGameEnv(EnvFamily, VecEnv):
    """E copies of one matrix game.

    Observation of each agent and global state: one-hot stage, which is 1 + table if the table is known, else 0. In
    ``two_step``, agent 0's first action chooses the table, which is known from then on. In ``cue``, each copy
    alternates between both tables, starting with table e % 2 in copy e. The table is known only in the first step, and
    until the last step only action 0 (wait) is available, so that agents cannot record the cue in their actions. All
    other games have one table. With ``image_state``, the global state is a picture (2, 6, 6): zeros except a 2 x 2
    square whose channel and position give the stage.

    The reward is the table's entry at the last step and 0 before. The game ends (``terminated``) when the table has
    been played; with ``repeat`` > 1, a one-shot game is played that many times and then truncated. ``battle_won``: the
    episode earned the game's largest return.

    Args:
        game: a name of `GAMES`.
        num_envs: copies (E).
        repeat: steps of a one-shot game.
        image_state: show the stage as a picture in the global state.
        delay: steps from the cue to the question.

    Raises:
        EnvError: no such game, or a number out of range.
    """

    config = dict(
        # (str) Which game, by name.
        map_name="two_step",
        # (int) Steps that a one-shot game is repeated before the time limit cuts it, >= 1.
        repeat=1,
        # (bool) The global state is a picture of the stage instead of its one-hot.
        image_state=False,
        # (int) Steps from the cue to the question in the game "cue", >= 1.
        delay=3,
        evaluator_env_num=4,
        n_evaluator_episode=4,
        stop_value=2.0,
    )

    def __init__(self, game: str, num_envs: int, repeat: int = 1, image_state: bool = False, delay: int = 3) -> None:
        self.info = _describe(game, repeat, image_state, delay)
        if num_envs < 1:
            raise EnvError(f"num_envs: {num_envs}. Right is 1 or more.")
        self.payoff = GAMES[game]
        self.num_envs = num_envs
        self._cued = game == "cue"
        agents, stages, actions = self.info.agent_num, self.info.obs_shape, self.info.action_shape
        self._views = _pictures(stages) if image_state else np.eye(stages, dtype=np.float32)
        self.agent_state = np.zeros((num_envs, agents, stages), np.float32)
        self.global_state = np.zeros((num_envs, *self._views.shape[1:]), np.float32)
        self.action_mask = np.ones((num_envs, agents, actions), bool)
        self.alive = np.ones((num_envs, agents), bool)
        self.reward = np.zeros(num_envs, np.float32)
        self.terminated = np.zeros(num_envs, bool)
        self.truncated = np.zeros(num_envs, bool)
        self.battle_won = np.zeros(num_envs, bool)
        self.episode_length = np.zeros(num_envs, np.int32)
        self._table = np.zeros(num_envs, np.int64)
        self._stage = np.zeros(num_envs, np.int64)
        self._started = np.arange(num_envs)  # whose cue is next
        self._ep_return = np.zeros(num_envs, np.float32)
        self.reset()

    @classmethod
    def describe(cls, cfg: EasyDict) -> EnvInfo:
        """Return the sizes of the game in a config's ``env`` branch.

        Raises:
            EnvError: no such game, or a number out of range.
        """
        return _describe(cfg.map_name, cfg.repeat, cfg.image_state, cfg.delay)

    @classmethod
    def create(cls, cfg: EasyDict, role: str, num_envs: int, seed: int) -> MatrixGameEnv:
        """Create the environment of a config's ``env`` branch; ``seed`` has no effect, as games are deterministic."""
        return cls(cfg.map_name, num_envs, cfg.repeat, cfg.image_state, cfg.delay)

    def reset(self, env_ids: Sequence[int] | np.ndarray | None = None) -> None:
        """Start new episodes in the given games (None: all)."""
        ids = np.arange(self.num_envs) if env_ids is None else np.asarray(env_ids, np.int64)
        self._stage[ids] = self._table[ids] = 0
        self._ep_return[ids] = 0
        if self._cued:
            self._table[ids] = self._started[ids] % len(self.payoff)
            self._stage[ids] = 1 + self._table[ids]
            self._started[ids] += 1
        for array in (self.reward, self.terminated, self.truncated, self.battle_won, self.episode_length):
            array[ids] = 0
        self._observe()

    def step(self, action: np.ndarray) -> None:
        """Play one joint action in every running game; see `VecEnv.step`."""
        expected = (self.num_envs, self.info.agent_num)
        if action.shape != expected or not np.issubdtype(action.dtype, np.integer):
            raise EnvError(f"action: {action.dtype} of shape {action.shape}. Right is integer of shape {expected}.")
        if action.min() < 0 or action.max() >= self.info.action_shape:
            raise EnvError(
                f"action: values {action.min()} to {action.max()}. Right is 0 to {self.info.action_shape - 1}."
            )
        running = ~(self.terminated | self.truncated)
        last = self.episode_length == self.info.episode_limit - 1
        repeated = len(self.payoff) == 1 and self.info.episode_limit > 1
        playing = running & (last | repeated)
        self._refuse_early_answers(action, running & ~last)
        if len(self.payoff) > 1 and not self._cued:
            choosing = running & ~last
            self._table[choosing] = action[choosing, 0]
            self._stage[choosing] = 1 + self._table[choosing]
        if self._cued:
            self._stage[running] = 0
        self.reward[:] = np.where(playing, self.payoff[self._table, action[:, 0], action[:, 1]], 0.0)
        self.episode_length += running
        self._ep_return += self.reward
        over = running & last
        if repeated:
            self.truncated |= over
        else:
            self.terminated |= over
        best = self.payoff.max() * (self.info.episode_limit if repeated else 1)
        self.battle_won |= over & (self._ep_return >= best)
        self._observe()

    def _refuse_early_answers(self, action: np.ndarray, waiting: np.ndarray) -> None:
        if self._cued and action[waiting].any():
            raise EnvError("action: 1 while the agents wait. Until the cue is asked for only action 0 is available.")

    def state_dict(self) -> dict[str, Any]:
        """Return table, stage, next cue, return, length and end flags of every game."""
        return {name: getattr(self, name).copy() for name in self._state_names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned.

        Raises:
            EnvError: an array has another shape.
        """
        for name in self._state_names:
            if np.shape(state[name]) != getattr(self, name).shape:
                raise EnvError(f"{name}: shape {np.shape(state[name])}. Right is {getattr(self, name).shape}.")
            getattr(self, name)[:] = state[name]
        self._observe()

    _state_names = (
        "_stage", "_table", "_started", "_ep_return", "reward", "terminated", "truncated", "battle_won",
        "episode_length",
    )  # fmt: skip

    def _observe(self) -> None:
        self.global_state[:] = self._views[self._stage]
        self.agent_state[:] = np.eye(self.info.obs_shape, dtype=np.float32)[self._stage, None]
        if self._cued:
            asked = self.episode_length == self.info.episode_limit - 1
            self.action_mask[:, :, 1:] = asked[:, None, None]


def _pictures(stages: int) -> np.ndarray:
    """(stages, 2, 6, 6): one bright square per stage, each in its own place; channels alternate."""
    views = np.zeros((stages, 2, 6, 6), np.float32)
    for stage, view in enumerate(views):
        view[stage % 2, 2 * stage : 2 * stage + 2, 2:4] = 1.0
    return views


def _describe(game: str, repeat: int, image_state: bool = False, delay: int = 1) -> EnvInfo:
    if game not in GAMES:
        raise EnvError(f"no matrix game '{game}'.{nearest(game, GAMES)} Known: {', '.join(GAMES)}.")
    for name, number in (("repeat", repeat), ("delay", delay)):
        if number < 1:
            raise EnvError(f"{name}: {number}. Right is 1 or more.")
    tables, actions, _ = GAMES[game].shape
    stages = 1 + tables if tables > 1 else 1
    limit = {"cue": 1 + delay, "two_step": 2}.get(game, repeat)
    return EnvInfo(game, 2, stages, (2, 6, 6) if image_state else stages, actions, limit)
