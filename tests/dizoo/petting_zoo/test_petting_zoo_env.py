"""PettingZoo's environments with the real packages, and one of our own whose agents leave early."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from easydict import EasyDict

from dimix.config.compile import compile_all
from dimix.config.schema import class_schema, defaults
from dimix.errors import ConfigError
from dimix.policy.exploration import epsilon_greedy
from dizoo.petting_zoo.envs.petting_zoo_env import FAMILIES, PettingZooGame

sys.path.append(str(Path(__file__).resolve().parent.parent))

SPREAD = dict(env_family="mpe", env_id="simple_spread_v3")
SPEAKER = dict(env_family="mpe", env_id="simple_speaker_listener_v4")
PURSUIT = dict(env_family="sisl", env_id="pursuit_v5")
LEAVERS = dict(env_family="petting_zoo", env_id="leavers_v0")  # this folder is the package


def make(**env):
    cfg = EasyDict(defaults(class_schema(PettingZooGame)))
    cfg.update(env)
    return PettingZooGame(cfg)


@pytest.mark.parametrize(
    ("env", "sizes"),
    [
        (SPREAD, (3, 18, 54, 5, 25)),
        (dict(SPREAD, options=dict(N=2, max_cycles=7)), (2, 12, 24, 5, 7)),
        (SPEAKER, (2, 11, 22, 5, 25)),
        (dict(SPEAKER, global_state="state"), (2, 11, 14, 5, 25)),  # 3 + 11, without padding
        (PURSUIT, (8, 147, 1176, 5, 500)),  # 7 x 7 x 3 seen
        (dict(PURSUIT, global_state="state"), (8, 147, 768, 5, 500)),  # 16 x 16 x 3
        (dict(SPREAD, episode_limit=9), (3, 18, 54, 5, 9)),
    ],
)
def test_sizes(env, sizes):
    info = make(**env).info
    assert (info.agent_num, info.obs_shape, info.global_obs_shape, info.action_shape, info.episode_limit) == sizes
    assert not info.has_win


@pytest.mark.parametrize(("team_reward", "share"), [("sum", 1.0), ("mean", 1 / 3)])
@pytest.mark.parametrize("env", [SPREAD, SPEAKER, PURSUIT], ids=lambda e: e["env_id"])
def test_frames_are_the_environments_own(env, team_reward, share):
    game = make(**env, team_reward=team_reward)
    share = 1.0 if team_reward == "sum" else 1 / game.info.agent_num
    package = importlib.import_module(f"{FAMILIES[env['env_family']].module}.{env['env_id']}")
    theirs = package.parallel_env()
    obs, _ = theirs.reset(seed=4)
    frame = game.reset(4)
    rng = np.random.default_rng(0)
    for _ in range(25):
        for i, agent in enumerate(theirs.possible_agents):
            flat = obs[agent].reshape(-1)
            np.testing.assert_array_equal(frame.agent_state[i, : len(flat)], flat)
            assert not frame.agent_state[i, len(flat) :].any()
        action = np.array([rng.integers(theirs.action_space(a).n) for a in theirs.possible_agents])
        obs, rewards, terminations, truncations, _ = theirs.step(
            dict(zip(theirs.possible_agents, action.tolist(), strict=True))
        )
        frame = game.step(action)
        assert frame.reward == pytest.approx(sum(rewards.values()) * share)
    assert frame.truncated == all(truncations.values()) and not frame.terminated


def test_smaller_action_spaces_are_masked():
    frame = make(**SPEAKER).reset(0)
    np.testing.assert_array_equal(frame.action_mask, [[True] * 3 + [False] * 2, [True] * 5])
    assert make(**SPREAD).reset(0).action_mask is None


@pytest.mark.parametrize("env", [SPREAD, SPEAKER, PURSUIT], ids=lambda e: e["env_id"])
def test_seed_and_actions_decide_a_game_whatever_was_played_before(env):
    def play(game, seed):
        seen = [np.array(game.reset(seed).agent_state)]
        for _ in range(8):
            frame = game.step(np.full(game.info.agent_num, seed % 3))
            seen += [np.array(frame.agent_state), np.array(frame.reward)]
        return seen

    used = make(**env)
    play(used, 1)
    for seed in (2, 3):
        for one, two in zip(play(make(**env), seed), play(used, seed), strict=True):
            np.testing.assert_array_equal(one, two)


def test_agents_that_leave_are_dead_and_blind_and_may_do_nothing_but_0():
    game = make(**LEAVERS)
    assert (game.info.obs_shape, game.info.action_shape, game.info.global_obs_shape) == (3, 4, 9)
    start = game.reset(0)
    assert start.alive is None
    np.testing.assert_array_equal(start.agent_state, [[1, 0, 0], [1, 1, 0], [1, 1, 1]])
    game.step(np.array([1, 2, 3]))
    left = game.step(np.array([1, 2, 3]))  # agent a's last step: it is shown what it saw at its end
    np.testing.assert_array_equal(left.alive, [False, True, True])
    np.testing.assert_array_equal(left.agent_state, [[3, 0, 0], [3, 3, 0], [3, 3, 3]])
    np.testing.assert_array_equal(left.action_mask, [[1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]])
    assert left.reward == 3.0 and not left.terminated
    third = game.step(np.array([0, 2, 3]))
    np.testing.assert_array_equal(third.agent_state, [[0, 0, 0], [4, 4, 0], [4, 4, 4]])
    assert third.reward == 2.0
    assert game._env.sent[-1] == {"b": 2, "c": 3}
    last = game.step(np.array([0, 0, 0]))
    assert last.terminated and not last.truncated and not last.alive.any()
    fresh = game.reset(0)
    np.testing.assert_array_equal(fresh.agent_state, [[1, 0, 0], [1, 1, 0], [1, 1, 1]])
    assert fresh.alive is None


def test_truncated_for_all_is_a_truncation():
    game = make(**LEAVERS, options=dict(leave=[2, 2, 2], how="truncate"))
    game.reset(0)
    assert not game.step(np.zeros(3, int)).truncated
    frame = game.step(np.zeros(3, int))
    assert frame.truncated and not frame.terminated


EVERYBODY = dict.fromkeys("abc")


@pytest.mark.parametrize(
    "options",
    [dict(masked_obs=True), dict(masked_infos=EVERYBODY), dict(masked_obs=True, masked_infos=EVERYBODY)],
    ids=["observation", "infos", "both"],
)
def test_masks_of_the_environment_are_obeyed_at_the_reset_and_in_every_step(options):
    game = make(**LEAVERS, options=options)
    frame = game.reset(0)
    np.testing.assert_array_equal(frame.action_mask, np.eye(4)[[1, 1, 1]])  # 1 % 2, 1 % 3, 1 % 4
    np.testing.assert_array_equal(frame.agent_state, [[1, 0, 0], [1, 1, 0], [1, 1, 1]])
    frame = game.step(np.array([1, 1, 1]))
    np.testing.assert_array_equal(frame.action_mask, np.eye(4)[[0, 2, 2]])  # 2 % 2, 2 % 3, 2 % 4
    frame = game.step(np.array([0, 2, 2]))
    np.testing.assert_array_equal(frame.action_mask, np.eye(4)[[0, 0, 3]])  # a has left; 3 % 3, 3 % 4
    np.testing.assert_array_equal(frame.alive, [False, True, True])


def test_an_agent_without_a_mask_may_do_all_that_it_can():
    frame = make(**LEAVERS, options=dict(masked_infos=dict(b=[0, 0, 1]))).reset(0)
    np.testing.assert_array_equal(frame.action_mask, [[1, 1, 0, 0], [0, 0, 1, 0], [1, 1, 1, 1]])


def test_only_allowed_actions_are_played_in_training():
    cfg = EasyDict(defaults(class_schema(PettingZooGame)))
    cfg.update(LEAVERS, options=dict(masked_infos=EVERYBODY, leave=[4, 4, 4]))
    cfg.manager.type = "base"
    env = PettingZooGame.create(cfg, "collect", 1, seed=0)
    env.reset()
    explorer = np.random.default_rng(0)
    for clock in range(4):
        action = epsilon_greedy(np.zeros((1, 3, 4), np.float32), env.action_mask, 1.0, explorer)
        np.testing.assert_array_equal(action, [[(clock + 1) % n for n in (2, 3, 4)]])
        env.step(action)
    assert env.terminated.all()


def test_a_batch_of_games_with_leavers():
    cfg = EasyDict(defaults(class_schema(PettingZooGame)))
    cfg.update(LEAVERS)
    cfg.manager.worker_num = 1
    env = PettingZooGame.create(cfg, "collect", 2, seed=0)
    try:
        env.reset()
        for _ in range(4):
            env.step(np.zeros((2, 3), int))
        assert env.terminated.all() and not env.alive.any()
        env.reset([0])
        np.testing.assert_array_equal(env.alive, [[True] * 3, [False] * 3])
        assert env.action_mask[0, 2].all()
    finally:
        env.close()


def problem(**env):
    with pytest.raises(ConfigError) as e:
        compile_all(
            (
                dict(env=env),
                dict(env=dict(type="petting_zoo", import_names=["dizoo.petting_zoo.envs.petting_zoo_env"])),
            )
        )
    return str(e.value)


@pytest.mark.parametrize(
    ("env", "said"),
    [
        (dict(env_id="simple_spred_v3"), "env.env_id (in main_config): no environment 'simple_spred_v3' in mpe2. "),
        (
            dict(PURSUIT, env_id="pursuit_v4"),
            "no environment 'pursuit_v4' in pettingzoo.sisl. Did you mean 'pursuit_v5'",
        ),
        (
            dict(SPREAD, options=dict(continuous_actions=True)),
            "env.env_id (in main_config): agent_0 of simple_spread_v3 acts in Box(0.0, 1.0, (5,), float32). These",
        ),
        (
            dict(SPREAD, options=dict(size=3)),
            "env.options (in main_config): simple_spread_v3 with {'size': 3} failed: ",
        ),
        (
            dict(env_family="no_such_family"),
            "env.env_family (in main_config): no_such_family: no_such_family is not installed. "
            "Install it with: pip install no_such_family",
        ),
        (
            dict(LEAVERS, global_state="state"),
            "env.global_state (in main_config): 'state', but leavers_v0 has no state()",
        ),
        (
            dict(LEAVERS, options=dict(masked_infos=dict(b=[0, 1]))),
            "leavers_v0: action_mask of b in its infos: shape (2,). Right is (3,), one per action.",
        ),
        (
            dict(LEAVERS, options=dict(masked_infos=dict(c=[0, 0, 0, 0]))),
            "leavers_v0: action_mask of c in its infos: allows no action. Right is one or more, while it is in agents.",
        ),
        (
            dict(LEAVERS, options=dict(masked_obs=True, masked_infos=dict(b=[1, 0, 1]))),
            "leavers_v0: action_mask of b: allows [1] in its observation, [0, 2] in its infos. Right is the same",
        ),
        (
            dict(LEAVERS, options=dict(max_cycles=None)),
            "env.episode_limit (in main_config): not set, and leavers_v0 does not tell its max_cycles.",
        ),
    ],
)
def test_errors_say_what_is_right(env, said):
    assert said in problem(**env)
