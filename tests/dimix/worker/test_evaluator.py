"""The evaluator: exactly the games asked for, none counted twice, none preferred for being short."""

import numpy as np
import pytest
import torch

from dimix.envs.agent_input import AgentInput
from dimix.machine.checkpoint_file import load_checkpoint, save_checkpoint
from dimix.worker.evaluator import EvalResult, Evaluator
from dizoo.matrix_game.envs.matrix_game_env import MatrixGameEnv


def first_games(toy_env, toy_policy, toy_input, n_episode, **options):
    """Games played one environment at a time: lengths of game i in environment i mod E."""
    env = toy_env(**options)
    counts = np.bincount(np.arange(n_episode) % env.num_envs, minlength=env.num_envs)
    policy, lengths = toy_policy(), []
    playing = counts.copy()
    env.reset()
    while playing.any():
        obs = {"agent_state": env.agent_state, "action_mask": env.action_mask}
        env.step(policy.forward(obs, policy.init_hidden(env.num_envs))[0])
        for e in np.flatnonzero((env.terminated | env.truncated) & (playing > 0)):
            lengths.append(int(env.episode_length[e]))
            playing[e] -= 1
            if playing[e]:
                env.reset([e])
    return lengths


@pytest.mark.parametrize("n_episode", [1, 3, 4, 10])
def test_plays_exactly_the_games_asked_for(toy_env, toy_policy, toy_input, n_episode):
    options = dict(num_envs=4, seed=3)
    result = Evaluator(toy_env(**options), toy_policy().mode, toy_input).evaluate(n_episode)
    lengths = first_games(toy_env, toy_policy, toy_input, n_episode, **options)
    assert result.games_played == n_episode == len(lengths)
    assert result.ep_length == pytest.approx(np.mean(lengths))
    assert result.distinct_games == n_episode  # random play
    assert result.battle_won == result.games_won / n_episode


def test_short_games_are_not_preferred(toy_env, toy_policy, toy_input):
    # Games of environment 0 last one step, those of environment 1 the limit of 12.
    env = toy_env(2, end=[1.0, 0.0])
    result = Evaluator(env, toy_policy().mode, toy_input).evaluate(20)
    assert result.ep_length == (10 * 1 + 10 * 12) / 20


def test_same_games_are_counted_as_one(toy_input):
    class Fixed:
        """Always the same action."""

        def __init__(self, action):
            self.action = action

        def init_hidden(self, num_envs):
            return torch.zeros(num_envs, 2, 1)

        def begin(self, env_ids):
            pass

        def forward(self, obs, hidden_state, epsilon):
            return np.full(obs["action_mask"].shape[:2], self.action), hidden_state

    env = MatrixGameEnv("two_step", 3)
    agent_input = AgentInput(3, 2, 2)
    result = Evaluator(env, Fixed(1), agent_input).evaluate(7)
    assert result == EvalResult(8.0, 0.0, 2.0, games_won=7, games_played=7, distinct_games=1)
    assert result.battle_won == 1.0
    result = Evaluator(env, Fixed(0), agent_input).evaluate(7)
    assert result == EvalResult(7.0, 0.0, 2.0, games_won=0, games_played=7, distinct_games=1)


def test_spread_of_returns(toy_env, toy_policy, toy_input):
    env = toy_env(5, seed=7)
    result = Evaluator(env, toy_policy().mode, toy_input).evaluate(5)
    assert result.std_ep_reward > 0


def test_resume_plays_the_games_that_would_have_come(toy_env, toy_policy, toy_input, tmp_path):
    def make():
        return Evaluator(toy_env(3, seed=4), toy_policy().mode, toy_input)

    whole, first, second = make(), make(), make()
    whole.evaluate(6)
    first.evaluate(6)
    save_checkpoint(tmp_path / "a.tar", first.state_dict())
    second.load_state_dict(load_checkpoint(tmp_path / "a.tar"))
    second._policy.load_state_dict(first._policy.state_dict())
    assert second.evaluate(6) == whole.evaluate(6)


def test_needs_a_game(toy_env, toy_policy, toy_input):
    with pytest.raises(ValueError, match="n_episode 0. Right is 1 or more"):
        Evaluator(toy_env(), toy_policy().mode, toy_input).evaluate(0)
