"""Plays evaluation games: greedy, each counted once, and separate from training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from dimix.envs.agent_input import AgentInput
from dimix.envs.vec_env import VecEnv
from dimix.policy.base import ActMode
from dimix.worker.rollout import Rollout


class PlayedGame(NamedTuple):
    """One game: return, length, outcome, a hash of its joint actions, its task (`EnvInfo.tasks`), and its labels."""

    ep_return: float
    length: int
    won: bool
    actions: int
    task: int = 0
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvalResult:
    """Result of one evaluation.

    Attributes:
        ep_reward: mean return.
        std_ep_reward: standard deviation of the return over the games.
        ep_length: mean number of steps.
        games_won: games that ended with ``battle_won``.
        games_played: number of games.
        distinct_games: number of different games, by joint actions and outcome. Greedy games from one start may all be
            the same game.
        by_label: games won and played of each label, where games have some (`EnvInfo.labels`).
    """

    ep_reward: float
    std_ep_reward: float
    ep_length: float
    games_won: int
    games_played: int
    distinct_games: int
    by_label: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def battle_won(self) -> float:
        """Share of games won."""
        return self.games_won / self.games_played

    @classmethod
    def of(cls, games: Sequence[PlayedGame]) -> EvalResult:
        """The result of these games, one or more."""
        returns, lengths, wins, *_ = zip(*games, strict=True)
        return cls(
            ep_reward=float(np.mean(returns)),
            std_ep_reward=float(np.std(returns)),
            ep_length=float(np.mean(lengths)),
            games_won=int(np.sum(wins)),
            games_played=len(games),
            distinct_games=len(set(games)),
            by_label={label: _won_and_played(games, label) for label in sorted({x for g in games for x in g.labels})},
        )

    @classmethod
    def by_task(cls, games: Sequence[PlayedGame], tasks: Sequence[str]) -> dict[str, EvalResult]:
        """The result of each task's games, by its name, of those that were played."""
        parts = {name: [game for game in games if game.task == task] for task, name in enumerate(tasks)}
        return {name: cls.of(part) for name, part in parts.items() if part}


def _won_and_played(games: Sequence[PlayedGame], label: str) -> tuple[int, int]:
    won = [game.won for game in games if label in game.labels]
    return sum(won), len(won)


class Evaluator:
    """Plays a fixed number of whole games with a policy's ``eval_mode``.

    Game i is played in environment i mod E, so whether a game counts does not depend on its length. (Counting the first
    n games to end would favour short ones.) The environments and their random streams are used only here.

    Args:
        env: environments; every evaluation resets those that it uses.
        policy: a policy's ``eval_mode``.
        agent_input: builds the agents' input.

    Attributes:
        env: the environments.
    """

    def __init__(self, env: VecEnv, policy: ActMode, agent_input: AgentInput) -> None:
        self.env = env
        self._policy = policy
        self._agent_input = agent_input
        self._hash_factor = _odd_numbers(env.info.agent_num)

    def evaluate(self, n_episode: int, epsilon: float = 0.0) -> EvalResult:
        """Play ``n_episode`` games.

        Args:
            n_episode: number of games, >= 1.
            epsilon: probability of a random action per agent; 0 is greedy.

        Raises:
            ValueError: ``n_episode`` is less than 1.
        """
        if n_episode < 1:
            raise ValueError(f"evaluate: n_episode {n_episode}. Right is 1 or more.")
        return EvalResult.of(self.play(n_episode, epsilon))

    def play(self, n_episode: int, epsilon: float = 0.0) -> list[PlayedGame]:
        """As `evaluate`, but returns the games, in the order of their ends; none if ``n_episode`` is 0."""
        env = self.env
        to_play = n_episode // env.num_envs + (np.arange(env.num_envs) < n_episode % env.num_envs)
        games = Rollout(env, self._policy, self._agent_input)
        history = np.zeros(env.num_envs, np.uint64)  # hash of the actions so far
        tasks = np.arange(env.num_envs) % max(len(env.info.tasks), 1)
        env.reset()
        games.begin(np.arange(env.num_envs))
        played: list[PlayedGame] = []
        while to_play.any():
            running = to_play > 0
            if len(env.lost):  # these games have restarted, and count when they end
                games.begin(env.lost)
                history[env.lost] = 0
            action = games.step(env, epsilon)
            history = history * _HASH_STEP + ((action + 1).astype(np.uint64) * self._hash_factor).sum(1)
            over = np.flatnonzero(running & (env.terminated | env.truncated))
            if len(over):
                ends = (games.ep_return, env.episode_length, env.battle_won, history, tasks)
                labels = env.labels_of(over) if env.info.labels else [()] * len(over)
                played += map(PlayedGame, *(values[over].tolist() for values in ends), labels)
                to_play[over] -= 1
                again = over[to_play[over] > 0]
                env.reset(again)
                games.begin(again)
                history[again] = 0
        return played

    def state_dict(self) -> dict[str, Any]:
        """The environments' state, so that a resumed run plays the same evaluation games."""
        return {"env": self.env.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self.env.load_state_dict(state["env"])

    def close(self) -> None:
        """Close the environments."""
        self.env.close()


_HASH_STEP = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplication modulo 2**64 is invertible


def _odd_numbers(count: int) -> np.ndarray:
    """(count,) uint64 odd constants that distinguish the agents in a hash."""
    numbers = np.random.default_rng(0).integers(0, 2**63, count, dtype=np.uint64)
    return numbers * np.uint64(2) + np.uint64(1)
