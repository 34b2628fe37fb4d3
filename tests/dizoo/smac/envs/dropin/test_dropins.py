"""The drop-in environments: each interface against the engine itself, and against the interface's own tests."""

import importlib
import json
import subprocess
import sys

import numpy as np
import pytest

import dizoo.smac.envs as smac_envs
from dizoo.smac.battle import ActionError, BattleEngine, BattleError, MapError, map_names
from dizoo.smac.battle.maps.scenario import task_names
from dizoo.smac.envs import SingleBattle, StarCraft2Env, StarCraftCapabilityEnvWrapper

gymnasium = pytest.importorskip("gymnasium")
pytest.importorskip("pettingzoo")

WAITING = {  # nobody can reach anybody: the enemy is a building far away
    "episode_limit": 5,
    "terrain": "SIMPLE",
    "attack_point": [29, 16],
    "groups": [
        {"side": "ally", "at": [3, 16], "units": {"MARINE": 1}},
        {"side": "enemy", "at": [29, 16], "units": {"SPINE_CRAWLER": 1}},
    ],
}


def pick(masks, rng):
    return [int(rng.choice(np.flatnonzero(mask))) for mask in masks]


def drive(engine, actions):
    engine.step(np.array([actions]))
    return engine.agent_state[0], engine.global_state[0], engine.action_mask[0]


def test_single_battle_is_battle_0_of_an_engine_with_the_same_seed():
    engine = BattleEngine("2s3z", 1, seed=4)
    battle = SingleBattle("2s3z", seed=4)
    battle.reset()
    engine.reset()
    rng = np.random.default_rng(0)
    for _ in range(15):
        actions = pick(battle.masks(), rng)
        obs, state, mask = drive(engine, actions)
        assert battle.step(actions) == engine.reward[0]
        assert np.array_equal(np.stack(battle.observations()), obs)
        assert np.array_equal(battle.state(), state) and np.array_equal(battle.masks(), mask)


def test_what_a_single_battle_returns_does_not_change_later():
    battle = SingleBattle("3m", seed=0)
    battle.reset()
    obs, state, masks = battle.observations(), battle.state(), battle.masks()
    kept = [obs[0].copy(), state.copy(), masks.copy()]
    battle.step([4, 4, 4])
    assert not np.array_equal(battle.state(), state)
    assert all(np.array_equal(a, b) for a, b in zip([obs[0], state, masks], kept, strict=True))


def test_single_battle_refuses():
    battle = SingleBattle("3m", seed=0)
    with pytest.raises(BattleError, match=r"no episode is running\. Call reset\(\) first"):
        battle.step([1, 1, 1])
    battle.reset()
    with pytest.raises(ActionError, match=r"actions: found 2\. Give one per agent, 3"):
        battle.step([1, 1])
    with pytest.raises(ActionError, match=r"Give a list of 3 integers"):
        battle.step([1, 1, 0.5])
    before = battle.state()
    with pytest.raises(ActionError, match=r"found 6, which agent 2"):
        battle.step([4, 4, 6])  # no enemy is in reach at the start
    assert np.array_equal(battle.state(), before)


def test_drawing_follows_the_units():
    battle = SingleBattle("3m", seed=0)
    battle.reset()
    rows = battle.text().splitlines()
    assert len(rows) == 32 and rows[31 - 15].startswith(" 15 ........MM")
    battle.step([4, 4, 4])
    # one step east at 3.15 cells per second for half a second: x 8.625 -> 10.2, 9.425 -> 11.0
    assert battle.text().splitlines()[31 - 15].startswith(" 15 ..........M")


# --- Gymnasium ---


def test_all_maps_are_registered():
    ids = {key for key in gymnasium.registry if key.startswith("dimix/")}
    assert ids == {f"dimix/{name}-v0" for name in (*map_names(), *task_names())} | {"dimix/custom-v0"}
    smac_envs.register_envs()  # a second time changes nothing


def test_gymnasium_follows_its_api():
    from gymnasium.utils.passive_env_checker import check_obs

    env = gymnasium.make("dimix/MMM-v0", seed=1)
    obs, info = env.reset(seed=7)
    check_obs(obs, env.observation_space, "reset")
    assert isinstance(obs, tuple) and len(obs) == 10 and obs[0].shape == (160,) and obs[0].dtype == np.float32
    base = env.unwrapped
    assert info.keys() == {"battle_won", "action_mask", "illegal_action"} and not info["battle_won"]
    assert info["action_mask"].dtype == np.int8 and not info["illegal_action"].any()
    assert (base.n_agents, base.n_enemies, base.n_actions, base.obs_size, base.state_size) == (10, 10, 16, 160, 290)
    assert base.get_state().shape == (290,) and len(base.get_avail_actions()) == 10
    assert max(space.n for space in env.action_space) == 16
    rng = np.random.default_rng(0)
    total, steps, over = 0.0, 0, False
    while not over:
        assert np.array_equal(info["action_mask"], base.get_avail_actions())
        obs, reward, terminated, truncated, info = env.step(pick(info["action_mask"], rng))
        assert env.observation_space.contains(obs)
        assert type(reward) is float and type(terminated) is bool and type(truncated) is bool
        total, steps, over = total + reward, steps + 1, terminated or truncated
    assert steps <= 150 and 0 <= total <= 40
    with pytest.raises(BattleError, match="no episode is running"):
        base.step([0] * 10)


def test_gymnasium_seeds():
    def play(seed):
        env = gymnasium.make("dimix/2s3z-v0", start_jitter=0.5)
        obs, _ = env.reset(seed=seed)
        rng = np.random.default_rng(0)
        for _ in range(5):
            obs, *_ = env.step(pick(env.unwrapped.get_avail_actions(), rng))
        return np.stack(obs)

    assert np.array_equal(play(3), play(3))
    assert not np.array_equal(play(3), play(4))


def test_gymnasium_time_limit_is_a_truncation(tmp_path):
    path = tmp_path / "waiting.json"
    path.write_text(json.dumps(WAITING))
    env = gymnasium.make("dimix/custom-v0", map_file=path)
    env.reset()
    ends = [env.step([1])[2:4] for _ in range(5)]
    assert ends == [(False, step == 4) for step in range(5)]


def test_gymnasium_custom_maps_and_bad_arguments(tmp_path):
    with pytest.raises(MapError, match=r"map_name is None and map_file is None\. Give one of the two"):
        gymnasium.make("dimix/custom-v0")
    with pytest.raises(MapError, match=r"nowhere\.json: cannot be read"):
        gymnasium.make("dimix/custom-v0", map_file=tmp_path / "nowhere.json")
    with pytest.raises(ValueError, match=r"render_mode is 'film'\. It is None or one of 'ansi', 'rgb_array', 'human'"):
        smac_envs.BattleEnv("3m", render_mode="film")
    env = smac_envs.BattleEnv("3m", render_mode="ansi")
    assert env.render().count("\n") == 31 and smac_envs.BattleEnv("3m").render() is None


def test_gymnasium_illegal_actions():
    env, twin = (gymnasium.make("dimix/3m-v0", seed=0) for _ in range(2))
    env.reset(), twin.reset()
    obs, *_, info = env.step((6, 0, 4))
    same, *_, legal = twin.step((1, 1, 4))
    assert info["illegal_action"].tolist() == [True, True, False] and not legal["illegal_action"].any()
    assert np.array_equal(np.stack(obs), np.stack(same))
    with pytest.raises(ActionError, match=r"actions: found 2\. Give one per agent, 3"):
        env.unwrapped.step([1, 1])
    strict = gymnasium.make("dimix/3m-v0", illegal_action="error")
    strict.reset()
    with pytest.raises(ActionError, match=r"actions\[0, 0\]: found 0, which agent 0 \(alive\)"):
        strict.unwrapped.step([0, 1, 1])
    with pytest.raises(ValueError, match=r"illegal_action is 'ignore'\. It is one of 'stop', 'error'"):
        gymnasium.make("dimix/3m-v0", illegal_action="ignore")


@pytest.mark.parametrize("name", ["3m", "MMM"])
@pytest.mark.filterwarnings("error")
def test_gymnasiums_own_check(name):
    from gymnasium.utils.env_checker import check_env

    env = gymnasium.make(f"dimix/{name}-v0")  # wrapped: its passive checker looks on as well
    env.reset(seed=0)
    for _ in range(3):
        env.step(env.action_space.sample())
    check_env(env.unwrapped, skip_render_check=True)  # which opens a window: see test_rendering.py


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_gymnasium_vectors_play_samples_and_tell_masks(mode):
    envs = gymnasium.make_vec("dimix/3m-v0", num_envs=2, vectorization_mode=mode)
    try:
        envs.action_space.seed(0)
        _, info = envs.reset(seed=0)
        replaced = 0
        for _ in range(70):  # beyond the end of an episode, at 60 steps the latest
            assert info["action_mask"].shape == (2, 3, 9) and info["action_mask"].any(-1).all()
            obs, *_, info = envs.step(envs.action_space.sample())
            replaced += int(info["illegal_action"].sum())
        assert len(obs) == 3 and obs[0].shape == (2, 30) and replaced > 70
    finally:
        envs.close()


def test_gymnasium_records_videos(tmp_path):
    pytest.importorskip("moviepy")
    imageio = pytest.importorskip("imageio.v3")
    from gymnasium.wrappers import RecordVideo

    env = RecordVideo(gymnasium.make("dimix/3m-v0", render_mode="rgb_array"), str(tmp_path / "videos"))
    env.reset(seed=0)
    picture = env.render()
    for _ in range(4):
        env.step((4, 4, 4))
    env.close()
    (video,) = tmp_path.glob("videos/*.mp4")
    frames = imageio.imread(video, plugin="FFMPEG")
    assert frames.shape == (5, *picture.shape)
    assert np.abs(frames[0].astype(int) - picture).mean() < 4  # grey levels of 256, that compression changes
    assert (frames[0] != frames[-1]).any()


# --- PettingZoo ---


@pytest.mark.parametrize("name", ["3m", "MMM", "2s_vs_1sc"])
def test_pettingzoos_own_tests(name):
    from pettingzoo.test import parallel_api_test, parallel_seed_test

    parallel_api_test(smac_envs.parallel_env(name), num_cycles=300)
    parallel_seed_test(lambda: smac_envs.parallel_env(name))


def test_pettingzoo_agrees_with_the_engine():
    env = smac_envs.parallel_env("MMM", seed=2)
    env.reset(seed=2)
    engine = BattleEngine("MMM", 1, seed=2)
    rng = np.random.default_rng(0)
    for _ in range(30):
        actions = pick(engine.action_mask[0], rng)
        obs, state, mask = drive(engine, actions)
        got, rewards, terminations, truncations, infos = env.step(dict(zip(env.possible_agents, actions, strict=True)))
        assert np.array_equal(np.stack([got[a]["observation"] for a in env.possible_agents]), obs)
        assert np.array_equal(np.stack([got[a]["action_mask"] for a in env.possible_agents]), mask)
        assert np.array_equal(env.state(), state) and set(rewards.values()) == {engine.reward[0]}
        assert [infos[a]["alive"] for a in env.possible_agents] == engine.alive[0].tolist()
        assert set(terminations.values()) == {bool(engine.terminated[0])}
        if not env.agents:
            break


def test_pettingzoo_illegal_actions():
    env = smac_envs.parallel_env("3m", seed=0)
    twin = smac_envs.parallel_env("3m", seed=0)
    env.reset()
    twin.reset()
    got, *_, infos = env.step({"agent_0": 6, "agent_1": 0, "agent_2": 4})
    want, *_ = twin.step({"agent_0": 1, "agent_1": 1, "agent_2": 4})
    assert [infos[a]["illegal_action"] for a in env.agents] == [True, True, False]
    assert all(np.array_equal(got[a]["observation"], want[a]["observation"]) for a in env.agents)
    strict = smac_envs.parallel_env("3m", illegal_action="error")
    strict.reset()
    with pytest.raises(ActionError, match="found 6, which agent 0"):
        strict.step({"agent_0": 6, "agent_1": 1, "agent_2": 4})
    with pytest.raises(ActionError, match="nothing for agent_2"):
        strict.step({"agent_0": 1, "agent_1": 1})
    with pytest.raises(ValueError, match=r"illegal_action is 'ignore'\. It is one of 'stop', 'error'"):
        smac_envs.parallel_env("3m", illegal_action="ignore")


# --- SMAC ---


def test_starcraft2env_plays_an_episode_with_smacs_methods():
    env = StarCraft2Env("2s3z", seed=1, difficulty="7", replay_dir="x")
    obs, state = env.reset()
    info = env.get_env_info()
    assert info == {"state_shape": 120, "obs_shape": 80, "n_actions": 11, "n_agents": 5, "episode_limit": 120}
    assert len(obs) == 5 and obs[0].shape == (80,) and state.shape == (120,)
    rng = np.random.default_rng(0)
    terminated, steps = False, 0
    while not terminated:
        available = [env.get_avail_agent_actions(k) for k in range(env.n_agents)]
        assert available == env.get_avail_actions()
        actions = pick(available, rng)
        reward, terminated, info = env.step(actions)
        steps += 1
        assert env.last_action.argmax(axis=1).tolist() == actions
        assert np.array_equal(env.get_state()[-55:].reshape(5, 11), env.last_action)
        assert np.array_equal(env.get_obs_agent(2), env.get_obs()[2])
    assert info["dead_allies"] == 5 or info["dead_enemies"] == 5 or steps == 120
    stats = env.get_stats()
    assert stats["battles_game"] == 1 and stats["win_rate"] == float(info["battle_won"])
    env.reset()
    assert env.get_state()[-55:].sum() == 0  # SMAC forgets the last actions


def test_starcraft2env_parts_add_up_to_the_observation():
    env = StarCraft2Env("MMM", obs_timestep_number=True)
    env.reset()
    enemies, allies = env.get_obs_enemy_feats_size(), env.get_obs_ally_feats_size()
    parts = (
        env.get_obs_move_feats_size() + enemies[0] * enemies[1] + allies[0] * allies[1] + env.get_obs_own_feats_size()
    )
    assert parts == env.get_obs_size() == len(env.get_obs_agent(0)) == 161


def test_starcraft2env_state_options():
    env = StarCraft2Env("3m", seed=0, state_last_action=False, state_timestep_number=True)
    env.reset()
    env.step([4, 4, 4])
    # 48 without 3 x 9 last actions, and the share of 60 steps
    assert env.get_state().shape == (22,) == (env.get_state_size(),)
    assert env.get_state()[-1] == pytest.approx(1 / 60)
    env = StarCraft2Env("3m", obs_instead_of_state=True)
    env.reset()
    assert np.array_equal(env.get_state(), np.concatenate(env.get_obs())) and env.get_state_size() == 90


@pytest.mark.parametrize("continuing", [False, True])
def test_starcraft2env_time_limit_ends_the_episode_as_no_win(continuing):
    env = StarCraft2Env(WAITING, continuing_episode=continuing)
    env.reset()
    ends = [env.step([1])[1:] for _ in range(5)]
    info = {"battle_won": False, "dead_allies": 0, "dead_enemies": 0}
    assert ends[:4] == [(False, info)] * 4
    assert ends[4] == (True, {**info, "episode_limit": True} if continuing else info)
    assert env.get_stats() == {
        "battles_won": 0, "battles_game": 1, "battles_draw": 1, "win_rate": 0.0, "timeouts": 1, "restarts": 0,
    }  # fmt: skip


def test_starcraft2env_rewards():
    def play(**options):
        env = StarCraft2Env("3m", seed=5, **options)
        env.reset()
        total, terminated = 0.0, False
        while not terminated:
            masks = np.array(env.get_avail_actions())
            # attack the first target in reach, else go east
            actions = [
                int(np.flatnonzero(m[6:])[0]) + 6 if m[6:].any() else (4 if m[4] else int(m.argmax())) for m in masks
            ]
            reward, terminated, info = env.step(actions)
            total += reward
        return total, info["battle_won"]

    scaled, won = play()
    raw, _ = play(reward_scale=False)
    assert raw == pytest.approx(scaled * 365 / 20)
    sparse, _ = play(reward_sparse=True, reward_scale=False)
    assert sparse == (1.0 if won else -1.0)
    negative, _ = play(reward_only_positive=False, reward_scale=False)
    assert negative < raw


def test_starcraft2env_visibility_matrix():
    env = StarCraft2Env("3m", seed=0)
    env.reset()
    matrix = env.get_visibility_matrix()
    assert matrix.shape == (3, 6)
    # the three allies stand together, 14 cells from the enemies; an agent does not see itself
    assert matrix[:, :3].tolist() == (~np.eye(3, dtype=bool)).tolist() and not matrix[:, 3:].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step_mul": 4}, r"StarCraft2Env: step_mul is 4\. Only step_mul=8 is built"),
        ({"obs_last_action": True}, r"obs_last_action is True\. Only obs_last_action=False is built"),
        ({"reward_wins": 3}, r"unknown argument 'reward_wins'\. Nearest: 'reward_win'"),
        ({"rules": "sc2"}, r"rules: found 'sc2'"),
    ],
)
def test_starcraft2env_bad_arguments(options, message):
    with pytest.raises(BattleError, match=message):
        StarCraft2Env("3m", **options)


def test_starcraft2env_has_no_replay():
    with pytest.raises(BattleError, match=r"there is no StarCraft II here"):
        StarCraft2Env("3m").save_replay()


# --- SMACv2's class ---


def capability_config(**changes):
    """Of SMACv2's terran_10_vs_11."""
    team = dict(
        dist_type="weighted_teams",
        unit_types=["marine", "marauder", "medivac"],
        weights=[0.45, 0.45, 0.1],
        exception_unit_types=["medivac"],
        observe=True,
    )
    starts = dict(dist_type="surrounded_and_reflect", p=0.5, map_x=32, map_y=32)
    return dict(n_units=10, n_enemies=11, team_gen=team, start_positions=starts) | changes


def test_smacv2s_class_plays_the_task():
    """Battle for battle what the engine plays of the task of that name."""
    env = StarCraftCapabilityEnvWrapper(
        capability_config(), seed=3, map_name="10gen_terran", conic_fov=False, use_unit_ranges=True, obs_own_pos=True,
        min_attack_range=2, num_fov_actions=12, difficulty="7", debug=False,
    )  # fmt: skip
    task = StarCraft2Env("terran_10_vs_11", seed=3, rules="smacv2")
    info, rng = env.get_env_info(), np.random.default_rng(0)
    assert (info["n_agents"], info["n_actions"], info["obs_shape"], info["state_shape"]) == (10, 17, 170, 306)
    assert (info["cap_shape"], info["episode_limit"]) == (3, 200)
    assert len(env.get_obs_feature_names()) == 170 and len(env.get_state_feature_names()) == 306
    teams = set()
    for _ in range(3):
        (obs, state), (theirs, their_state) = env.reset(), task.reset()
        over = False
        types = env.get_capabilities().reshape(10, 3)
        teams.add(types.tobytes())
        np.testing.assert_array_equal(types, np.stack(obs)[:, -3:])  # the own part of an observation ends with it
        assert env.unit_sight_range(0) in (9, 10, 11) and env.unit_shoot_range(0) in (4, 5, 6)
        while not over:
            np.testing.assert_array_equal(np.stack(obs), np.stack(theirs))
            np.testing.assert_array_equal(state, their_state)
            actions = pick(env.get_avail_actions(), rng)
            reward, over, _ = env.step(actions)
            assert task.step(actions)[:2] == (reward, over)
            obs, state, theirs, their_state = env.get_obs(), env.get_state(), task.get_obs(), task.get_state()
    assert len(teams) > 1 and env.get_stats()["battles_game"] == 3


def test_smacv2s_class_has_the_conic_field_of_view():
    """Its sizes, as SMACv2 computes them: 12 actions to look, 2 entries of an agent's own part and in the state."""
    env = StarCraftCapabilityEnvWrapper(capability_config(), seed=3, conic_fov=True, opponent=["chase", "near"])
    info = env.get_env_info()
    assert (info["n_actions"], info["obs_shape"], info["state_shape"]) == (29, 172, 306 + 10 * 2 + 10 * 12)
    assert env.n_actions_no_attack == 18 and "fov_x" in info["agent_features"]
    env.reset()
    env.step([6 + k for k in range(10)])
    own = np.stack(env.get_obs())[:, -5:-3]
    np.testing.assert_allclose(own[:, 0], np.cos(np.radians(30 * np.arange(10))), atol=1e-6)


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        ({}, dict(conic_fov=True, num_fov_actions=0), "num_fov_actions: found 0. It is a whole number of at least 1"),
        ({}, dict(step_mul=4), "step_mul is 4"),
        (dict(team_gen=dict(dist_type="all_teams")), {}, "team_gen is .* It has dist_type 'weighted_teams'"),
        (dict(start_positions={}), {}, "start_positions is {}. It has dist_type 'surrounded_and_reflect', p, map_x"),
        (dict(enemy_mask=dict(dist_type="mask")), {}, "enemy_mask is not built"),
        (dict(n_units=0), {}, "n_agents is 0"),
    ],
)
def test_smacv2s_class_refuses_what_is_not_built(config, options, message):
    with pytest.raises(BattleError, match=message):
        StarCraftCapabilityEnvWrapper(capability_config(**config), **options)


@pytest.mark.parametrize("name", ["terran_5_vs_5", "protoss_10_vs_11"])
def test_the_other_drop_ins_play_the_tasks(name):
    env = gymnasium.make(f"dimix/{name}-v0")
    obs, _ = env.reset(seed=1)
    other, _ = env.reset(seed=2)
    assert not np.array_equal(obs[0], other[0])
    parallel = smac_envs.parallel_env(name)
    parallel.reset(seed=1)
    assert len(parallel.agents) == env.unwrapped.scenario.n_agents


# --- without the optional packages ---

BLOCK = """
import sys
sys.modules["gymnasium"] = None
sys.modules["pettingzoo"] = None
import dizoo.smac.envs as envs
envs.StarCraft2Env
for name in ("BattleEnv", "parallel_env"):
    try:
        getattr(envs, name)
    except ModuleNotFoundError as e:
        print(e)
"""


def test_gymnasium_and_pettingzoo_are_optional():
    done = subprocess.run([sys.executable, "-c", BLOCK], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert "needs gymnasium, which is not installed. Install it with: pip install 'dimix[gym]'" in lines[0]
    assert "pip install 'dimix[pettingzoo]'" in lines[1]


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="has no attribute 'StarCraft3Env'"):
        importlib.import_module("dizoo.smac.envs").StarCraft3Env  # noqa: B018


STANDS_IN = """
import importlib.util
from dizoo.smac.envs import StarCraft2Env, StarCraftCapabilityEnvWrapper, stand_in
stand_in("PACKAGE")
assert importlib.util.find_spec("PACKAGE") is not None
import PACKAGE, PACKAGE.env
from PACKAGE.env import StarCraft2Env as one
from PACKAGE.env.starcraft2.starcraft2 import StarCraft2Env as other
from PACKAGE.env.starcraft2.maps import get_map_params, smac_maps
assert one is other is PACKAGE.env.StarCraft2Env is StarCraft2Env
params = smac_maps.get_smac_map_registry()["5m_vs_6m"]
assert params == get_map_params("5m_vs_6m") == {"n_agents": 5, "n_enemies": 6, "limit": 70}
if "PACKAGE" == "smacv2":
    from smacv2.env.starcraft2.wrapper import StarCraftCapabilityEnvWrapper as wrapper
    assert wrapper is PACKAGE.env.StarCraftCapabilityEnvWrapper is StarCraftCapabilityEnvWrapper
"""


@pytest.mark.parametrize("package", ["smac", "smacv2"])
def test_stands_in_for_packages_that_libraries_import(package):
    script = STANDS_IN.replace("PACKAGE", package)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_stands_in_for_no_other_package():
    with pytest.raises(BattleError, match="'smac3'. Right is 'smac' or 'smacv2'"):
        smac_envs.stand_in("smac3")
    assert "smac3" not in sys.modules
