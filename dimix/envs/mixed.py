"""Games of several tasks side by side, as one batch: rows padded to the largest task, units where they belong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from dimix.envs.vec_env import Entities, EnvInfo, VecEnv
from dimix.errors import EnvError


class MixedVecEnv(VecEnv):
    """E games, game i of task i modulo the number of tasks. See `mixed_info` for the content of a row.

    An agent that a game has not is dead from the start: not alive, its row zero, and only action 0 available.

    Args:
        parts: the games of each task; the first tasks have one more if E is no multiple.

    Raises:
        EnvError: as `mixed_info`.
    """

    def __init__(self, parts: Sequence[VecEnv]) -> None:
        self.parts = list(parts)
        self.info = info = mixed_info([part.info for part in parts])
        self.num_envs = games = sum(part.num_envs for part in parts)
        self.agent_state = np.zeros((games, info.agent_num, info.obs_shape), np.float32)
        self.global_state = np.zeros((games, info.state_size), np.float32)
        self.action_mask = np.zeros((games, info.agent_num, info.action_shape), np.bool_)
        self.action_mask[..., 0] = True
        self.alive = np.zeros((games, info.agent_num), np.bool_)
        self.reward = np.zeros(games, np.float32)
        self.terminated, self.truncated, self.battle_won = (np.zeros(games, np.bool_) for _ in range(3))
        self.episode_length = np.zeros(games, np.int64)
        self._columns = [(obs.places, state.places) for obs, state in _paddings([part.info for part in parts])]
        self._refresh()

    def reset(self, env_ids: Sequence[int] | np.ndarray | None = None) -> None:
        """Start new episodes in the given games, or in all if None."""
        ids = np.arange(self.num_envs) if env_ids is None else np.asarray(env_ids, np.int64)
        tasks = len(self.parts)
        for task, part in enumerate(self.parts):
            part.reset(ids[ids % tasks == task] // tasks)
        self._refresh()

    def step(self, action: np.ndarray) -> None:
        """Advance every running game by one step; see `VecEnv.step`."""
        for task, part in enumerate(self.parts):
            part.step(np.ascontiguousarray(action[task :: len(self.parts), : part.info.agent_num]))
        self._refresh()

    def labels_of(self, env_ids: np.ndarray) -> list[tuple[str, ...]]:
        """See `VecEnv.labels_of`."""
        parts, places = env_ids % len(self.parts), env_ids // len(self.parts)
        return [self.parts[part].labels_of(np.array([place]))[0] for part, place in zip(parts, places, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """The state of each task's games."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore exactly what ``state_dict`` returned."""
        for part, own in zip(self.parts, state["parts"], strict=True):
            part.load_state_dict(own)
        self._refresh()

    def close(self) -> None:
        """Close the games of all tasks."""
        for part in self.parts:
            part.close()

    def _refresh(self) -> None:
        """Copy the games' arrays into their rows; what lies outside them never changes."""
        for task, part in enumerate(self.parts):
            rows, agents = slice(task, None, len(self.parts)), part.info.agent_num
            columns, state_columns = self._columns[task]
            self.agent_state[rows, :agents, columns] = part.agent_state
            self.global_state[rows, state_columns] = part.global_state[:, : len(state_columns)]
            self.action_mask[rows, :agents, : part.info.action_shape] = part.action_mask
            self.alive[rows, :agents] = part.alive
            for name in ("reward", "terminated", "truncated", "battle_won", "episode_length"):
                getattr(self, name)[rows] = getattr(part, name)


def mixed_info(infos: Sequence[EnvInfo]) -> EnvInfo:
    """The sizes of several tasks' rows, padded to the largest.

    Each kind of units gets as many places as the task with the most has; all other columns are the same in all tasks
    and keep their order. Of the global state only what comes up to the last unit is kept.

    Raises:
        EnvError: rows differ in more than the number of units, or a task does not tell where its units are.
    """
    (obs, state), *others = _paddings(infos)
    for info, (own_obs, own_state) in zip(infos[1:], others, strict=True):
        if (own_obs.kinds, own_obs.size, own_state.kinds) != (obs.kinds, obs.size, state.kinds):
            raise EnvError(
                f"{info.name} and {infos[0].name} differ in the columns of a unit, or in what else a row tells. Tasks "
                "in a mix differ in the number of units only."
            )
    return replace(
        infos[0],
        name="+".join(info.name for info in infos),
        agent_num=max(info.agent_num for info in infos),
        obs_shape=obs.size,
        global_obs_shape=state.size,
        action_shape=max(info.action_shape for info in infos),
        episode_limit=max(info.episode_limit for info in infos),
        has_win=all(info.has_win for info in infos),
        has_jitter=all(info.has_jitter for info in infos),
        is_drawn=any(info.is_drawn for info in infos),
        labels=tuple(dict.fromkeys(label for info in infos for label in info.labels)),
        agent_types=None,
        entities=obs.kinds,
        state_entities=state.kinds,
        tasks=tuple(info.name for info in infos),
    )


class _Padding(NamedTuple):
    """Where a task's columns are in the padded row: the widened kinds, the row's size, each column's place."""

    kinds: tuple[Entities, ...]
    size: int
    places: np.ndarray

    @classmethod
    def of(cls, kinds: Sequence[Entities], counts: Sequence[int], size: int) -> _Padding:
        """The padding of the first `size` columns of a task's row to these counts of each kind."""
        places, widened = np.arange(size), []
        for kind, count in zip(kinds, counts, strict=True):
            places[kind.column + kind.count * kind.size :] += (count - kind.count) * kind.size
        for kind, count in zip(kinds, counts, strict=True):
            named_by = tuple(places[list(kind.named_by)].tolist())
            widened.append(replace(kind, column=int(places[kind.column]), count=count, named_by=named_by))
        added = sum((count - kind.count) * kind.size for kind, count in zip(kinds, counts, strict=True))
        return cls(tuple(widened), size + added, places)


def _paddings(infos: Sequence[EnvInfo]) -> list[tuple[_Padding, _Padding]]:
    """Of each task's observations, and of its states up to the last unit."""
    for info in infos:
        if not info.entities or not info.state_entities:
            raise EnvError(f"{info.name} does not tell which unit is where, as tasks in a mix have to.")
    obs, state = ([getattr(info, name) for info in infos] for name in ("entities", "state_entities"))
    ends = [max(kind.column + kind.count * kind.size for kind in kinds) for kinds in state]
    return list(zip(_padded(obs, [info.obs_shape for info in infos]), _padded(state, ends), strict=True))


def _padded(tasks: Sequence[Sequence[Entities]], sizes: Sequence[int]) -> list[_Padding]:
    if len({len(kinds) for kinds in tasks}) > 1:
        raise EnvError("tasks in a mix need the same kinds of units; one has no other allies, or no enemies.")
    counts = [max(kind.count for kind in kinds) for kinds in zip(*tasks, strict=True)]
    return [_Padding.of(kinds, counts, size) for kinds, size in zip(tasks, sizes, strict=True)]
