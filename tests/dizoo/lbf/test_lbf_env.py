"""Level-based foraging, with the real package."""

from __future__ import annotations

import numpy as np
import pytest
from easydict import EasyDict

from dimix.config.compile import compile_all
from dimix.config.schema import class_schema, defaults
from dimix.envs.packages import Package
from dimix.errors import ConfigError, EnvError
from dizoo.lbf.envs.lbf_env import LBFGame

NORTH, LOAD = 1, 5


def make(**env):
    cfg = EasyDict(defaults(class_schema(LBFGame)))
    cfg.update(env)
    return LBFGame(cfg)


def play(game, seed, steps=50):
    """All frames of an episode of random actions, copied."""
    rng, frames = np.random.default_rng(seed), [game.reset(seed)]
    while len(frames) <= steps and not (frames[-1].terminated or frames[-1].truncated):
        frames.append(game.step(rng.integers(0, 6, game.info.agent_num)))
    return frames


def test_the_benchmark_of_the_papers():
    info = make(env_id="Foraging-2s-10x10-4p-2f-v3").info
    # (y, x, level) of 2 foods and 4 agents
    assert (info.agent_num, info.obs_shape, info.global_obs_shape) == (4, 18, 72)
    assert (info.action_shape, info.episode_limit, info.has_win) == (6, 50, False)


@pytest.mark.parametrize("obs_normalize", [False, True])
def test_frames_are_the_packages_own(obs_normalize):
    game, seen = make(env_id="Foraging-8x8-3p-2f-v3", obs_normalize=obs_normalize), []
    # y and x go to 7, levels of food to those of three agents (2 each) together, levels of agents to 2
    high = np.array([7, 7, 6] * 2 + [7, 7, 2] * 3) if obs_normalize else 1
    game.reset(3)
    bare = game._env
    for _ in range(20):
        frame = game.step(np.full(3, NORTH))
        own = bare.test_make_gym_obs()
        np.testing.assert_allclose(frame.agent_state, np.stack(own) / high, rtol=1e-6)
        seen.append(frame)
    assert not any(f.terminated or f.truncated for f in seen)


@pytest.mark.parametrize(("team_reward", "total"), [("sum", 1.0), ("mean", 0.5)])
def test_food_that_takes_two_pays_the_team(team_reward, total):
    """Both stand beside the only food and load: with normalised rewards the agents share 1."""
    game = make(env_id="Foraging-5x5-2p-1f-coop-v3", team_reward=team_reward)
    game.reset(0)
    env = game._env
    (row,), (col,) = np.nonzero(env.field)
    for player, shift in zip(env.players, (-1, 1), strict=True):
        player.position = (int(row) + shift, int(col)) if 0 < row < 4 else None
    env._gen_valid_moves()
    frame = game.step(np.full(2, LOAD))
    assert frame.reward == pytest.approx(total)
    assert frame.terminated and not frame.truncated


def test_the_time_limit_is_a_truncation():
    """The package reports it as the end of the game, which would cut the value of what could still come."""
    game = make(env_id="Foraging-8x8-2p-2f-coop-v3", options=dict(max_episode_steps=7))
    assert game.info.episode_limit == 7
    game.reset(0)
    frames = [game.step(np.zeros(2, np.int64)) for _ in range(7)]
    assert [f.truncated for f in frames] == [False] * 6 + [True]
    assert not any(f.terminated for f in frames)


def test_seed_and_actions_decide_a_game_whatever_was_played_before():
    """The package lets the last episode's positions keep new agents away; with many agents on few cells that shows."""
    crowded = dict(env_id="Foraging-5x5-9p-1f-v3")
    used = make(**crowded)
    for seed in range(12):
        fresh = play(make(**crowded), seed, steps=5)
        again = play(used, seed, steps=5)
        for one, two in zip(fresh, again, strict=True):
            np.testing.assert_array_equal(one.agent_state, two.agent_state)
            assert one[4:] == two[4:]


def test_a_batch_in_processes(tmp_path):
    cfg = EasyDict(defaults(class_schema(LBFGame)))
    cfg.manager.worker_num = 2
    env = LBFGame.create(cfg, "collect", 3, seed=0)
    try:
        env.reset()
        assert len(np.unique(env.global_state, axis=0)) == 3
        for _ in range(50):
            env.step(np.zeros((3, 2), int))
        assert env.truncated.all() and env.action_mask.all() and env.alive.all()
    finally:
        env.close()


def problem(**env):
    with pytest.raises(ConfigError) as e:
        compile_all((dict(env=env), dict(env=dict(type="lbf", import_names=["dizoo.lbf.envs.lbf_env"]))))
    return str(e.value)


def test_errors_say_what_is_right(monkeypatch):
    said = problem(env_id="Foraging-8x8-2p-2f-co-v3")
    assert said.startswith("env.env_id (in main_config): no foraging environment 'Foraging-8x8-2p-2f-co-v3'. Nearest: ")
    assert "'Foraging-8x8-2p-2f-coop-v3'" in said
    assert "env.options (in main_config): Foraging-8x8-2p-2f-coop-v3 with {'size': 3} failed" in problem(
        options=dict(size=3)
    )
    monkeypatch.setattr(LBFGame, "packages", (Package("no_such_package", LBFGame.packages[0].install),))
    with pytest.raises(
        EnvError, match=r"no_such_package is not installed. Install it with: pip install 'dimix\[lbf\]'"
    ):
        make()
