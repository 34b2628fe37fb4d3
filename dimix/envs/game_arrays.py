"""The arrays that a batch of games is written into, in memory of this process or shared between processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dimix.envs.game_env import Frame
from dimix.envs.vec_env import EnvInfo
from dimix.errors import EnvError

_ALIGN = 64  # bytes; a cache line, so that two processes never write into the same one


class GameArrays(NamedTuple):
    """What all games show (see `VecEnv`), and the actions that they are to take next."""

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

    def write(self, env_id: int, frame: Frame, length: int, limit: int) -> None:
        """Put down what one game shows.

        Args:
            env_id: which game.
            frame: what it shows.
            length: steps of its episode so far; 0 after a reset.
            limit: steps after which the episode is cut.
        """
        self.agent_state[env_id] = frame.agent_state
        if frame.global_state is None:
            self.global_state[env_id] = self.agent_state[env_id].reshape(-1)
        else:
            self.global_state[env_id] = frame.global_state
        self.action_mask[env_id] = True if frame.action_mask is None else frame.action_mask
        self.alive[env_id] = True if frame.alive is None else frame.alive
        self.episode_length[env_id] = length
        if length:
            self.reward[env_id] = frame.reward
        else:
            self.reward[env_id] = self.terminated[env_id] = self.truncated[env_id] = self.battle_won[env_id] = 0
        if frame.terminated or frame.truncated or length >= limit:
            self.terminated[env_id] = frame.terminated
            self.truncated[env_id] = not frame.terminated
            self.battle_won[env_id] = frame.battle_won


def layout(info: EnvInfo, num_envs: int) -> tuple[list[tuple[tuple[int, ...], Any, int]], int]:
    """Shape, type and first byte of each array of `GameArrays`, and the bytes of all of them."""
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


def map_arrays(info: EnvInfo, num_envs: int, memory: Any) -> GameArrays:
    """The arrays in a block of memory of at least `layout`'s size."""
    places, _ = layout(info, num_envs)
    return GameArrays(*(np.ndarray(shape, dtype, memory, start) for shape, dtype, start in places))


def check_frame(frame: Frame, info: EnvInfo) -> None:
    """Refuse a frame that does not fit the environment's sizes; numpy alone would stretch some of them silently.

    Raises:
        EnvError: naming the field, what was found and what is right.
    """
    agents = info.agent_num
    right: dict[str, tuple[int, ...]] = {
        "agent_state": (agents, info.obs_shape),
        "global_state": info.state_shape,
        "action_mask": (agents, info.action_shape),
        "alive": (agents,),
    }
    for name, shape in right.items():
        value = getattr(frame, name)
        if value is None:
            _check_default(name, info)
        elif np.shape(value) != shape:
            raise EnvError(f"{info.name}: {name} of shape {np.shape(value)}. Right is {shape}, as its EnvInfo says.")
    for name in ("agent_state", "global_state"):
        value = getattr(frame, name)
        if value is not None and not np.isfinite(np.asarray(value, np.float32)).all():
            raise EnvError(f"{info.name}: {name} holds values that are not finite. Right is finite numbers.")
    if frame.action_mask is not None and not np.any(frame.action_mask, axis=-1).all():
        raise EnvError(f"{info.name}: action_mask leaves an agent without action. Right is one or more, dead or alive.")


def check_actions(action: np.ndarray, arrays: GameArrays, running: np.ndarray) -> None:
    """Refuse actions that running games cannot take.

    Args:
        action: (E, A).
        arrays: what the games show.
        running: (E,) bool.

    Raises:
        EnvError: naming the game, the agent and its action.
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


def _check_default(name: str, info: EnvInfo) -> None:
    stacked = info.agent_num * info.obs_shape
    if name == "agent_state":
        raise EnvError(f"{info.name}: agent_state is None. Right is shape {(info.agent_num, info.obs_shape)}.")
    if name == "global_state" and info.state_shape != (stacked,):
        raise EnvError(
            f"{info.name}: no global_state, which stands for the observations one after the other, {stacked} numbers; "
            f"its EnvInfo says global_obs_shape {info.global_obs_shape}. Give a global_state, or the other size."
        )


def as_ids(env_ids: Sequence[int] | np.ndarray | None, num_envs: int) -> list[int]:
    """Indices of games as a list, all when None."""
    return list(range(num_envs)) if env_ids is None else np.asarray(env_ids, np.int64).tolist()
