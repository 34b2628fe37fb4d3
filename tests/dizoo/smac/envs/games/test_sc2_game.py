"""The adapter for StarCraft2Env, played for real against the package's own class of that interface."""

import json
import sys
import types

import numpy as np
import pytest

from dimix.config.compile import compile_all
from dimix.errors import ConfigError, EnvError
from dizoo.smac.battle import BattleEngine
from dizoo.smac.battle.maps.mapfile import standard_maps
from dizoo.smac.envs import StarCraft2Env
from dizoo.smac.envs.games.sc2_game import SC2Game

OWN = "dizoo.smac.envs:StarCraft2Env"


def config(env_class=OWN, args=None, map_name="3m", **env):
    main = dict(env=dict(map_name=map_name, backend="sc2", sc2=dict(env_class=env_class, args=args or {}), **env))
    return compile_all((main, dict(env=dict(type="smac"), policy=dict(type="qmix"))))


class BreaksDown(StarCraft2Env):
    """At step 3 the game's process dies; SMAC then says: no reward, over, and nothing else."""

    def step(self, actions):
        reward, over, info = super().step(actions)
        return (0, True, {}) if self._episode_steps == 3 else (reward, over, info)


class Capabilities(StarCraft2Env):
    """SMACv2's wrapper in what matters here: any keyword, writes into its config, reset may return nothing."""

    def __init__(self, **kwargs):
        assert "env_key" not in kwargs["capability_config"]["team_gen"], "made from a config that was written into"
        kwargs.pop("capability_config")["team_gen"]["env_key"] = "team_gen"
        super().__init__(**kwargs)

    def reset(self):
        super().reset()


@pytest.fixture
def fakes(monkeypatch):
    module = types.ModuleType("dimix_fake_sc2")
    module.BreaksDown, module.Capabilities = BreaksDown, Capabilities
    monkeypatch.setitem(sys.modules, "dimix_fake_sc2", module)


def first_legal(mask, generator):
    return np.array([generator.choice(np.flatnonzero(row)) for row in np.asarray(mask)])


@pytest.mark.parametrize("map_name", ["3m", "MMM"])
def test_the_adapter_shows_the_battle_as_it_is(map_name):
    """Three episodes in a row: all that the engine says, with SMAC's one end flag taken apart again."""
    game = SC2Game(config(map_name=map_name, args=dict(rules="smac")).cfg.env)
    engine = BattleEngine(map_name, 1, seed=11, rules="smac")
    generator = np.random.default_rng(0)
    for episode in range(3):
        frame = game.reset(seed=11 if episode == 0 else 12345)  # only the first seed can count
        engine.reset()
        for _ in range(engine.episode_limit):
            assert np.array_equal(frame.agent_state, engine.agent_state[0])
            assert np.array_equal(frame.global_state, engine.global_state[0])
            assert np.array_equal(frame.action_mask, engine.action_mask[0])
            assert np.array_equal(frame.alive, engine.alive[0])
            action = first_legal(frame.action_mask, generator)
            frame = game.step(action)
            engine.step(action[None])
            assert frame.reward == pytest.approx(float(engine.reward[0]), abs=1e-9)
            ends = (frame.terminated, frame.truncated, frame.battle_won)
            assert ends == (engine.terminated[0], engine.truncated[0], engine.battle_won[0])
            if frame.terminated or frame.truncated:
                break
        assert frame.terminated or frame.truncated


def test_the_time_limit_is_no_defeat(tmp_path):
    short = tmp_path / "short.json"
    short.write_text(json.dumps({**standard_maps()["3m"], "episode_limit": 2}))
    game = SC2Game(config(map_name=str(short)).cfg.env)
    game.reset(0)
    assert not game.step(np.ones(3, np.int64)).truncated
    frame = game.step(np.ones(3, np.int64))
    assert frame.truncated and not frame.terminated and not frame.battle_won


def test_sizes_and_keys():
    compiled = config(args=dict(obs_timestep_number=True, state_last_action=False))
    engine = BattleEngine("3m", 1)
    info = compiled.info
    assert (info.name, info.agent_num, info.action_shape, info.episode_limit) == ("3m", 3, 9, 60)
    assert info.obs_shape == engine.obs_shape + 1
    assert info.global_obs_shape == engine.global_obs_shape - 3 * 9
    assert info.has_win and not info.has_jitter


def test_rewards_follow_the_keys_of_the_branch():
    game = SC2Game(config(reward_scale_rate=40.0, reward_win=100.0).cfg.env)
    game.reset(0)
    assert game._env.reward_scale_rate == 40.0
    assert game._env.max_reward == 100 + 3 * 10 + 3 * 45  # a win, three deaths, three marines' points


def test_a_breakdown_of_the_game_is_an_error_and_no_defeat(fakes):
    game = SC2Game(config("dimix_fake_sc2:BreaksDown").cfg.env)
    frame = game.reset(0)
    for _ in range(2):
        frame = game.step(np.asarray(frame.action_mask).argmax(1))
    with pytest.raises(EnvError, match="3m: StarCraft II broke down"):
        game.step(np.asarray(frame.action_mask).argmax(1))
    assert not game.reset(1).terminated


def test_smacv2s_wrapper(fakes):
    args = dict(capability_config=dict(n_units=3, team_gen=dict(dist_type="weighted_teams")))
    compiled = config("dimix_fake_sc2:Capabilities", args)
    game = SC2Game(compiled.cfg.env)
    assert np.asarray(game.reset(0).agent_state).shape == (3, game.info.obs_shape)
    assert "env_key" not in compiled.cfg.env.sc2.args.capability_config.team_gen


@pytest.mark.parametrize(
    ("env_class", "args", "text"),
    [
        ("smac.env", {}, r"env.sc2.env_class \(in .*\): 'smac.env'. Right is module:Class"),
        ("dizoo.smac.envs:StarCraft3Env", {}, r"env.sc2.env_class \(in .*\): dizoo.smac.envs has no StarCraft3Env"),
        (OWN, dict(reward_win=3), r"env.sc2.args \(in .*\): reward_win has a key of its own. Use env.reward_win"),
        (OWN, dict(seed=3), r"env.sc2.args \(in .*\): seed is set by dimix. Leave it out"),
        (
            OWN,
            dict(step_mul=4),
            r"env.sc2.args \(in .*\): StarCraft2Env\(.*step_mul\) raised BattleError: .*step_mul=8",
        ),
    ],
)
def test_wrong_classes_and_arguments(env_class, args, text):
    with pytest.raises(ConfigError, match=text):
        config(env_class, args)


@pytest.mark.parametrize(
    ("env_class", "command"),
    [
        ("smac.env:StarCraft2Env", "pip install 'dimix[smac]', and StarCraft II"),
        (
            "smacv2.env:StarCraftCapabilityEnvWrapper",
            "pip install 'dimix[smacv2]', and StarCraft II",
        ),
    ],
)
def test_a_missing_package_is_named_with_its_command(env_class, command, monkeypatch):
    monkeypatch.setitem(sys.modules, env_class.partition(".")[0], None)  # as if it were not installed
    with pytest.raises(ConfigError) as error:
        config(env_class)
    assert f"Install it with: {command}" in str(error.value)
