"""The collector: what is played is what is stored, and a resumed run is the same run."""

import numpy as np
import pytest
import torch

from dimix.envs.curriculum import Curriculum
from dimix.errors import CheckpointError
from dimix.machine.checkpoint_file import load_checkpoint, save_checkpoint
from dimix.replay.batch import batch_fields, validate
from dimix.replay.buffer import ReplayBuffer
from dimix.worker.collector import Collector, CollectStats


class Room:
    """Collector, buffer, policy and environment of one run."""

    def __init__(self, toy_env, toy_policy, toy_input, num_envs=4, curriculum=None, **options):
        self.env = toy_env(num_envs, seed=1)
        self.policy = toy_policy(seed=2)
        self.buffer = ReplayBuffer(15, self.env.info, toy_input, (3, 3), **options)
        self.curriculum = curriculum and curriculum(self.env)
        self.collector = Collector(self.env, self.policy.mode, self.buffer, toy_input, self.curriculum)

    def state_dict(self):
        return {name: getattr(self, name).state_dict() for name in ("collector", "buffer", "policy")}

    def load_state_dict(self, state):
        for name, value in state.items():
            getattr(self, name).load_state_dict(value)


@pytest.fixture
def room(toy_env, toy_policy, toy_input):
    return lambda **options: Room(toy_env, toy_policy, toy_input, **options)


def test_counts_and_means(room):
    rooms = room()
    stats = rooms.collector.collect(n_episode=6)
    assert stats.num_episodes >= 6
    assert stats.env_steps % 4 == 0
    assert rooms.collector.env_step == stats.env_steps
    assert rooms.collector.episode_count == stats.num_episodes == rooms.buffer.num_episodes
    assert sum(stats.ep_length) == rooms.buffer.num_steps
    batch = rooms.buffer.gather(np.arange(stats.num_episodes))
    validate(batch)
    np.testing.assert_allclose(batch.reward.sum(1).numpy(), stats.ep_reward, rtol=1e-5)
    means = stats.means()
    assert means["ep_reward"] == pytest.approx(sum(stats.ep_reward) / stats.num_episodes)
    assert means["battle_won"] == sum(stats.battle_won) / stats.num_episodes
    assert CollectStats().means() == {}


def test_running_battles_go_on_in_the_next_call(room):
    one, many = room(), room()
    whole = one.collector.collect(n_step=400)
    parts = [many.collector.collect(n_step=40) for _ in range(10)]
    assert [r for part in parts for r in part.ep_reward] == whole.ep_reward
    assert many.collector.env_step == 400
    units = np.arange(len(one.buffer))
    theirs = {name: value.clone() for name, value in batch_fields(many.buffer.gather(units)).items()}
    for name, value in batch_fields(one.buffer.gather(units)).items():
        assert torch.equal(value, theirs[name]), name


def test_the_network_sees_in_training_what_it_saw_in_play(room):
    rooms = room(num_envs=1)
    rooms.collector.collect(n_episode=3)
    played = np.concatenate(rooms.policy.seen_input)  # one game after the other
    batch = rooms.buffer.gather(np.arange(3))
    stored = batch.obs.agent_state[:, :-1][batch.filled].numpy()
    np.testing.assert_array_equal(stored, played)


class Lessons(Curriculum):
    """Agent 0 is shown its last available action; games 1 and 2 are not explored; counts where episodes begin."""

    def __init__(self, env):
        self.env, self.shown, self.calls, self.begun = env, [], [], np.zeros(env.num_envs, int)

    def prepare(self, out):
        self.calls.append("prepare")
        out("prepared")

    def reset(self, env_ids):
        self.calls.append("reset")
        self.begun[env_ids] += 1
        self.env.reset(env_ids)

    def epsilon(self, epsilon):
        return epsilon * np.isin(np.arange(self.env.num_envs), (0, 3))

    def action(self, action):
        last = self.env.action_mask.shape[2] - 1
        self.shown.append(last - self.env.action_mask[:, 0, ::-1].argmax(-1))
        return np.column_stack([self.shown[-1], action[:, 1:]])

    def state_dict(self):
        return {"begun": self.begun.copy()}

    def load_state_dict(self, state):
        self.begun[:] = state["begun"]


def test_a_curriculum_is_asked_where_episodes_begin_and_what_is_played(room):
    rooms, said = room(num_envs=1, curriculum=Lessons), []
    lessons = rooms.curriculum
    rooms.collector.start(said.append)
    assert said == ["prepared"]
    rooms.collector.collect(n_episode=3)
    assert lessons.calls == ["prepare", *["reset"] * 4] and lessons.begun.tolist() == [4]  # one is running
    batch = rooms.buffer.gather(np.arange(3))
    played = batch.action[batch.filled].numpy()
    np.testing.assert_array_equal(played[:, 0], np.concatenate(lessons.shown))
    assert (played[:, 1:] != played[:, :1]).any()


def test_random_actions_are_played_where_the_curriculum_says(room):
    for curriculum, expected in ((None, 0.25), (Lessons, [0.25, 0, 0, 0.25])):
        rooms = room(curriculum=curriculum)
        rooms.collector.collect(n_step=8, epsilon=0.25)
        assert [np.array(each).tolist() for each in rooms.policy.seen_epsilon] == [expected] * 2


def test_a_curriculum_goes_on_where_it_was_and_is_not_prepared_again(room):
    first, second, plain = room(curriculum=Lessons), room(curriculum=Lessons), room()
    first.collector.collect(n_episode=5)
    state = first.state_dict()
    second.load_state_dict(state)
    assert second.curriculum.begun.tolist() == first.curriculum.begun.tolist()
    assert first.collector.collect(n_episode=5) == second.collector.collect(n_episode=5)
    assert second.curriculum.begun.tolist() == first.curriculum.begun.tolist()
    assert "prepare" not in second.curriculum.calls
    plain.load_state_dict(state)  # whoever has none leaves the state alone
    # before there were curricula the environment's state held theirs
    old = dict(state["collector"])
    lessons = old.pop("curriculum")
    third = room(curriculum=Lessons)
    third.collector.load_state_dict({**old, "env": {**old["env"], "backplay": lessons}})
    assert third.curriculum.begun.tolist() == lessons["begun"].tolist()


def test_hidden_state_starts_at_zero_and_windows_store_it(room):
    rooms = room(num_envs=1, unroll_len=3)
    rooms.collector.collect(n_episode=2)
    hidden = np.concatenate(rooms.policy.seen_hidden)  # (steps, A, H), before each step
    lengths = [episode.length for episode in rooms.buffer._episodes]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    assert not hidden[starts].any()
    expected = [hidden[start + t] for start, n in zip(starts, lengths, strict=True) for t in range(0, n, 3)]
    batch = rooms.buffer.gather(np.arange(len(rooms.buffer)))
    np.testing.assert_array_equal(batch.hidden_state.numpy(), expected)


@pytest.mark.parametrize("options", [dict(), dict(unroll_len=3, burnin_len=2)])
def test_resume_equals_going_on(room, tmp_path, options):
    whole, first, second = room(**options), room(**options), room(**options)
    whole.collector.collect(n_episode=9)
    first.collector.collect(n_episode=9)
    save_checkpoint(tmp_path / "a.tar", first.state_dict())
    second.load_state_dict(load_checkpoint(tmp_path / "a.tar"))
    after_whole, after_second = (r.collector.collect(n_episode=9) for r in (whole, second))
    assert after_whole == after_second
    assert whole.collector.env_step == second.collector.env_step
    theirs = {name: value.clone() for name, value in batch_fields(second.buffer.sample(5)).items()}
    for name, value in batch_fields(whole.buffer.sample(5)).items():
        assert torch.equal(value, theirs[name]), name


def test_state_of_another_run_is_refused(room):
    state = room(num_envs=2).state_dict()
    with pytest.raises(
        CheckpointError, match=r"hidden states of running games: shape \(2, 3, 3\). Right is \(4, 3, 3\)"
    ):
        room().collector.load_state_dict(state["collector"])


@pytest.mark.parametrize("goals", [dict(), dict(n_episode=1, n_step=1), dict(n_episode=0), dict(n_step=-1)])
def test_needs_one_goal(room, goals):
    with pytest.raises(ValueError, match="Right is one of them, at least 1"):
        room().collector.collect(**goals)
