"""Plays evaluation games: greedy, each counted once, and separate from training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dimix.envs.agent_input import AgentInput
from dimix.envs.vec_env import VecEnv
from dimix.policy.base import ActMode
from dimix.worker.rollout import Rollout


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
    """

    ep_reward: float
    std_ep_reward: float
    ep_length: float
    games_won: int
    games_played: int
    distinct_games: int

    @property
    def battle_won(self) -> float:
        """Share of games won."""
        return self.games_won / self.games_played


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
        env = self.env
        to_play = n_episode // env.num_envs + (np.arange(env.num_envs) < n_episode % env.num_envs)
        games = Rollout(env, self._policy, self._agent_input)
        history = np.zeros(env.num_envs, np.uint64)  # hash of the actions so far
        env.reset()
        games.begin(np.arange(env.num_envs))
        returns, lengths, wins, histories = [], [], [], []
        while to_play.any():
            running = to_play > 0
            if len(env.lost):  # these games have restarted, and count when they end
                games.begin(env.lost)
                history[env.lost] = 0
            action = games.step(env, epsilon)
            history = history * _HASH_STEP + ((action + 1).astype(np.uint64) * self._hash_factor).sum(1)
            over = np.flatnonzero(running & (env.terminated | env.truncated))
            if len(over):
                returns += games.ep_return[over].tolist()
                lengths += env.episode_length[over].tolist()
                wins += env.battle_won[over].tolist()
                histories += history[over].tolist()
                to_play[over] -= 1
                again = over[to_play[over] > 0]
                env.reset(again)
                games.begin(again)
                history[again] = 0
        outcomes = set(zip(histories, lengths, returns, wins, strict=True))
        return EvalResult(
            ep_reward=float(np.mean(returns)),
            std_ep_reward=float(np.std(returns)),
            ep_length=float(np.mean(lengths)),
            games_won=int(np.sum(wins)),
            games_played=n_episode,
            distinct_games=len(outcomes),
        )

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
