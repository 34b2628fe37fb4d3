"""Recorded games: the file gives back what was played, recording changes nothing, damage is named."""

import json
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dizoo.smac.battle import BattleEngine
from dizoo.smac.battle.errors import BattleError
from dizoo.smac.battle.recording.recorder import BattleRecorder
from dizoo.smac.battle.recording.replay import (
    FRAME_FIELDS,
    Replay,
    _differences,
    _summed,
    load_replay,
    pack,
    parse_replay,
    replay_bytes,
    save_replay,
    target_unit,
)


def random_actions(engine, rng):
    return np.where(engine.action_mask, rng.random(engine.action_mask.shape), -1).argmax(-1)


def play(battles, engine, steps, seed=0):
    """Random play with restarts; every reward and the last state."""
    rng = np.random.default_rng(seed)
    battles.reset()
    rewards = []
    for _ in range(steps):
        battles.step(random_actions(engine, rng))
        rewards.append(engine.reward.copy())
        over = np.flatnonzero(engine.terminated | engine.truncated)
        if len(over):
            battles.reset(over)
    return np.array(rewards), engine.get_state()


def record(map_name="3m", games=1, steps=70, **options):
    engine = BattleEngine(map_name, 4, 5, num_threads=1, **options)
    found = []
    play(BattleRecorder(engine, games, found.append), engine, steps)
    return found


@pytest.fixture(scope="module")
def game():
    return record()[0]


@pytest.mark.parametrize("map_name", ["3m", "MMM", "zerg_5_vs_5"])
def test_recording_changes_nothing(map_name):
    plain, recorded = BattleEngine(map_name, 4, 5, num_threads=1), BattleEngine(map_name, 4, 5, num_threads=1)
    rewards, state = play(plain, plain, 40)
    found = []
    same_rewards, same_state = play(BattleRecorder(recorded, 6, found.append), recorded, 40)
    np.testing.assert_array_equal(same_rewards, rewards)
    for name, value in state.items():
        np.testing.assert_array_equal(same_state[name], value, err_msg=name)


def test_records_the_games_asked_for_and_no_other():
    found = record(games=6, steps=200)
    assert sorted(g.number for g in found) == [0, 1, 2, 3, 4, 5]
    assert {g.name for g in found if g.number == 5} <= {"005_won.replay", "005_lost.replay"}


def test_arrays_are_what_the_engine_showed():
    """The same battle stepped again from the recorded stream, with the recorded actions."""
    game = record("MMM", start_jitter=0.3, random_side=True, random_weapon_delay=True, steps=160)[0]
    header, arrays = game.replay.header, game.replay.arrays
    engine = BattleEngine("MMM", 1, 99, start_jitter=0.3, random_side=True, random_weapon_delay=True, num_threads=1)
    state = engine.get_state()
    state["stream_key"][:], state["stream_count"][:] = (int(word) for word in header["stream"])
    engine.set_state(state)
    engine.reset()
    assert bool(engine.battles["mirrored"][0]) == header["mirrored"]
    for t in range(game.replay.steps):
        np.testing.assert_array_equal(engine.agent_state[0], arrays["obs"][t])
        np.testing.assert_array_equal(engine.action_mask[0], arrays["action_mask"][t])
        np.testing.assert_array_equal(engine.units["x"][0], arrays["x"][8 * t])
        engine.step(arrays["action"][None, t])
        assert engine.reward[0] == arrays["reward"][t]
    np.testing.assert_array_equal(engine.units["hp"][0], arrays["hp"][-1])
    assert engine.terminated[0] or engine.truncated[0]
    assert bool(engine.battle_won[0]) == header["outcome"]["won"]
    assert bool(engine.truncated[0]) == header["outcome"]["truncated"]


def test_frames_are_the_units_before_each_tick():
    """The same battle stepped again tick by tick, beside three that restart on their own."""
    game = record("MMM", steps=160)[0]
    arrays = game.replay.arrays
    engine = BattleEngine("MMM", 4, 5, num_threads=1)
    state = engine.get_state()
    state["stream_key"][0], state["stream_count"][0] = (int(word) for word in game.replay.header["stream"])
    engine.set_state(state)
    engine.reset()
    for t in range(game.replay.steps):
        actions = np.where(engine.action_mask, 1, 0).argmax(-1)
        actions[0] = arrays["action"][t]
        engine.begin_step(actions)
        for k in range(8):
            for name in FRAME_FIELDS:
                now = engine.units[name][0].astype(arrays[name].dtype)
                np.testing.assert_array_equal(arrays[name][8 * t + k], now, err_msg=name)
            engine.run_tick()
        engine.finish_step()
    assert len(arrays["hp"]) == 8 * game.replay.steps + 1
    np.testing.assert_array_equal(arrays["hp"][-1], engine.units["hp"][0].astype(np.float32))


def test_recording_can_end_before_the_games_do():
    engine = BattleEngine("3m", 4, 5, num_threads=1)
    found = []
    battles = BattleRecorder(engine, 4, found.append)
    battles.reset()
    rng = np.random.default_rng(0)
    battles.step(random_actions(engine, rng))
    battles.close()
    play(battles, engine, 70)
    assert found == [] and len(engine._frames) == 0


@pytest.mark.parametrize("battles", [5, -1, 1.5])
def test_no_more_battles_are_filmed_than_there_are(battles):
    with pytest.raises(BattleError, match="battles: "):
        BattleEngine("3m", 4, 5, num_threads=1).film(battles)


def test_file_gives_back_the_game(game, tmp_path):
    steps = game.replay.steps
    q = np.linspace(-3.0, 70.0, steps * 3 * 9, dtype=np.float32).reshape(steps, 3, 9)
    values = {"q": q, "q_tot": q[:, 0, 0], "weight": np.abs(q[..., 0])}
    path = tmp_path / game.name
    path.write_bytes(game.content(values, {"policy": "qmix"}))
    found = load_replay(path)
    assert found.header == {**game.replay.header, "info": {"policy": "qmix"}}
    for name, value in {**game.replay.arrays, **values}.items():
        # int16 in powers of ten: 32767 steps cover the largest value, so a step is at most 10 times what is needed
        tolerance = 0.5 * max(0.001, 10 * np.abs(value).max() / 32767) if value.dtype.kind == "f" else 0
        assert np.abs(found.arrays[name].astype(float) - value).max() <= tolerance * 1.001, name


def test_obs_keep_three_decimals(game):
    found = parse_replay(replay_bytes(game.replay)).arrays["obs"]
    np.testing.assert_allclose(found, game.replay.arrays["obs"], atol=0.000501)


def test_saved_whole_or_not_at_all(game, tmp_path):
    save_replay(tmp_path / "a.replay", game.replay)
    assert [p.name for p in tmp_path.iterdir()] == ["a.replay"]
    with pytest.raises(BattleError, match=r"nowhere/a\.replay: cannot be written \(No such file or directory\)"):
        save_replay(tmp_path / "nowhere" / "a.replay", game.replay)


def sealed(content):
    """A file of version 2 around any content."""
    return b"dimix replay 2\n" + struct.pack("<II", len(content), zlib.crc32(content)) + content


def changed(game, **header):
    """The file with parts of its header replaced."""
    content = replay_bytes(game.replay)[len(b"dimix replay 2\n") + 8 :]
    length = int.from_bytes(content[:4], "little")
    text = json.dumps({**json.loads(content[4 : 4 + length]), **header}).encode()
    text += b" " * (-len(text) % 4)
    return sealed(len(text).to_bytes(4, "little") + text + content[4 + length :])


def version_1(raw):
    """A file's content as version 1 had it."""
    replay = parse_replay(raw)
    return b"dimix replay 1\n" + pack(replay.header, replay.arrays)


def test_version_1_is_read(game):
    raw = replay_bytes(game.replay)
    now, then = parse_replay(raw), parse_replay(version_1(raw))
    assert then.header == now.header
    for name, value in now.arrays.items():
        np.testing.assert_array_equal(then.arrays[name], value, err_msg=name)


@settings(max_examples=80, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(["<i2", "|u1"]), rows=st.integers(1, 5), columns=st.integers(1, 11))
def test_differences_give_back_any_array(data, dtype, rows, columns):
    """Also where a difference does not fit the type: it wraps, and the sum wraps back."""
    info = np.iinfo(dtype)
    edge = st.sampled_from([info.min, 0, 1, info.max]) | st.integers(info.min, info.max)
    value = np.array(data.draw(st.lists(edge, min_size=rows * columns, max_size=rows * columns)), dtype)
    value = value.reshape(rows, columns)
    bits, changes = _differences(value)
    assert len(changes) == np.unpackbits(bits).sum()
    np.testing.assert_array_equal(_summed(bits, changes, value.shape), value)


def test_differences_by_hand():
    """Rows 0 0 5, 0 2 5, 0 2 4: changes at entries 2, 4 and 8 by 5, 2 and -1."""
    bits, changes = _differences(np.array([[0, 0, 5], [0, 2, 5], [0, 2, 4]], "<i2"))
    assert np.unpackbits(bits).tolist() == [0, 0, 1, 0, 1, 0, 0, 0, 1] + 7 * [0]
    assert changes.tolist() == [5, 2, -1]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: b"", "empty file. Copy or record it again."),
        (lambda raw: b"PK\3\4" + raw, "not a replay. Replays begin with 'dimix replay'"),
        (lambda raw: raw.replace(b"replay 2\n", b"replay 7\n", 1), "replay of version 7. .* reads versions 1 and 2"),
        (lambda raw: raw[: len(raw) // 2], "cut off after"),
        (lambda raw: raw[:-1], "cut off after"),
        (lambda raw: raw[:18], "cut off after 18 bytes"),
        (lambda raw: raw + b"more", "checksum does not fit"),
        (lambda raw: raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:], "checksum does not fit"),
        (lambda raw: sealed(b"\4\0\0\0null"), "damaged replay"),
        (lambda raw: sealed(b"\xff\xff\xff\xff{}"), "damaged replay"),
        (lambda raw: raw[:40] + b"\xff\xff\xff" + raw[43:], "damaged replay"),
        (lambda raw: version_1(raw)[:300], "cut off after 300"),
        (lambda raw: version_1(raw)[:40] + b"\xff\xff\xff" + version_1(raw)[43:], "damaged replay"),
        (lambda raw: b"dimix replay 1\n" + zlib.compress(b"\4\0\0\0null"), "damaged replay"),
    ],
)
def test_damage_is_named(game, tmp_path, damage, message):
    path = tmp_path / "game.replay"
    path.write_bytes(damage(replay_bytes(game.replay)))
    with pytest.raises(BattleError, match=message) as error:
        load_replay(path)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"outcome": {"won": True, "return": 1.0, "steps": 10**12}}, "damaged"),
        ({"outcome": {"won": True, "return": 1.0, "steps": 0}}, "damaged: sizes"),
        ({"units": []}, "damaged: sizes"),
        ({"arrays": []}, "damaged: array 'action' is missing"),
        ({"arrays": [{"name": "x", "shape": [1], "dtype": "<i2", "scale": 1}]}, r"'x' has shape \[1\]. It is"),
        ({"arrays": [{"name": "reward", "shape": [None], "dtype": "<i2", "scale": 1, "changes": 1}]}, "damaged"),
        ({"arrays": [{"name": "x", "shape": [1], "dtype": "O", "scale": 1}]}, "damaged replay .KeyError: 'O'"),
        ({"map": {"name": "3m", "width": 2, "height": 1, "terrain": ["<b"]}}, "terrain is not 1 rows of 2 cells"),
        ({"map": {"name": "3m", "width": 1, "height": 1, "terrain": ["."]}}, "KeyError: 'attack_point'"),
        ({"info": 3}, "damaged replay"),
    ],
)
def test_nonsense_in_the_header_is_refused(game, header, message):
    with pytest.raises(BattleError, match=message):
        parse_replay(changed(game, **header))


def test_unpacking_is_bounded(game, monkeypatch):
    monkeypatch.setattr("dizoo.smac.battle.recording.replay._MAX_BYTES", 1 << 20)
    bomb = b"dimix replay 1\n" + zlib.compress(bytes(10 << 20))
    with pytest.raises(BattleError, match="unpacks to more than 1 MiB"):
        parse_replay(bomb)


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 4000), byte=st.integers(0, 255))
def test_no_damaged_file_does_anything_but_report(game, cut, byte):
    raw = bytearray(replay_bytes(game.replay))
    raw[cut % len(raw)] = byte
    try:
        found = parse_replay(bytes(raw))
    except BattleError:
        return
    assert found.steps == game.replay.steps  # the byte was the same, or one that the checksum does not cover


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"q": np.zeros((1, 2, 3))}, "'q' has shape"),
        ({"fps": np.zeros(1)}, "array 'fps' is unknown"),
        ({"action_mask": np.zeros((1, 3, 9), np.float32)}, "'action_mask' is float32. It holds integers or flags"),
        ({"target": np.full((1, 6), 70000)}, "'target' holds 70000. Integers up to 32767"),
        ({"q_tot": None}, "'q_tot' holds nan. Only finite numbers"),
    ],
)
def test_refuses_to_write_what_it_could_not_read(game, arrays, message):
    arrays = {k: np.full(game.replay.steps, np.nan) if v is None else v for k, v in arrays.items()}
    rows = {"target": len(game.replay.arrays["target"]), "action_mask": game.replay.steps}
    arrays = {k: np.repeat(v, rows[k], 0) if k in rows else v for k, v in arrays.items()}
    with pytest.raises(BattleError, match=message):
        replay_bytes(Replay(game.replay.header, {**game.replay.arrays, **arrays}))


def test_targets_of_actions():
    """MMM: agents 0-2 are healers or fighters by type; a fighter's target j is enemy j, a healer's the ally j."""
    header = record("MMM", steps=160)[0].replay.header
    units = header["units"]
    healer = next(u["index"] for u in units if u["ally"] and u["healer"])
    fighter = next(u["index"] for u in units if u["ally"] and not u["healer"])
    assert target_unit(header, fighter, 5) is None
    hit = units[target_unit(header, fighter, 6 + 2)]
    assert not hit["ally"] and hit["index"] == 2
    healed = units[target_unit(header, healer, 6 + 1)]
    assert healed["ally"] and healed["index"] == 1
    assert target_unit(header, fighter, 6 + 50) is None
