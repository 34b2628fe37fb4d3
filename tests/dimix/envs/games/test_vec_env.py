"""Games one at a time as a batch: the same whoever plays them, repaired when they fail, restored from a checkpoint."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from easydict import EasyDict

from dimix.config.schema import class_schema, defaults
from dimix.envs.game_env import Frame
from dimix.envs.vec_env import EnvInfo
from dimix.errors import EnvError

HERE = Path(__file__).resolve().parents[1]
sys.path.append(str(HERE))  # workers import the game by name

from counting_game import CountingGame, ForgetfulGame, UnsavedGame  # noqa: E402

ARRAYS = ("agent_state", "global_state", "action_mask", "alive", "reward", "terminated", "truncated", "episode_length")
KINDS = [dict(type="base"), dict(type="subprocess", worker_num=2)]


@pytest.fixture
def make():
    """Batches that are closed at the end of the test."""
    made = []

    def build(num_envs=3, seed=5, game=CountingGame, manager=KINDS[0], **cfg):
        full = EasyDict(defaults(class_schema(game)))
        full.update(cfg)
        full.manager.update(manager)
        made.append(game.create(full, "collect", num_envs, seed))
        return made[-1]

    yield build
    for env in made:
        env.close()


def shown(env):
    return {name: getattr(env, name).copy() for name in ARRAYS}


def play(env, steps, seed=0, reset=True):
    """Random joint actions of 0 and 1; what is shown after each step."""
    rng, seen = np.random.default_rng(seed), []
    if reset:
        env.reset()
    for _ in range(steps):
        env.step(rng.integers(0, 2, (env.num_envs, 2)))
        seen.append(shown(env))
        env.reset(np.flatnonzero(env.terminated | env.truncated))
    return seen


def assert_equal(first, second):
    assert len(first) == len(second)
    for one, two in zip(first, second, strict=True):
        for name in ARRAYS:
            np.testing.assert_array_equal(one[name], two[name], err_msg=name)


@pytest.mark.parametrize("manager", KINDS, ids=lambda m: m["type"])
def test_arrays_hold_what_the_games_show(make, manager):
    env = make(2, manager=manager, length=2)
    env.reset()
    first = env.agent_state[:, 0, 0].copy()
    assert first[0] != first[1]  # a seed for each game
    np.testing.assert_array_equal(env.agent_state[:, :, 1:], [[[0, 0, 0], [0, 0, 1]]] * 2)
    np.testing.assert_array_equal(env.global_state, env.agent_state.reshape(2, 8))
    np.testing.assert_array_equal(env.reward, [0, 0])  # the game says 99 at its reset
    env.step(np.array([[2, 2], [1, 0]]))
    np.testing.assert_array_equal(env.agent_state[:, :, 1:3], [[[1, 4]] * 2, [[1, 1]] * 2])
    np.testing.assert_array_equal(env.action_mask[:, 0], [[True, True, False]] * 2)
    assert env.alive.all() and 2 <= env.reward[0] < 3 and 1 <= env.reward[1] < 2
    env.step(np.array([[1, 2], [1, 0]]))
    assert env.terminated.all() and not env.truncated.any()
    env.reset([1])
    env.step(np.array([[2, 2], [0, 0]]))  # game 0 is over: frozen, and its action is not looked at
    np.testing.assert_array_equal(env.terminated, [True, False])
    np.testing.assert_array_equal(env.episode_length, [2, 1])
    assert env.reward[0] == 0 and env.agent_state[0, 0, 1] == 2


def test_limit_truncates_what_does_not_end_by_itself(make):
    env = make(1, length=99, limit=3)
    ends = [(bool(s["terminated"][0]), bool(s["truncated"][0])) for s in play(env, 6)]
    assert ends == [(False, False), (False, False), (False, True)] * 2


def test_a_win_at_the_limit_is_terminated_not_truncated(make):
    seen = play(make(1, length=3, limit=3), 3)
    assert seen[-1]["terminated"][0] and not seen[-1]["truncated"][0]


def test_results_do_not_depend_on_who_plays(make):
    alone = play(make(5), 23)
    for workers in (1, 2, 5):
        assert_equal(play(make(5, manager=dict(type="subprocess", worker_num=workers)), 23), alone)


def test_a_game_does_not_depend_on_the_number_of_games(make):
    few, many = play(make(2), 12), play(make(2), 12)
    assert_equal(few, many)
    one, three = make(1), make(3)
    one.reset(), three.reset()
    np.testing.assert_array_equal(one.agent_state[0], three.agent_state[0])
    other = make(1, seed=6)
    other.reset()
    assert other.agent_state[0, 0, 0] != one.agent_state[0, 0, 0]


@pytest.mark.parametrize("manager", KINDS, ids=lambda m: m["type"])
def test_saved_and_restored_in_the_middle_of_episodes(make, manager):
    env, other = make(3, manager=manager), make(3, manager=manager)
    play(env, 7)
    play(other, 4, seed=9)
    other.load_state_dict(env.state_dict())
    np.testing.assert_array_equal(other.agent_state, env.agent_state)
    assert len(other.lost) == 0 and other.episodes_lost == 0
    assert_equal(play(other, 13, seed=2, reset=False), play(env, 13, seed=2, reset=False))


def test_state_before_the_first_reset_is_restored_too(make):
    env, other = make(2), make(2)
    play(other, 3)
    other.load_state_dict(env.state_dict())
    assert_equal(play(other, 6), play(env, 6))


@pytest.mark.parametrize("game", [ForgetfulGame, UnsavedGame])
def test_games_that_cannot_be_restored_start_anew_and_are_counted(make, game, capfd):
    env, other = make(2, game=game), make(2, game=game)
    play(env, 3)
    other.load_state_dict(env.state_dict())
    np.testing.assert_array_equal(other.lost, [0, 1])
    assert other.episodes_lost == 2
    np.testing.assert_array_equal(other.episode_length, [0, 0])
    said = {ForgetfulGame: "it differs in agent_state, global_state", UnsavedGame: "its state cannot be saved"}[game]
    assert re.search(f"counting: game 0 is started anew: .*{said}", capfd.readouterr().out)


FAULTS = [
    ("base", "raise", "RuntimeError: the game broke"),
    ("subprocess", "raise", "RuntimeError: the game broke"),
    ("subprocess", "die", r"its process ended \(exit status 7\)"),
    ("subprocess", "hang", r"its process did not answer within (0.5|1) s"),
]


@pytest.mark.parametrize("retry_type", ["reset", "renew"])
@pytest.mark.parametrize(("kind", "fault", "said"), FAULTS, ids=lambda v: v[:10])
def test_a_game_that_fails_is_lost_and_goes_on(make, tmp_path, capfd, kind, fault, said, retry_type):
    flag = tmp_path / "fault"
    manager = dict(type=kind, worker_num=2, step_timeout=0.5, retry_type=retry_type)
    env = make(3, manager=manager, fault=fault, fault_file=str(flag))
    env.reset()
    first = env.agent_state[:, 0, 0].copy()
    env.step(np.zeros((3, 2), int))
    flag.touch()
    env.step(np.zeros((3, 2), int))
    lost = env.lost.tolist()
    assert 1 <= len(lost) <= 2 and env.episodes_lost == len(lost)  # a process takes both of its games with it
    for e in range(3):
        assert env.episode_length[e] == (0 if e in lost else 2)
        assert (env.agent_state[e, 0, 0] == first[e]) == (e not in lost)  # another seed
    assert not env.reward[lost].any() and not (env.terminated | env.truncated).any()
    assert re.search(said, capfd.readouterr().out)
    env.step(np.zeros((3, 2), int))
    assert len(env.lost) == 0 and env.episodes_lost == len(lost)
    np.testing.assert_array_equal(env.episode_length, [1 if e in lost else 3 for e in range(3)])


@pytest.mark.parametrize("kind", ["base", "subprocess"])
def test_too_many_failures_in_a_row_end_it(make, tmp_path, kind):
    flag = tmp_path / "fault"
    manager = dict(type=kind, worker_num=1, max_retry=2)
    env = make(1, manager=manager, fault="raise", fault_step=0, fault_file=str(flag), fault_again=True)
    env.reset()
    flag.touch()
    with pytest.raises(EnvError, match=r"(?s)game 0 failed 3 times in a row; env.manager.max_retry = 2.*game broke"):
        env.reset()


def test_failures_that_are_far_apart_are_repaired_for_ever(make, tmp_path):
    flag = tmp_path / "fault"
    env = make(1, manager=dict(type="base", max_retry=1), fault="raise", fault_file=str(flag))
    env.reset()
    for _ in range(4):
        flag.touch()
        play(env, 2 + 5, reset=False)  # fails at its second step, then plays an episode to its end
    assert env.episodes_lost == 4


def test_a_reset_that_hangs_is_cut_short(make, tmp_path):
    flag = tmp_path / "fault"
    manager = dict(type="subprocess", worker_num=1, reset_timeout=0.3)
    env = make(2, manager=manager, fault="hang", fault_step=0, fault_file=str(flag))
    env.reset()
    env.step(np.zeros((2, 2), int))
    flag.touch()
    begin = time.monotonic()
    env.reset([0])
    assert time.monotonic() - begin < 20
    np.testing.assert_array_equal(env.lost, [1])  # it was playing in the process that had to be ended
    np.testing.assert_array_equal(env.episode_length, [0, 0])


def pids(env):
    return [worker.process.pid for worker in env._crew._workers]


def gone(pid):
    """Neither running nor a zombie."""
    return not Path(f"/proc/{pid}").exists()


def test_killed_workers_are_replaced_and_none_is_left(make):
    env = make(4, manager=dict(type="subprocess", worker_num=2))
    play(env, 2)
    before = pids(env)
    os.kill(before[1], signal.SIGKILL)
    env.step(np.zeros((4, 2), int))
    np.testing.assert_array_equal(env.lost, [2, 3])
    assert pids(env)[0] == before[0] and gone(before[1])
    last = pids(env)
    env.close()
    env.close()
    assert all(gone(pid) for pid in last)


PARENT = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it from the start
sys.path[:0] = [{here!r}, {here!r} + '/games']
import numpy as np
import test_vec_env as t
from counting_game import CountingGame
cfg = t.EasyDict(t.defaults(t.class_schema(CountingGame)))
cfg.update(fault={fault!r}, fault_step=1, fault_file={flag!r})
cfg.manager.worker_num = 2
env = CountingGame.create(cfg, "collect", 2, 0)
env.reset()
print(*t.pids(env), flush=True)
env.step(np.zeros((2, 2), int))
time.sleep(1000)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("fault", ["", "hang"], ids=["waiting", "busy"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_workers_end_with_their_parent(tmp_path, how, fault):
    (tmp_path / "flag").touch()
    code = PARENT.format(here=str(HERE), flag=str(tmp_path / "flag"), fault=fault)
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    workers = [int(word) for word in parent.stdout.readline().split()]
    assert len(workers) == 2 and not any(gone(pid) for pid in workers)
    time.sleep(0.3)
    parent.send_signal(how)
    parent.wait(timeout=20)
    deadline = time.monotonic() + 20
    while not all(gone(pid) for pid in workers):
        assert time.monotonic() < deadline, "workers outlive their parent"
        time.sleep(0.05)


def test_wrong_actions_are_refused(make):
    env = make(2)
    env.reset()
    env.step(np.zeros((2, 2), int))
    with pytest.raises(EnvError, match=r"action of agent 0 in game 1: 2. Right is one of \[0, 1\]"):
        env.step(np.array([[0, 2], [2, 0]]))
    with pytest.raises(EnvError, match=r"action of agent 1 in game 0: 3. Right is one of \[0, 1, 2\]"):
        env.step(np.array([[0, 3], [0, 0]]))
    with pytest.raises(EnvError, match=r"float64 of shape \(2, 2\). Right is integer of shape \(2, 2\)"):
        env.step(np.zeros((2, 2)))
    assert env.episode_length.tolist() == [1, 1]


class WrongFrames(CountingGame):
    """Shows what the test gives it."""

    change: dict = {}
    sizes: dict = {}

    def __init__(self, cfg):
        super().__init__(cfg)
        self.info = EnvInfo(**{**vars(self.info), **self.sizes})

    def reset(self, seed):
        return Frame(**{**super().reset(seed)._asdict(), **self.change})


@pytest.mark.parametrize(
    ("change", "sizes", "said"),
    [
        (dict(agent_state=np.zeros(4)), {}, r"agent_state of shape \(4,\). Right is \(2, 4\)"),
        (dict(agent_state=None), {}, r"agent_state None. Right is \(2, 4\), as"),
        (dict(agent_state=np.full((2, 4), np.nan)), {}, "agent_state holds values that are not finite"),
        (dict(global_state=np.zeros(3)), {}, r"global_state of shape \(3,\). Right is \(8,\)"),
        ({}, dict(global_obs_shape=9), "no global_state, which stands for .* 8 numbers; its EnvInfo says .* 9"),
        (dict(action_mask=np.ones(3, bool)), {}, r"action_mask of shape \(3,\). Right is \(2, 3\)"),
        (dict(action_mask=np.zeros((2, 3), bool)), {}, "action_mask leaves an agent without action"),
        (dict(alive=True), {}, r"alive of shape \(\). Right is \(2,\)"),
    ],
)
def test_frames_that_do_not_fit_are_refused(make, monkeypatch, change, sizes, said):
    monkeypatch.setattr(WrongFrames, "change", change)
    monkeypatch.setattr(WrongFrames, "sizes", sizes)
    with pytest.raises(EnvError, match=f"(?s){said}"):
        make(1, game=WrongFrames, manager=dict(type="base", max_retry=0)).reset()


class LateWrongFrames(CountingGame):
    """Shows something wrong at its second step."""

    change: dict = {}

    def step(self, action):
        frame = super().step(action)
        return Frame(**{**frame._asdict(), **self.change}) if self.count == 2 else frame


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (dict(agent_state=np.zeros((2, 5))), r"agent_state of shape \(2, 5\). Right is \(2, 4\), as its EnvInfo says"),
        (dict(agent_state=np.zeros((1, 4))), r"agent_state of shape \(1, 4\). Right is \(2, 4\)"),
        (dict(global_state=np.full(8, np.inf)), "global_state holds values that are not finite"),
        (dict(action_mask=[[1, 1, 1], [0, 0, 0]]), "action_mask leaves an agent without action"),
    ],
)
def test_a_frame_that_does_not_fit_later_on_loses_the_episode(make, monkeypatch, capfd, change, said):
    monkeypatch.setattr(LateWrongFrames, "change", change)
    env = make(2, game=LateWrongFrames)
    env.reset([1])
    env.step(np.zeros((2, 2), int))
    env.step(np.zeros((2, 2), int))
    assert env.lost.tolist() == [1] and env.episodes_lost == 1 and env.episode_length.tolist() == [0, 0]
    assert np.isfinite(env.agent_state).all() and re.search(f"game 1 is started anew: .*{said}", capfd.readouterr().out)


def test_masks_and_the_dead_of_one_step_are_gone_at_the_next(make, monkeypatch):
    change = dict(action_mask=np.array([[1, 0, 0], [1, 0, 0]]), alive=[True, False])
    monkeypatch.setattr(LateWrongFrames, "change", change)
    env = make(1, game=LateWrongFrames)
    env.reset()
    shown = [(env.action_mask.sum(), env.alive.sum()) for _ in range(3) if env.step(np.zeros((1, 2), int)) is None]
    assert shown == [(5, 2), (2, 1), (5, 2)]  # one of six actions is never there after an odd step


def test_classes_that_another_process_cannot_import_are_refused(make):
    class Local(CountingGame):
        pass

    with pytest.raises(EnvError, match="cannot import .*Local from .* Put the class into a module of its own, or use"):
        make(1, game=Local, manager=dict(type="subprocess"))
    with pytest.raises(EnvError, match="num_envs: 0. Right is 1 or more"):
        make(0)
    with pytest.raises(EnvError, match=r"agent_state has shape \(3, 2, 4\). Right is \(2, 2, 4\)"):
        make(2).load_state_dict(make(3).state_dict())
