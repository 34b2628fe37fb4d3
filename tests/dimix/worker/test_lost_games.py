"""Games that fail in the middle of an episode: nothing of that episode is learned from, and no evaluation counts it."""

from __future__ import annotations

import numpy as np
import pytest

from dimix.replay.batch import validate
from dimix.replay.buffer import ReplayBuffer
from dimix.worker.collector import Collector
from dimix.worker.evaluator import Evaluator


@pytest.fixture
def losing_env(toy_env):
    """The toy battle, in which game ``id`` fails at call ``n`` of step, for each ``n: id`` of ``losses``."""

    class LosingEnv(toy_env):
        losses: dict[int, int] = {}
        calls = 0

        def step(self, action):
            super().step(action)
            self.lost = np.zeros(0, np.int64)
            if self.calls in self.losses:
                self.lost = np.array([self.losses[self.calls]])
                super().reset(self.lost)
                self.reward[self.lost] = 0
                self.episodes_lost += 1
            self.calls += 1

    return LosingEnv


@pytest.mark.parametrize("options", [{}, dict(unroll_len=4)], ids=["episodes", "windows"])
def test_collector_drops_lost_episodes(losing_env, toy_policy, toy_input, options):
    env, policy = losing_env(2, seed=1, end=0.0, limit=6), toy_policy(seed=2)
    env.losses = {3: 1}  # game 1 fails at its fourth step
    buffer = ReplayBuffer(10, env.info, toy_input, (3, 3), **options)
    collector = Collector(env, policy.mode, buffer, toy_input)
    stats = collector.collect(n_episode=3)
    # game 0 ends at steps 6 and 12, game 1 at 4 + 6 = 10
    assert stats.ep_length == [6, 6, 6] and collector.episode_count == 3 and collector.episodes_lost == 1
    assert collector.env_step == stats.env_steps == 2 * 12 - 1  # the step that failed is no step
    assert buffer.num_steps == 18
    validate(buffer.gather(np.arange(len(buffer))))
    start, next_call = policy.seen_hidden[4][1], policy.seen_hidden[5][1]
    assert not start.any() and next_call.any()  # the fifth call sees a fresh game
    own = toy_input.obs_shape
    assert not policy.seen_input[4][1, :, own : own + 4].any()  # and no last action


def test_evaluator_plays_lost_games_again(losing_env, toy_policy, toy_input):
    env, policy = losing_env(2, seed=1, end=0.0, limit=6), toy_policy(seed=2)
    env.losses = {1: 0, 4: 0, 8: 1}
    result = Evaluator(env, policy.mode, toy_input).evaluate(3)
    assert result.games_played == 3 and result.ep_length == 6.0
    plain = losing_env(2, seed=1, end=0.0, limit=6)
    assert not Evaluator(plain, toy_policy(seed=2).mode, toy_input).evaluate(3).distinct_games < 3
