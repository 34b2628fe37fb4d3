"""The replay buffer against a slow twin: a list of episodes kept as plain arrays."""

import numpy as np
import pytest
import torch

from dimix.envs.agent_input import AgentInput
from dimix.envs.vec_env import EnvInfo
from dimix.errors import BatchError, ConfigError
from dimix.machine.checkpoint_file import load_checkpoint, save_checkpoint
from dimix.replay import memory_plan
from dimix.replay.batch import batch_fields, validate
from dimix.replay.buffer import ReplayBuffer
from dimix.replay.open_episodes import Rows
from dimix.replay.priorities import Priorities

HIDDEN = 2


class Twin:
    """Plays random games into a buffer and remembers all of it the slow way."""

    def __init__(self, buffer: ReplayBuffer, env, seed: int = 0) -> None:
        self.buffer, self.env, self.rng = buffer, env, np.random.default_rng(seed)
        self.episodes: list[dict] = []
        self.running: list[dict] = [{} for _ in range(env.num_envs)]
        buffer.open(env.num_envs)
        self.begin(np.arange(env.num_envs))

    def begin(self, env_ids):
        self.env.reset(env_ids)
        self.buffer.begin(env_ids, Rows.of(self.env))
        for env in env_ids:
            self.running[env] = dict(rows=[self.row(env)], action=[], reward=[], hidden=[np.zeros((3, HIDDEN))])

    def row(self, env):
        return [a[env].copy() for a in Rows.of(self.env)]

    def step(self):
        env = self.env
        score = np.where(env.action_mask, self.rng.random(env.action_mask.shape), -1)
        action = score.argmax(-1)
        hidden = self.rng.normal(size=(env.num_envs, 3, HIDDEN)).astype(np.float32)
        env.step(action)
        self.buffer.append(np.arange(env.num_envs), action, env.reward, Rows.of(env), hidden)
        for e, game in enumerate(self.running):
            game["rows"].append(self.row(e))
            game["action"].append(action[e])
            game["reward"].append(env.reward[e])
            game["hidden"].append(hidden[e])
        over = np.flatnonzero(env.terminated | env.truncated)
        self.buffer.finish(over, env.terminated)
        for e in over:
            self.episodes.append({**self.running[e], "terminated": bool(env.terminated[e])})
            while sum(self.units(x) for x in self.episodes) > self.buffer.capacity and len(self.episodes) > 1:
                self.episodes.pop(0)
        self.begin(over)

    def units(self, episode):
        unroll = self.buffer.unroll_len
        return 1 if unroll is None else -(-len(episode["reward"]) // unroll)

    def expected(self, units):
        """The batch of some units, written row by row."""
        pieces = []
        for unit in units:
            for episode in self.episodes:
                if unit < self.units(episode):
                    break
                unit -= self.units(episode)
            length, unroll = len(episode["reward"]), self.buffer.unroll_len or len(episode["reward"])
            start = max(unit * unroll - self.buffer.burnin_len, 0)
            pieces.append((episode, start, min(unit * unroll + unroll, length), unit * unroll - start))
        steps = max(end - start for _, start, end, _ in pieces)
        return [self.expected_piece(*piece, steps) for piece in pieces]

    def expected_piece(self, episode, start, end, burnin, steps):
        agents, actions = self.env.info.agent_num, self.env.info.action_shape
        rows = [episode["rows"][t] for t in range(start, end + 1)]
        agent_state = []
        for t, row in zip(range(start, end + 1), rows, strict=True):
            last = np.eye(actions)[episode["action"][t - 1]] if t > 0 else np.zeros((agents, actions))
            agent_state.append(np.concatenate([row[0], last, np.eye(agents)], -1))
        pad = steps - (end - start)
        no_action = np.eye(actions, dtype=bool)[np.zeros(agents, int)]
        last = np.arange(steps) == end - start - 1
        at_end = last & (end == len(episode["reward"]))
        stored = self.buffer.unroll_len is not None and self.buffer.start_state == "stored" and start > 0
        zeros = np.zeros((agents, HIDDEN))
        return {
            "obs.agent_state": np.array(agent_state + [np.zeros_like(agent_state[0])] * pad),
            "obs.global_state": np.array([row[1] for row in rows] + [np.zeros_like(rows[0][1])] * pad),
            "obs.action_mask": np.array([row[2] for row in rows] + [no_action] * pad),
            "alive": np.array([row[3] for row in rows] + [np.zeros(agents, bool)] * pad),
            "action": np.array(episode["action"][start:end] + [np.zeros(agents)] * pad),
            "reward": np.array(episode["reward"][start:end] + [0] * pad),
            "terminated": at_end & episode["terminated"],
            "truncated": at_end & (not episode["terminated"]),
            "filled": np.arange(steps) < end - start,
            "weight": np.array(1.0),
            "hidden_state": episode["hidden"][start] if stored else zeros,
            "burnin": np.array(burnin),
        }


def make_buffer(toy_env, toy_input, capacity=20, **options):
    if options.pop("priorities", None):
        options["priorities"] = Priorities()  # one of its own for each buffer
    return ReplayBuffer(capacity, toy_env(1).info, toy_input, (3, HIDDEN), **options)


def assert_same(batch, expected):
    validate(batch)
    for name, value in batch_fields(batch).items():
        right = np.stack([piece[name] for piece in expected])
        np.testing.assert_array_equal(value.numpy(), right.astype(value.numpy().dtype), err_msg=name)


@pytest.mark.parametrize(
    "options",
    [
        dict(),
        dict(capacity=1),
        dict(unroll_len=4),
        dict(unroll_len=4, start_state="zero"),
        dict(unroll_len=4, burnin_len=3),
        dict(unroll_len=4, burnin_len=6),
        dict(unroll_len=1, burnin_len=1, capacity=50),
        dict(unroll_len=100),
        dict(unroll_len=4, priorities=True),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_slow_twin(toy_env, toy_input, options, seed):
    buffer = make_buffer(toy_env, toy_input, **options)
    twin = Twin(buffer, toy_env(4, seed), seed)
    for _ in range(80):
        twin.step()
        buffer.check_valid()
        assert buffer.num_episodes == len(twin.episodes)
        assert len(buffer) == sum(twin.units(e) for e in twin.episodes)
        assert buffer.num_steps == sum(len(e["reward"]) for e in twin.episodes)
    units = np.random.default_rng(seed).permutation(len(buffer))[:9]
    assert_same(buffer.gather(units), twin.expected(units))
    for unit in range(len(buffer)):  # cut to the longest of the batch: alone, nothing is padded
        assert_same(buffer.gather(np.array([unit])), twin.expected([unit]))


def test_samples_every_unit_equally_often_and_none_twice(toy_env, toy_input):
    buffer = make_buffer(toy_env, toy_input, capacity=12, unroll_len=5)
    twin = Twin(buffer, toy_env(4))
    while len(buffer) < 10:
        twin.step()
    twin_rewards = [piece["reward"] for piece in twin.expected(range(len(buffer)))]
    counts = np.zeros(len(buffer))
    for _ in range(300):
        drawn = buffer.sample(4).reward.numpy()
        found = [next(i for i, r in enumerate(twin_rewards) if (r[: d.size] == d).all()) for d in drawn]
        assert len(set(found)) == 4
        counts[found] += 1
    # 300 draws of 4 out of n: binomial with p = 4 / n; five standard deviations
    p = 4 / len(buffer)
    np.testing.assert_allclose(counts, 300 * p, atol=5 * np.sqrt(300 * p * (1 - p)))


def test_batches_reuse_memory_and_never_show_old_values(toy_env, toy_input):
    buffer = make_buffer(toy_env, toy_input)
    twin = Twin(buffer, toy_env(4))
    while buffer.num_episodes < 15:
        twin.step()
    first = buffer.gather(np.arange(15))
    again = buffer.gather(np.arange(15))
    assert first.obs.agent_state.data_ptr() == again.obs.agent_state.data_ptr()
    for unit in (3, 14, 0):
        assert_same(buffer.gather(np.array([unit])), twin.expected([unit]))


@pytest.mark.parametrize("options", [dict(), dict(unroll_len=4, burnin_len=2), dict(priorities=True)])
def test_resume_goes_on_bit_for_bit(toy_env, toy_input, tmp_path, runs, options):
    buffer = make_buffer(toy_env, toy_input, **options)
    twin = Twin(buffer, toy_env(4))
    for _ in range(50):
        twin.step()
    while any(len(game["action"]) > 3 for game in twin.running):
        twin.step()  # until all open episodes are shorter than those before them
    buffer.sample(3)
    save_checkpoint(tmp_path / "a.tar", {"buffer": buffer.state_dict(), "env": twin.env.state_dict()})
    saved = load_checkpoint(tmp_path / "a.tar")

    other_buffer = make_buffer(toy_env, toy_input, seed=5, **options)
    other = Twin(other_buffer, toy_env(4))
    other_buffer.load_state_dict(saved["buffer"])
    other.env.load_state_dict(saved["env"])
    other.rng.bit_generator.state = twin.rng.bit_generator.state
    other_buffer.check_valid()
    assert other_buffer.nbytes == buffer.nbytes
    for _ in range(30):
        twin.step()
        other.step()
        theirs = {name: value.clone() for name, value in batch_fields(other_buffer.sample(3)).items()}
        for name, value in batch_fields(buffer.sample(3)).items():
            assert torch.equal(value, theirs[name]), name
        if options.get("priorities"):
            surprise = twin.rng.random(3)
            other.rng.random(3)
            for each in (buffer, other_buffer):
                each.update_priority(surprise)
        runs.assert_same(other_buffer.state_dict(), buffer.state_dict())


def test_empty_buffer_round_trip(toy_env, toy_input, tmp_path):
    save_checkpoint(tmp_path / "a.tar", make_buffer(toy_env, toy_input).state_dict())
    buffer = make_buffer(toy_env, toy_input)
    buffer.load_state_dict(load_checkpoint(tmp_path / "a.tar"))
    assert len(buffer) == 0


def test_state_of_another_kind_is_refused(toy_env, toy_input):
    state = make_buffer(toy_env, toy_input).state_dict()
    with pytest.raises(BatchError, match="replay buffer state: layout .*'toy', 3, 37"):
        make_buffer(toy_env, toy_input, unroll_len=4).load_state_dict(state)


def test_plan_and_refusal(toy_env, toy_input, monkeypatch):
    buffer = make_buffer(toy_env, toy_input, capacity=1000)
    # row: (3 * 37 + 5) floats + 3 * 5 flags = 479 bytes plain
    assert buffer.plan.plain_row_bytes == 4 * 116 + 15
    expected, at_most = buffer.plan.expected, buffer.plan.at_most
    assert expected < 1000 * 13 * 479 < at_most
    assert "replay buffer: 1000 episodes of toy, about" in buffer.memory_plan()
    windows = make_buffer(toy_env, toy_input, capacity=1000, unroll_len=4)
    assert "1000 windows of 4 steps of toy" in windows.memory_plan()
    monkeypatch.setattr(memory_plan, "available_memory", lambda: (expected + 1) // 2)
    with pytest.raises(
        ConfigError, match=r"replay_buffer_size: 1000 needs about .* are available. Right is at most 500"
    ):
        make_buffer(toy_env, toy_input, capacity=1000)


def test_real_use_stays_below_the_plan(toy_env, toy_input):
    buffer = make_buffer(toy_env, toy_input, capacity=30)
    twin = Twin(buffer, toy_env(4, end=0.0))  # every episode runs to its limit
    while buffer.num_episodes < 30:
        twin.step()
    assert buffer.nbytes <= buffer.plan.at_most


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(capacity=0), "replay_buffer_size: 0. Right is 1 or more"),
        (dict(unroll_len=0), "unroll_len: 0. Right is 1 or more, or None"),
        (dict(start_state="old"), "start_state: 'old'. Right is 'stored' or 'zero'"),
        (dict(burnin_len=2), "burnin_len: 2. Right is 0 or more; for whole episodes"),
        (dict(unroll_len=3, burnin_len=-1), "burnin_len: -1. Right is 0 or more"),
    ],
)
def test_wrong_options(toy_env, toy_input, options, message):
    with pytest.raises(ConfigError, match=message):
        make_buffer(toy_env, toy_input, **options)


def test_wrong_use(toy_env, toy_input):
    env = toy_env(2, limit=3)
    ids, rows, action = np.arange(2), Rows.of(env), np.zeros((2, 3), int)
    buffer = ReplayBuffer(5, env.info, toy_input, (3, HIDDEN), unroll_len=2)
    with pytest.raises(BatchError, match=r"no open episodes. Call open\(num_envs\)"):
        buffer.begin(ids, rows)
    buffer.open(2)
    with pytest.raises(BatchError, match="game 0: append without begin"):
        buffer.append(ids, action, env.reward, rows, np.zeros((2, 3, HIDDEN), np.float32))
    buffer.begin(ids, rows)
    with pytest.raises(BatchError, match="no hidden state given"):
        buffer.append(ids, action, env.reward, rows)
    buffer.begin(ids, rows)
    with pytest.raises(BatchError, match="game 1: finish after 0 steps"):
        buffer.finish(np.array([1]), env.terminated)
    for _ in range(3):
        buffer.append(ids, action, env.reward, rows, np.zeros((2, 3, HIDDEN), np.float32))
    with pytest.raises(BatchError, match="game 0: step 4. Right is at most 3, the episode_limit that toy gives"):
        buffer.append(ids, action, env.reward, rows, np.zeros((2, 3, HIDDEN), np.float32))
    with pytest.raises(BatchError, match="batch_size: 1. The replay buffer holds 0 units"):
        buffer.sample(1)
    buffer.finish(ids, env.terminated)
    assert not buffer.can_sample(5) and buffer.can_sample(4)


@pytest.mark.parametrize("options", [dict(), dict(unroll_len=3), dict(unroll_len=3, burnin_len=2)], ids=str)
def test_priorities_follow_their_units(toy_env, toy_input, options):
    """Everything is dull but one unit, an episode or a window: it is drawn nearly always, also when older ones left."""
    buffer = make_buffer(toy_env, toy_input, capacity=12, priorities=True, **options)
    twin = Twin(buffer, toy_env(4))
    while len(buffer) < 10:
        twin.step()
    wanted, oldest = (buffer.gather(np.array([unit])).obs.agent_state[0, 0].clone() for unit in (7, 0))

    def is_wanted(batch):
        return (batch.obs.agent_state[:, 0] == wanted).flatten(1).all(1).numpy()

    def look_at_all():
        hits = is_wanted(buffer.sample(len(buffer)))
        assert hits.sum() == 1
        buffer.update_priority(hits.astype(float))

    look_at_all()
    while torch.equal(buffer.gather(np.array([0])).obs.agent_state[0, 0], oldest):
        twin.step()
    look_at_all()
    counts = 0
    for _ in range(50):
        drawn = buffer.sample(1)
        counts += int(is_wanted(drawn)[0])
        assert drawn.weight.tolist() == [1.0]
    # chance of another: 11 * (1e-6)**0.6 / (1 + 11 * (1e-6)**0.6) = 0.3 % a draw
    assert counts >= 47


def test_priorities_are_refused_where_they_do_not_fit(toy_env, toy_input):
    uniform, buffer = make_buffer(toy_env, toy_input), make_buffer(toy_env, toy_input, priorities=True)
    with pytest.raises(BatchError, match="samples uniformly"):
        uniform.update_priority(np.ones(3))
    twin = Twin(buffer, toy_env(4))
    while buffer.num_episodes < 8:
        twin.step()
    buffer.sample(3)
    for wrong in (np.ones(2), np.array([1, np.nan, 1]), np.array([1, -1, 1])):
        with pytest.raises(BatchError, match="update_priority: .*finite, 0 or more"):
            buffer.update_priority(wrong)
    while buffer.num_episodes < 9:
        twin.step()
    with pytest.raises(BatchError, match="has changed since the last sample"):
        buffer.update_priority(np.ones(3))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("agent_state", lambda a: a.astype(np.float64), r"agent_state is float64 of shape .* Right is float32"),
        ("action_mask", lambda a: a.astype(np.uint8), r"action_mask is uint8 of shape .* Right is bool"),
        (
            "global_state",
            lambda a: a[:, 1:],
            r"global_state is float32 of shape \(2, 4\). Right is float32 of shape \(2, 5\)",
        ),
    ],
)
def test_arrays_that_do_not_fit_the_sizes(toy_env, toy_input, name, change, message):
    env = toy_env(2)
    buffer = make_buffer(toy_env, toy_input)
    buffer.open(2)
    rows = Rows.of(env)
    with pytest.raises(BatchError, match=message):
        buffer.begin(np.arange(2), rows._replace(**{name: change(getattr(rows, name))}))


@pytest.mark.parametrize(("actions", "dtype"), [(256, np.uint8), (300, np.uint16)])
def test_action_numbers_of_any_size(actions, dtype):
    info = EnvInfo("wide", 1, 2, 1, actions, 3)
    buffer = ReplayBuffer(2, info, AgentInput(2, actions, 1))
    flags = np.ones((1, 1, actions), bool), np.ones((1, 1), bool)
    rows = Rows(np.ones((1, 1, 2), np.float32), np.ones((1, 1), np.float32), *flags)
    ids = np.zeros(1, np.int64)
    buffer.open(1)
    buffer.begin(ids, rows)
    buffer.append(ids, np.array([[actions - 1]]), np.array([1.5]), rows)
    buffer.finish(ids, np.array([True]))
    batch = buffer.sample(1)
    assert buffer._episodes[0].action.dtype == dtype
    assert batch.action.tolist() == [[[actions - 1]]] and batch.reward.tolist() == [[1.5]]
    assert batch.obs.agent_state[0, 1, 0].nonzero().flatten().tolist() == [0, 1, 2 + actions - 1, 2 + actions]
