"""SMAC battles behind the batch contract: sizes, arrays, errors by key, exact resume, a short real training."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from easydict import EasyDict

from dimix.config.compile import compile_all
from dimix.entry import eval_pipeline, serial_pipeline
from dimix.envs.agent_input import AgentInput
from dimix.envs.vec_env import Entities, EnvInfo
from dimix.errors import ConfigError, EnvError
from dimix.machine.checkpoint_file import load_checkpoint, save_checkpoint
from dimix.plot import read_run
from dimix.policy import QMIXPolicy
from dimix.registry import ENV_REGISTRY
from dimix.replay.batch import batch_fields, validate
from dimix.replay.buffer import ReplayBuffer
from dimix.report import report
from dimix.worker import Collector, Evaluator, Learner
from dizoo.smac.battle.maps.generator import STARTS
from dizoo.smac.battle.maps.mapfile import standard_maps
from dizoo.smac.battle.maps.rules import OPPONENTS
from dizoo.smac.envs.smac_env import SMACEnv

REPO = Path(__file__).resolve().parents[4]


def make_cfg(**changes):
    return EasyDict({**copy.deepcopy(SMACEnv.config), "map_name": "3m", **changes})


def make_curriculum(cfg, num_envs, seed):
    env = SMACEnv.create(cfg, "collect", num_envs, seed)
    return env, SMACEnv.curriculum(cfg, env, seed)


def random_actions(env, rng):
    return np.where(env.action_mask, rng.random(env.action_mask.shape), -1).argmax(-1)


def play(env, steps, seed=0, curriculum=None):
    """Random play; returns copies of all arrays after the last step."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        action = random_actions(env, rng)
        env.step(curriculum.action(action) if curriculum else action)
        (curriculum or env).reset(np.flatnonzero(env.terminated | env.truncated))
    names = ("agent_state", "global_state", "action_mask", "alive", "reward", "terminated", "truncated")
    return {name: getattr(env, name).copy() for name in (*names, "battle_won", "episode_length")}


def assert_same(found, expected):
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_sizes_are_known_before_anything_is_built():
    info = SMACEnv.describe(make_cfg(map_name="MMM"))
    types = ("MEDIVAC", *["MARINE"] * 7, *["MARAUDER"] * 2)  # as the map places them
    # columns 157 to 159 are the agent's own type: MARAUDER, MARINE, MEDIVAC
    units = (Entities(4, 10, 8, 6, named_by=(157, 158)), Entities(84, 9, 8, 7, named_by=(159,)))
    # agents: health, cooldown, x, y, three types; enemies: the same without cooldown
    state = (Entities(0, 10, 7, None), Entities(70, 10, 6, None))
    assert info == EnvInfo("MMM", 10, 160, 290, 16, 150, agent_types=types, entities=units, state_entities=state)
    # the input of DI-engine's configs: observation, last action, agent id
    assert AgentInput(info.obs_shape, info.action_shape, info.agent_num).size == 186


def test_input_files_are_those_of_a_map_of_ones_own(tmp_path):
    assert SMACEnv.input_files(make_cfg()) == {"map_name": []}
    path = tmp_path / "small.json"
    path.write_text(json.dumps(standard_maps()["3m"]))
    assert SMACEnv.input_files(make_cfg(map_name=str(path))) == {"map_name": [path]}
    assert SMACEnv.input_files(make_cfg(map_name="3m", backend="sc2")) == {}


def test_smacs_reward_is_noted_where_it_pays_for_what_comes_back():
    for surprising in ("2s3z", "MMM2"):  # shields; Medivacs
        (note,) = SMACEnv.notes(make_cfg(map_name=surprising, rules="smac"))
        assert note.startswith("env.reward_only_positive: True") and "-o env.reward_only_positive=False" in note
    assert SMACEnv.notes(make_cfg(map_name="3m", rules="smac")) == []
    assert SMACEnv.notes(make_cfg(map_name="2s3z")) == []
    assert SMACEnv.notes(make_cfg(map_name="2s3z", rules="smac", reward_only_positive=False)) == []
    main = dict(env=dict(map_name="2s3z", rules="smac"))
    create = dict(env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]), policy=dict(type="qmix"))
    assert compile_all((main, create)).notes == SMACEnv.notes(make_cfg(map_name="2s3z", rules="smac"))


def test_registered_and_built_as_described():
    cfg = make_cfg()
    env = ENV_REGISTRY.get("smac").create(cfg, "collect", 3, seed=0)
    assert env.info == SMACEnv.describe(cfg)
    info = env.info
    assert env.agent_state.shape == (3, info.agent_num, info.obs_shape)
    assert env.global_state.shape == (3, info.global_obs_shape)
    assert env.action_mask.shape == (3, info.agent_num, info.action_shape)
    assert env.reward.dtype == np.float32 and env.alive.all()


def test_reward_of_a_won_battle_sums_to_twenty():
    env = SMACEnv.create(make_cfg(map_name="2m_vs_1z"), "collect", 8, seed=0)
    rng, total = np.random.default_rng(0), np.zeros(8)
    best = 0.0
    for _ in range(300):
        env.step(random_actions(env, rng))
        total += env.reward
        best = max(best, total.max())
        over = np.flatnonzero(env.terminated | env.truncated)
        total[over] = 0
        env.reset(over)
    assert 0 < best <= 20 + 1e-4


def test_finished_battles_are_frozen_until_reset():
    env = SMACEnv.create(make_cfg(), "collect", 4, seed=1)
    rng = np.random.default_rng(0)
    while not (env.terminated | env.truncated).all():
        env.step(random_actions(env, rng))
    before = {name: getattr(env, name).copy() for name in ("agent_state", "global_state", "action_mask", "battle_won")}
    env.step(random_actions(env, rng))
    assert not env.reward.any()
    assert_same({name: getattr(env, name) for name in before}, before)
    env.reset([2])
    assert env.episode_length.tolist()[2] == 0 and env.episode_length[[0, 1, 3]].all()


@pytest.mark.parametrize("rules", ["smaclite", "smac"])
def test_state_round_trip(rules, tmp_path):
    cfg = make_cfg(rules=rules, start_jitter=0.3)
    env, other = SMACEnv.create(cfg, "collect", 4, seed=0), SMACEnv.create(cfg, "collect", 4, seed=9)
    play(env, 30)
    save_checkpoint(tmp_path / "a.tar", env.state_dict())
    other.load_state_dict(load_checkpoint(tmp_path / "a.tar"))
    assert_same(play(other, 40, seed=1), play(env, 40, seed=1))


def test_roles_have_their_own_streams_and_variation():
    cfg = make_cfg(start_jitter=0.2)
    starts = {role: SMACEnv.create(cfg, role, 2, seed=0).global_state for role in ("evaluate", "evaluate_jitter")}
    nominal = SMACEnv.create(make_cfg(), "collect", 2, seed=5).global_state
    np.testing.assert_array_equal(starts["evaluate"], nominal)  # training's jitter is not evaluation's
    assert (starts["evaluate_jitter"] != nominal).any()
    cfg.evaluator.start_jitter = cfg.jitter_eval.start_jitter
    assert (SMACEnv.create(cfg, "evaluate", 2, seed=0).global_state != starts["evaluate_jitter"]).any()
    with pytest.raises(EnvError, match="role 'test'. Right is one of collect, evaluate, evaluate_jitter"):
        SMACEnv.create(cfg, "test", 2, seed=0)


def test_seeds_differ_and_repeat():
    cfg = make_cfg(start_jitter=0.5)
    first, again, other = (SMACEnv.create(cfg, "collect", 2, seed).global_state for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(map_name="MMM3"), "env.map_name: .*MMM3.*'MMM2'"),
        (dict(rules="smacv3"), "env.rules: .*smacv3"),
        (dict(opponent=[]), r"env.opponent: found \[\]. It is one of 'attack_move', .*, or a list of them"),
        (dict(agent_num=4), "env.agent_num: 4. 3m has 3 agents"),
    ],
)
def test_wrong_configs_name_the_key(changes, message):
    with pytest.raises(ConfigError, match=message):
        SMACEnv.describe(make_cfg(**changes))


def test_wrong_options_and_actions_are_told():
    with pytest.raises(EnvError, match=r"env \(collect\): start_jitter"):
        SMACEnv.create(make_cfg(start_jitter=-1.0), "collect", 1, seed=0)
    env = SMACEnv.create(make_cfg(), "collect", 2, seed=0)
    with pytest.raises(EnvError, match=r"actions\[0, 0\]: found 0, .* Available: \[1, "):
        env.step(np.zeros((2, 3), np.int64))  # action 0 is for the dead
    with pytest.raises(EnvError, match="battles cannot be restored: .*shape"):
        SMACEnv.create(make_cfg(), "collect", 3, seed=0).load_state_dict(env.state_dict())


class Run:
    """All rooms of a small training on the real engine."""

    def __init__(self, map_name="3m", opponent=None, **buffer_options):
        cfg = make_cfg(start_jitter=0.1, map_name=map_name, opponent=opponent)
        policy_cfg = EasyDict(copy.deepcopy(QMIXPolicy.config))
        env = SMACEnv.create(cfg, "collect", 4, seed=0)
        info = env.info
        agent_input = AgentInput(info.obs_shape, info.action_shape, info.agent_num)
        policy_cfg.model = EasyDict(
            agent_num=info.agent_num,
            obs_shape=agent_input.size,
            global_obs_shape=info.global_obs_shape,
            action_shape=info.action_shape,
            hidden_size_list=[16],
        )
        torch.manual_seed(0)
        policy = QMIXPolicy(policy_cfg, seed=0)
        hidden_shape = tuple(policy.collect_mode.init_hidden(1).shape[1:])
        buffer = ReplayBuffer(30, info, agent_input, hidden_shape, **buffer_options)
        self.rooms = {
            "buffer": buffer,
            "collector": Collector(env, policy.collect_mode, buffer, agent_input),
            "learner": Learner(policy.learn_mode, buffer, batch_size=4),
            "evaluator": Evaluator(SMACEnv.create(cfg, "evaluate", 2, seed=0), policy.eval_mode, agent_input),
            "learn": policy.learn_mode,
            "collect": policy.collect_mode,
            "eval": policy.eval_mode,
        }

    def go_on(self, rounds):
        told = []
        for _ in range(rounds):
            told.append(self.rooms["collector"].collect(2, epsilon=0.5))
            told.append(self.rooms["learner"].train(2))
            told.append(self.rooms["evaluator"].evaluate(3))
        return told

    def state_dict(self):
        return {name: room.state_dict() for name, room in self.rooms.items()}

    def load_state_dict(self, state):
        for name, room in self.rooms.items():
            room.load_state_dict(state[name])


@pytest.mark.parametrize(
    "options",
    [dict(), dict(unroll_len=5, burnin_len=2), dict(map_name="protoss_5_vs_5", opponent=["chase", "near"])],
)
def test_training_resumes_bit_for_bit(tmp_path, options):
    whole, first, second = (Run(**options) for _ in range(3))
    told = whole.go_on(3) + whole.go_on(3)
    assert first.go_on(3) == told[:9]
    save_checkpoint(tmp_path / "a.tar", first.state_dict())
    second.load_state_dict(load_checkpoint(tmp_path / "a.tar"))
    assert second.go_on(3) == told[9:]
    weights, theirs = (run.rooms["learn"].state_dict()["model"] for run in (whole, second))
    assert all(torch.equal(weights[name], theirs[name]) for name in weights)
    batch = {name: value.clone() for name, value in batch_fields(whole.rooms["buffer"].sample(4)).items()}
    their_batch = second.rooms["buffer"].sample(4)
    validate(their_batch)
    assert all(torch.equal(value, batch[name]) for name, value in batch_fields(their_batch).items())


def test_evaluations_tell_opponents_apart(tmp_path):
    """In the metrics, the progress line, the report and ``dimix -m eval``."""
    small = dict(hidden_size_list=[8], mixer_embed_dim=4, hypernet_embed_dim=4)
    learn, names = dict(update_per_collect=1, batch_size=4), ["near", "attack_move"]
    env = dict(map_name="3m", opponent=names, collector_env_num=4, n_evaluator_episode=24)
    env |= dict(jitter_eval=dict(n_episode=0))
    policy = dict(model=small, learn=learn, collect=dict(n_episode=4))
    settings = dict(env=env, policy=policy, run=dict(env_step=1, tensorboard=False))
    folder, lines = tmp_path / "run", []
    options = dict(seed=0, exp_name=str(folder), out=lines.append)
    serial_pipeline((settings, dict(env=dict(type="smac"), policy=dict(type="qmix"))), **options)
    run = read_run(folder)
    won, played = ([run.curve(f"eval/games_{what}_{name}")[2][-1] for name in names] for what in ("won", "played"))
    assert sum(played) == 24 and min(played) > 0 and sum(won) == run.curve("eval/games_won")[2][-1]
    rates = [f"{name} {w / n:.2f}" for name, w, n in zip(names, won, played, strict=True)]
    assert any(f"] ({', '.join(rates)})" in line for line in lines), lines
    result = eval_pipeline(load_path=folder, n_episode=16, out=lines.append).nominal
    assert [sum(games) for games in zip(*result.by_label.values(), strict=True)] == [result.games_won, 16]
    assert f"  near: won {result.by_label['near'][0]} of {result.by_label['near'][1]} " in lines[-1]
    report([folder], tmp_path / "page.html", lines.append)
    assert "<th>won, near</th>" in (tmp_path / "page.html").read_text()


def test_labels_are_what_is_drawn_for_a_game():
    """The opponent and the kind of start, each only where battles differ in it."""
    env = SMACEnv.create(make_cfg(map_name="zerg_5_vs_5"), "evaluate", 40, seed=0)
    env.reset()
    starts = [STARTS[kind] for kind in env.engine.start_kind]
    assert env.info.labels == ("reflect", "surrounded") and set(starts) == set(env.info.labels)
    some = np.array([3, 1, 17])
    assert env.labels_of(some) == [(starts[i],) for i in some]
    both = SMACEnv.create(make_cfg(map_name="zerg_5_vs_5", opponent=["near", "chase"]), "evaluate", 40, seed=0)
    both.reset()
    assert both.info.labels == ("near", "chase", "reflect", "surrounded")
    drawn = zip(both.engine.battles["opponent"], both.engine.start_kind, strict=True)
    told = [(OPPONENTS[opponent], STARTS[start]) for opponent, start in drawn]
    assert both.labels_of(np.arange(40)) == told and len(set(told)) == 4
    assert SMACEnv.describe(make_cfg()).labels == ()


def test_open_loop_shows_the_step_and_nothing_else():
    cfg = make_cfg(open_loop=True)
    env, battle = SMACEnv.create(cfg, "collect", 4, seed=0), SMACEnv.create(make_cfg(), "collect", 4, seed=0)
    assert env.info == SMACEnv.describe(cfg)
    assert env.info.obs_shape == env.info.episode_limit + 1 == 61
    rng = np.random.default_rng(0)
    for _ in range(100):
        np.testing.assert_array_equal(env.agent_state.argmax(-1), np.repeat(env.episode_length[:, None], 3, axis=1))
        assert (env.agent_state.sum(-1) == 1).all()
        for name in ("global_state", "action_mask", "alive", "reward", "battle_won"):  # the game is the same
            np.testing.assert_array_equal(getattr(env, name), getattr(battle, name))
        action = random_actions(env, rng)
        over = np.flatnonzero(env.terminated | env.truncated)
        for each in (env, battle):
            each.step(action)
            each.reset(over)


BACKPLAY = {"share": 1.0, "follow": 0.5, "explore": 4, "n_episode": 5, "battles": 300, "rounds": 8}


def test_training_battles_begin_in_won_games_that_are_looked_for_once(tmp_path):
    cfg = make_cfg(backplay=EasyDict(BACKPLAY))
    (env, curriculum), said = make_curriculum(cfg, 6, seed=3), []
    assert curriculum.state_dict() == {}
    curriculum.prepare(said.append)
    assert said[0] == "looking for won games of 3m, for battles to begin in"
    assert " of 8 rounds found won games of 3m (of 8 to play; " in said[8]
    assert said[9].startswith("battles begin in 5 won games of 2 rounds, ") and len(said) == 10
    curriculum.reset(np.arange(6))
    assert env.episode_length.any() and not (env.terminated | env.truncated).any()
    followed = (curriculum.action(np.full((6, 3), 99)) < 99).any(1)
    assert 0 < followed.sum() < 6  # some follow their game, and the team does not explore there for more than 4 steps
    assert curriculum.epsilon(0.25).tolist() == [0.25] * 6
    play(env, 20, seed=1, curriculum=curriculum)
    assert 0 < (curriculum.epsilon(0.25) == 0).sum() and set(curriculum.epsilon(0.25)) <= {0.0, 0.25}

    # a run that goes on has its games already
    other, theirs = make_curriculum(cfg, 6, seed=77)
    save_checkpoint(tmp_path / "a.tar", {"env": env.state_dict(), "curriculum": curriculum.state_dict()})
    saved = load_checkpoint(tmp_path / "a.tar")
    other.load_state_dict(saved["env"])
    theirs.load_state_dict(saved["curriculum"])
    assert_same(play(other, 40, seed=2, curriculum=theirs), play(env, 40, seed=2, curriculum=curriculum))


def test_a_curriculum_of_another_map_is_refused():
    cfg = make_cfg(backplay=EasyDict(BACKPLAY))
    _, curriculum = make_curriculum(cfg, 2, seed=3)
    curriculum.prepare(lambda text: None)
    _, other = make_curriculum(make_cfg(map_name="MMM", backplay=EasyDict(BACKPLAY)), 2, seed=3)
    with pytest.raises(EnvError, match="won games cannot be restored: .*shape"):
        other.load_state_dict(curriculum.state_dict())


def test_news_of_won_games_leave_by_the_environments_out(monkeypatch):
    env, curriculum = make_curriculum(make_cfg(backplay=EasyDict({**BACKPLAY, "follow": 0.0})), 6, seed=3)
    curriculum.prepare(lambda text: None)
    monkeypatch.setattr("dizoo.smac.search.backplay.NEWS_EVERY", 6)
    env.out = (said := []).append
    curriculum.reset(np.arange(6))
    assert said == []
    curriculum.reset(np.arange(6))
    assert len(said) == 1 and said[0].startswith("battles begun in won games are won, by the quarter they began in: ")


def test_without_backplay_battles_begin_at_the_start():
    env, curriculum = make_curriculum(make_cfg(backplay=EasyDict({**BACKPLAY, "share": 0.0})), 6, seed=3)
    env.reset()
    assert curriculum is None and not env.episode_length.any()


def test_a_map_without_a_won_game_is_named(tmp_path):
    lost = {
        "name": "lost",
        "size": [16, 8],
        "terrain": ["." * 16] * 8,
        "attack_point": [3, 4],
        "groups": [
            {"side": "ally", "at": [4, 4], "units": {"MARINE": 1}},
            {"side": "enemy", "at": [8, 4], "units": {"ZEALOT": 6}},
        ],
    }
    path = tmp_path / "lost.json"
    path.write_text(json.dumps(lost))
    cfg = make_cfg(map_name=str(path), backplay=EasyDict({**BACKPLAY, "rounds": 1}))
    with pytest.raises(EnvError, match=r"env\.backplay: no won game of lost found in 1 rounds"):
        make_curriculum(cfg, 2, seed=0)[1].prepare(lambda text: None)


def test_ends_of_recorded_games():
    games = REPO / "docs/replays"
    won, lost = SMACEnv.game_ends([games / "MMM_trained.replay", games / "MMM_random.replay"])
    assert (won.won, won.timed_out, lost.won) == (True, False, False)
    assert won.units == lost.units == {"marine": 7, "marauder": 2, "medivac": 1}
    assert sum(won.survivors.values()) == 5  # as the viewer tells
    with pytest.raises(EnvError, match="README.md"):
        SMACEnv.game_ends([REPO / "README.md"])


def test_floors_are_those_of_the_scripted_teams():
    assert SMACEnv.floors(make_cfg()) == {"random": 0.0, "attack_nearest": 1.0, "focus_fire": 1.0}
    assert SMACEnv.floors(make_cfg(backend="sc2")) == {}


def test_only_the_engines_battles_begin_in_the_middle():
    cfg = make_cfg(backend="smaclite", backplay=EasyDict(BACKPLAY))
    with pytest.raises(ConfigError, match=r"env\.backplay\.share: 1\.0\. Only battles of env\.backend='engine'"):
        SMACEnv.describe(cfg)
