"""Several maps side by side: each battle is the one that its own engine plays, in a padded row."""

import copy
import csv
import re

import numpy as np
import pytest
from easydict import EasyDict

from dimix.config.compile import compile_all
from dimix.entry import eval_pipeline, serial_pipeline
from dimix.errors import ConfigError, EnvError
from dimix.machine.checkpoint_file import load_checkpoint, save_checkpoint
from dizoo.smac.envs.smac_env import SMACEnv

CONFIG = "dizoo/smac/config/smac_5m6m_anysize_config.py"
MAPS = ["MMM2", "MMM"]
PER_GAME = ("reward", "terminated", "truncated", "battle_won", "episode_length")


def make(name, num_envs, seed=3):
    cfg = EasyDict({**copy.deepcopy(SMACEnv.config), "map_name": name})
    return SMACEnv.create(cfg, "collect", num_envs, seed)


def outside(kinds, size):
    """Columns that belong to no unit."""
    units = [column for kind in kinds for column in range(kind.column, kind.column + kind.count * kind.size)]
    return np.setdiff1d(np.arange(size), units)


def assert_padded(rows, kinds, own_rows, own_kinds):
    """Units in the first places of their kind, nothing in the others, and all other columns in their order."""
    for kind, own in zip(kinds, own_kinds, strict=True):
        units = rows[..., kind.column : kind.column + kind.count * kind.size]
        mine = own_rows[..., own.column : own.column + own.count * own.size]
        np.testing.assert_array_equal(units[..., : mine.shape[-1]], mine)
        assert not units[..., mine.shape[-1] :].any()
    others, own_others = outside(kinds, rows.shape[-1]), outside(own_kinds, own_rows.shape[-1])
    np.testing.assert_array_equal(rows[..., others], own_rows[..., own_others])


def assert_shows(mix, task, engine):
    """The mix shows this engine's battles, padded."""
    rows, agents, info = slice(task, None, len(MAPS)), engine.info.agent_num, engine.info
    assert_padded(mix.agent_state[rows, :agents], mix.info.entities, engine.agent_state, info.entities)
    end = info.state_entities[-1].column + info.state_entities[-1].count * info.state_entities[-1].size
    assert_padded(mix.global_state[rows], mix.info.state_entities, engine.global_state[:, :end], info.state_entities)
    np.testing.assert_array_equal(mix.action_mask[rows, :agents, : info.action_shape], engine.action_mask)
    np.testing.assert_array_equal(mix.alive[rows, :agents], engine.alive)
    assert not mix.action_mask[rows, :, info.action_shape :].any()
    assert not mix.agent_state[rows, agents:].any() and not mix.alive[rows, agents:].any()
    assert (mix.action_mask[rows, agents:] == (np.arange(mix.info.action_shape) == 0)).all()
    for name in PER_GAME:
        np.testing.assert_array_equal(getattr(mix, name)[rows], getattr(engine, name), err_msg=name)


def play(mix, steps, engines=()):
    """Random play, in the engines alike."""
    rng = np.random.default_rng(0)
    for _ in range(steps):
        action = np.where(mix.action_mask, rng.random(mix.action_mask.shape), -1).argmax(-1)
        mix.step(action)
        over = np.flatnonzero(mix.terminated | mix.truncated)
        for task, engine in enumerate(engines):
            engine.step(np.ascontiguousarray(action[task :: len(MAPS), : engine.info.agent_num]))
            assert_shows(mix, task, engine)
            engine.reset(over[over % len(MAPS) == task] // len(MAPS))
        mix.reset(over)


def test_battles_are_those_of_each_maps_own_engine(tmp_path):
    mix, engines = make(MAPS, 5), [make("MMM2", 3, seed=3), make("MMM", 2, seed=4)]
    mix.reset()
    for task, engine in enumerate(engines):
        engine.reset()
        assert_shows(mix, task, engine)
    play(mix, 120, engines)
    save_checkpoint(tmp_path / "a.pth.tar", mix.state_dict())
    again = make(MAPS, 5, seed=9)
    again.load_state_dict(load_checkpoint(tmp_path / "a.pth.tar"))
    for env in (mix, again):
        play(env, 30)
    for name in ("agent_state", "global_state", "action_mask", "alive", *PER_GAME):
        np.testing.assert_array_equal(getattr(again, name), getattr(mix, name), err_msg=name)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["env.map_name=['3m','2s3z']"], "2s3z and 3m differ in the columns of a unit"),
        (["env.map_name=['terran_5_vs_5','zerg_5_vs_5']"], "zerg_5_vs_5 and terran_5_vs_5 differ in .* what else"),
        (["env.map_name=['3m','3m']"], r"\['3m', '3m'\]. A list names every map once"),
        (["env.map_name=[]"], r"\[\]. A list names every map once, and at least one"),
        (["env.map_name=['3m','my.json']"], "'my.json' in a list. A list is of shipped maps"),
        (["env.map_name=['3m','8m']", "env.backplay.share=0.5"], "Several maps are for backend='engine'"),
        (["env.map_name=['3m','8m']", "env.open_loop=True"], "does not tell which unit is where"),
    ],
)
def test_maps_that_do_not_go_together(overrides, message):
    with pytest.raises(ConfigError, match=message):
        compile_all(CONFIG, overrides=overrides)


def test_too_few_games_side_by_side():
    with pytest.raises(EnvError, match=r"env \(collect\): 1 games side by side for 2 maps. Use at least one for each"):
        make(MAPS, 1)


def test_one_training_on_two_maps_evaluates_each(tmp_path, shrink):
    folder, said = tmp_path / "run", []
    overrides = [*shrink, "env.map_name=['3m','5m_vs_6m']", "env.n_evaluator_episode=6", "env.jitter_eval.n_episode=0"]
    result = serial_pipeline(
        CONFIG, 0, exp_name=str(folder), env_step=400, overrides=overrides, out=lambda line: None
    ).evaluation
    with open(folder / "log/metrics.csv", newline="") as file:
        last = [row for row in csv.DictReader(file) if row["eval/battle_won"]][-1]
    assert {name: float(last[name]) for name in result} == result
    for score in ("eval/battle_won", "eval/ep_reward"):  # three games each
        assert result[score] == pytest.approx((result[f"{score}_3m"] + result[f"{score}_5m_vs_6m"]) / 2)
    eval_pipeline(load_path=folder, n_episode=4, out=said.append)
    rows = [line for line in said if line.startswith("  ")]
    found = [re.match(r"  (\w+): won \d of (\d) games", row).groups() for row in rows]
    assert found == [("3m", "2"), ("5m_vs_6m", "2")]
    eval_pipeline(load_path=folder, n_episode=2, overrides=["env.map_name=8m_vs_9m"], out=said.append)
    assert "weights of 3m+5m_vs_6m for 8m_vs_9m: agent, mixer taken; nothing starts fresh" in said
