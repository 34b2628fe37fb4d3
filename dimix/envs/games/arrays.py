"""The arrays that a batch of games writes to, in this process or shared between processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dimix.envs.games.game import Frame
from dimix.envs.vec_env import EnvInfo
from dimix.errors import EnvError

_ALIGN = 64  # bytes; a cache line, so that two processes never write to the same one


class GameArrays(NamedTuple):
    """The state that all games expose (see `VecEnv`), and their next actions."""

    agent_state: np.ndarray  # (E, A, O_base) float32
    global_state: np.ndarray  # (E, S) float32, or (E, channels, height, width)
    action_mask: np.ndarray  # (E, A, N) bool
    alive: np.ndarray  # (E, A) bool
    reward: np.ndarray  # (E,) float32
    terminated: np.ndarray  # (E,) bool
    truncated: np.ndarray  # (E,) bool
    battle_won: np.ndarray  # (E,) bool
    episode_length: np.ndarray  # (E,) int32
    action: np.ndarray  # (E, A) int64


def layout(info: EnvInfo, num_envs: int) -> tuple[list[tuple[tuple[int, ...], Any, int]], int]:
    """Shape, dtype and byte offset of each array of `GameArrays`, and the total size in bytes."""
    games, agents = num_envs, info.agent_num
    kinds: list[tuple[tuple[int, ...], Any]] = [
        ((games, agents, info.obs_shape), np.float32),
        ((games, *info.state_shape), np.float32),
        ((games, agents, info.action_shape), np.bool_),
        ((games, agents), np.bool_),
        ((games,), np.float32),
        ((games,), np.bool_),
        ((games,), np.bool_),
        ((games,), np.bool_),
        ((games,), np.int32),
        ((games, agents), np.int64),
    ]
    places, start = [], 0
    for shape, dtype in kinds:
        places.append((shape, dtype, start))
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        start += -(-size // _ALIGN) * _ALIGN
    return places, start


def map_arrays(info: EnvInfo, num_envs: int, memory: Any = None) -> GameArrays:
    """Place the arrays in a block of memory of at least `layout`'s size; None allocates zeros in this process."""
    places, size = layout(info, num_envs)
    memory = bytearray(size) if memory is None else memory
    return GameArrays(*(np.ndarray(shape, dtype, memory, start) for shape, dtype, start in places))


class GameRows:
    """One game's rows of the arrays. Every frame must have the sizes in ``info``."""

    def __init__(self, arrays: GameArrays, env_id: int, info: EnvInfo) -> None:
        self._arrays, self._env_id, self._info = arrays, env_id, info
        self._agent_state, self._global_state = arrays.agent_state[env_id], arrays.global_state[env_id]
        self._mask, self._alive = arrays.action_mask[env_id], arrays.alive[env_id]
        stacked = self._global_state.shape == (self._agent_state.size,)
        self._stacked = self._global_state.reshape(self._agent_state.shape) if stacked else None
        self._all_actions = self._all_alive = False  # whether the row is known to be all True
        self._reward, self._episode_length = arrays.reward, arrays.episode_length
        self._length, self._limit = 0, info.episode_limit
        self.action = arrays.action[env_id]  # (A,) the next actions

    def begin(self, frame: Frame) -> None:
        """Write the frame of a reset; an EnvError if it does not fit the environment's sizes."""
        arrays, e = self._arrays, self._env_id
        self._all_actions = self._all_alive = False
        self._show(frame.agent_state, frame.global_state, frame.action_mask, frame.alive)
        arrays.reward[e] = arrays.terminated[e] = arrays.truncated[e] = arrays.battle_won[e] = 0
        arrays.episode_length[e] = self._length = 0

    def advance(self, frame: Frame) -> None:
        """Write the frame of a step; an EnvError if it does not fit the environment's sizes."""
        agent_state, global_state, action_mask, alive, reward, terminated, truncated, battle_won = frame
        self._show(agent_state, global_state, action_mask, alive)
        e = self._env_id
        self._reward[e] = reward
        self._length += 1
        self._episode_length[e] = self._length
        if terminated or truncated or self._length >= self._limit:
            self._arrays.terminated[e] = terminated
            self._arrays.truncated[e] = not terminated
            self._arrays.battle_won[e] = battle_won

    def _show(self, agent_state: Any, global_state: Any, action_mask: Any, alive: Any) -> None:
        row = self._agent_state
        row[...] = self._fit("agent_state", agent_state, row)
        if global_state is not None:
            row = self._global_state
            row[...] = self._fit("global_state", global_state, row)
        elif self._stacked is not None:
            self._stacked[...] = row
        else:
            raise EnvError(
                f"{self._info.name}: no global_state, which stands for the observations one after the other, "
                f"{row.size} numbers; its EnvInfo says global_obs_shape {self._info.global_obs_shape}. "
                "Give a global_state, or the other size."
            )
        if action_mask is not None:
            self._all_actions = False
            self._mask[...] = self._fit("action_mask", action_mask, self._mask)
        elif not self._all_actions:
            self._all_actions, self._mask[...] = True, True
        if alive is not None:
            self._all_alive = False
            self._alive[...] = self._fit("alive", alive, self._alive)
        elif not self._all_alive:
            self._all_alive, self._alive[...] = True, True

    def _fit(self, name: str, value: Any, row: np.ndarray) -> np.ndarray:
        """The value as an array of the row's shape; numpy alone would silently broadcast others."""
        if value.__class__ is np.ndarray and value.shape == row.shape:
            return value
        found = np.asarray(value)
        if found.shape != row.shape:
            wrong = "None" if value is None else f"of shape {found.shape}"
            raise EnvError(f"{self._info.name}: {name} {wrong}. Right is {row.shape}, as its EnvInfo says.")
        return found


def check_actions(action: np.ndarray, arrays: GameArrays, running: np.ndarray) -> None:
    """Reject actions that running games cannot take.

    Args:
        action: (E, A).
        arrays: current state of the games.
        running: (E,) bool.

    Raises:
        EnvError: the message names the game, the agent and its action.
    """
    shape = arrays.action.shape
    if action.shape != shape or action.dtype.kind not in "iu":
        raise EnvError(f"action: {action.dtype} of shape {action.shape}. Right is integer of shape {shape}.")
    known = action.clip(0, arrays.action_mask.shape[-1] - 1)
    allowed = np.take_along_axis(arrays.action_mask, known[..., None], -1)[..., 0] & (known == action)
    wrong = np.argwhere(~allowed & running[:, None])
    if len(wrong):
        game, agent = wrong[0].tolist()
        may = np.flatnonzero(arrays.action_mask[game, agent]).tolist()
        raise EnvError(f"action of agent {agent} in game {game}: {action[game, agent]}. Right is one of {may}.")


def as_ids(env_ids: Sequence[int] | np.ndarray | None, num_envs: int) -> list[int]:
    """Game indices as a list; None means all."""
    return list(range(num_envs)) if env_ids is None else np.asarray(env_ids, np.int64).tolist()
