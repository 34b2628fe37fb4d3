"""Runs single games as a batch, with seeds, restarts, time limits and exact resume.

gymnasium's ``AsyncVectorEnv`` also shares observations between processes, but a worker that dies or hangs ends the
whole batch, rewards are for single agents, and its state cannot be saved.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from easydict import EasyDict

from dimix.envs.games.arrays import GameArrays, as_ids, check_actions, map_arrays
from dimix.envs.games.crew import Crew, LocalCrew, Start, last_line
from dimix.envs.games.game import Game
from dimix.envs.games.workers import WorkerCrew
from dimix.envs.vec_env import EnvInfo, VecEnv
from dimix.errors import EnvError
from dimix.machine.compiled import compiled

#: Names of the arrays that `VecEnv` exposes: all but the actions.
_SHOWN = tuple(name for name in GameArrays._fields if name != "action")


class GameVecEnv(VecEnv):
    """E games of one `Game` class, in this process or in several.

    Episode k of game e has its own seed, derived from ``seed``, e and k: its course depends neither on the number of
    processes nor on the other games. A game that fails (its code raises, its process dies or exceeds a time limit) is
    restarted with its next seed, and its index appears in ``lost``.

    Checkpoints store seeds and actions. Loading replays every running game from its seed; a game that does not reach
    its saved state (or is not ``deterministic``) is lost, like one that failed.

    Args:
        game_class: class of the games.
        cfg: the config's ``env`` branch, with ``manager``.
        num_envs: games (E).
        seed: seed of the batch, >= 0.

    Raises:
        EnvError: the environment cannot be built, or ``num_envs`` is below 1.
    """

    def __init__(self, game_class: type[Game], cfg: EasyDict, num_envs: int, seed: int) -> None:
        if num_envs < 1:
            raise EnvError(f"num_envs: {num_envs}. Right is 1 or more.")
        self.info = game_class.describe(cfg)
        self.num_envs = num_envs
        self._max_retry = cfg.manager.max_retry
        self._renew = cfg.manager.retry_type == "renew"
        self._deterministic = game_class.deterministic
        self._seed = seed
        self._crew: Crew
        if cfg.manager.type == "base":
            self._crew = LocalCrew(game_class, cfg, self.info, range(num_envs), map_arrays(self.info, num_envs))
        else:
            self._crew = WorkerCrew(game_class, cfg, self.info, num_envs)
        for name in _SHOWN:
            setattr(self, name, getattr(self._crew.arrays, name))
        self.terminated[:] = True  # a game that was never started cannot be stepped
        self._episode = np.full(num_envs, -1, np.int64)
        self._started = np.zeros(num_envs, bool)
        self._failures = np.zeros(num_envs, np.int64)  # in a row, without a finished episode
        self._failed_before = False  # whether any failure was ever counted
        action_type = np.uint8 if self.info.action_shape <= 256 else np.uint16
        self._history = np.zeros((num_envs, self.info.episode_limit, self.info.agent_num), action_type)
        arrays = self._crew.arrays
        self._taking = (
            *(arrays.action_mask, arrays.terminated, arrays.truncated, arrays.episode_length),
            *(arrays.action, self._history),
        )

    def reset(self, env_ids: Sequence[int] | np.ndarray | None = None) -> None:
        """Start new episodes in the given games (all when None).

        Raises:
            EnvError: a game failed more than ``max_retry`` times in a row.
        """
        ids = as_ids(env_ids, self.num_envs)
        others = self._start(ids)
        self.episodes_lost += len(others)
        if len(self.lost) or others:
            self.lost = np.union1d(np.setdiff1d(self.lost, ids), sorted(others)).astype(np.int64)

    def step(self, action: np.ndarray) -> None:
        """Advance every running game by one step; see `VecEnv.step`.

        Raises:
            EnvError: also if a game failed more than ``max_retry`` times in a row.
        """
        taken = action.shape == self._crew.arrays.action.shape and action.dtype.kind in "iu"
        if not taken or not _take(action.astype(np.int64, copy=False), *self._taking):
            check_actions(action, self._crew.arrays, ~(self.terminated | self.truncated))  # raises with the details
        failed = self._crew.step()
        failed = _find_faults(self._crew.arrays, self._started, self.info) | failed
        if self._failed_before:
            self._failures[self.terminated | self.truncated] = 0
        self.lost = self._replace(failed) if failed else _NONE

    def state_dict(self) -> dict[str, Any]:
        """Seeds and actions of all running games, and their current state."""
        longest = int(self.episode_length.max(initial=0))
        played = np.arange(longest) < self.episode_length[:, None]  # later entries are left over from earlier episodes
        return {
            "seed": self._seed,
            "episode": self._episode.copy(),
            "failures": self._failures.copy(),
            "history": np.where(played[..., None], self._history[:, :longest], 0),
            "lost": self.lost.copy(),
            "episodes_lost": self.episodes_lost,
            "shown": {name: getattr(self, name).copy() for name in _SHOWN},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned; games that cannot be replayed are in ``lost``.

        Raises:
            EnvError: the state has another number of games or another environment.
        """
        shown = state["shown"]
        for name in _SHOWN:
            if shown[name].shape != getattr(self, name).shape:
                raise EnvError(
                    f"games cannot be restored: {name} has shape {shown[name].shape}. "
                    f"Right is {getattr(self, name).shape}: same environment, same number of games."
                )
        self._seed = state["seed"]
        self._episode[:] = state["episode"]
        self._started = self._episode >= 0
        self._failures[:] = state["failures"]
        self._failed_before = bool(self._failures.any())
        self._history[:, : state["history"].shape[1]] = state["history"]
        self.episodes_lost = state["episodes_lost"]
        running = np.flatnonzero(~(shown["terminated"] | shown["truncated"])).tolist()
        failed = self._play_again(running, shown) if self._deterministic else dict.fromkeys(running, _NOT_SAVED)
        for name in _SHOWN:
            getattr(self, name)[:] = shown[name]
        self.lost = np.union1d(state["lost"], self._replace(failed)).astype(np.int64)

    def close(self) -> None:
        """Close games and processes."""
        self._crew.close()

    def _play_again(self, ids: list[int], shown: Mapping[str, np.ndarray]) -> dict[int, str]:
        """Replay games to where they were; returns the error of each game that failed."""
        starts = [
            Start(
                e,
                episode_seed(self._seed, e, int(self._episode[e])),
                self._history[e, : shown["episode_length"][e]].astype(np.int64),
            )
            for e in ids
        ]
        failed = self._crew.start(starts)
        for e in ids:
            if e not in failed:
                differ = [name for name in _SHOWN if not np.array_equal(getattr(self, name)[e], shown[name][e])]
                if differ:
                    failed[e] = f"played again with the same seed and actions it differs in {', '.join(differ)}"
        return failed

    def _replace(self, failed: Mapping[int, str]) -> np.ndarray:
        """Restart games whose episodes are lost; returns their indices (K,) int64, ascending."""
        self._report(failed)
        lost = sorted({*failed, *self._start(sorted(failed), self._renew)})
        self.episodes_lost += len(lost)
        return np.array(lost, np.int64)

    def _start(self, ids: list[int], renew: bool = False) -> set[int]:
        """Start the next episodes of some games, retrying if necessary; returns other games lost on the way."""
        wanted, others = set(ids), set()
        while ids:
            self._episode[ids] += 1
            self._started[ids] = True
            seeds = [episode_seed(self._seed, e, int(self._episode[e])) for e in ids]
            failed = self._crew.start([Start(e, seed, renew=renew) for e, seed in zip(ids, seeds, strict=True)])
            failed = _find_faults(self._crew.arrays, self._started, self.info) | failed
            self._report(failed)
            others |= failed.keys() - wanted
            ids, renew = sorted(failed), self._renew
        return others

    def _report(self, failed: Mapping[int, str]) -> None:
        """Count failures and report them; an EnvError if there are too many in a row."""
        for e, reason in sorted(failed.items()):
            self._failures[e] += 1
            self._failed_before = True
            if self._failures[e] > self._max_retry:
                raise EnvError(
                    f"{self.info.name}: game {e} failed {self._failures[e]} times in a row; env.manager.max_retry = "
                    f"{self._max_retry} repairs are allowed. The last failure:\n{reason.strip()}"
                )
            self.out(f"{self.info.name}: game {e} is started anew: {last_line(reason)}")


def episode_seed(seed: int, env_id: int, episode: int) -> int:
    """Seed of game ``env_id``'s episode number ``episode`` (from 0) in a batch with this seed, in [0, 2**31)."""
    block, place = divmod(episode, _SEED_BLOCK)
    return _seed_block(seed, env_id, block)[place]


@functools.lru_cache(4096)
def _seed_block(seed: int, env_id: int, block: int) -> list[int]:
    """Seeds of a block of episodes; drawing one takes as long as drawing many."""
    return (np.random.SeedSequence([seed, env_id, block]).generate_state(_SEED_BLOCK) >> 1).tolist()


@compiled()
def _take(
    action: np.ndarray,
    action_mask: np.ndarray,
    terminated: np.ndarray,
    truncated: np.ndarray,
    episode_length: np.ndarray,
    out: np.ndarray,
    history: np.ndarray,
) -> bool:
    """If all actions are available, pass them to the games, record those of running games and return True.

    Compiled, because a dozen numpy calls cost more than a step of a small game.
    """
    games, agents, actions = action_mask.shape
    for game in range(games):
        if not (terminated[game] or truncated[game]):
            for agent in range(agents):
                chosen = action[game, agent]
                if chosen < 0 or chosen >= actions or not action_mask[game, agent, chosen]:
                    return False
    for game in range(games):
        if not (terminated[game] or truncated[game]):
            for agent in range(agents):
                out[game, agent] = action[game, agent]
                history[game, episode_length[game], agent] = action[game, agent]
    return True


def _find_faults(arrays: GameArrays, shown: np.ndarray, info: EnvInfo) -> dict[int, str]:
    """A message for each started game (``shown``) that has numbers that are not finite, or an agent without actions."""
    if _sound(arrays.agent_state, arrays.global_state, arrays.action_mask, shown):
        return {}
    games = len(shown)
    finite = "holds values that are not finite. Right is finite numbers."
    rules = {  # if several apply, the last one is reported
        "action_mask leaves an agent without action. Right is one or more, dead or alive.": arrays.action_mask.any(-1),
        f"global_state {finite}": np.isfinite(arrays.global_state),
        f"agent_state {finite}": np.isfinite(arrays.agent_state),
    }
    return {
        e: f"{info.name}: {said}"
        for said, good in rules.items()
        for e in np.flatnonzero(shown & ~good.reshape(games, -1).all(-1)).tolist()
    }


@compiled()
def _sound(agent_state: np.ndarray, global_state: np.ndarray, action_mask: np.ndarray, shown: np.ndarray) -> bool:
    """Whether `_find_faults` finds nothing; compiled, as numpy calls would take a good part of a small game's step."""
    games, agents, actions = action_mask.shape
    for game in range(games):
        if shown[game]:
            total = np.float32(0.0)
            for value in agent_state[game].flat:
                total += value * np.float32(0.0)  # NaN when it is not finite
            for value in global_state[game].flat:
                total += value * np.float32(0.0)
            if total != 0.0:
                return False
            for agent in range(agents):
                choices = False
                for action in range(actions):
                    choices |= action_mask[game, agent, action]
                if not choices:
                    return False
    return True


_SEED_BLOCK = 64  # episodes
_NONE = np.zeros(0, np.int64)
_NOT_SAVED = "its state cannot be saved"
