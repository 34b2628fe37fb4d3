"""What is worked out about a recorded game: shots, facing, health, deaths, words."""

import math

import numpy as np
import pytest

from dizoo.smac.battle.errors import BattleError
from dizoo.smac.battle.recording.replay import Replay, load_replay, save_replay
from dizoo.smac.replay.scene import Scene, open_scene, open_scenes


def unit(kind, ally, index, **more):
    return {
        "type": kind, "ally": ally, "index": index, "hp": 100.0, "shield": 0.0, "energy": 0.0, "range": 5.0,
        "radius": 0.4, "blast": 0.0, "healer": False, **more,
    }  # fmt: skip


@pytest.fixture
def duel():
    """Agent 0 fires at the enemy, agent 1 heals agent 0, the enemy walks north and dies. One step of 4 frames."""
    zeros = np.zeros((5, 3), np.float32)
    arrays = {name: zeros.copy() for name in ("x", "y", "hp", "shield", "energy", "cooldown")}
    arrays["x"][:] = [0, 1, 10]
    arrays["y"][:, 2] = [0, 1, 2, 3, 3]
    arrays["hp"][:] = [[50, 100, 100], [52, 100, 60], [54, 100, 20], [54, 100, 0], [54, 100, 0]]
    arrays["energy"][:, 1] = [50, 49, 48, 48.035, 48.07]
    arrays["cooldown"][:, 0] = [0, 0.6, 0.475, 0.6, 0.475]  # waiting takes 0.125 s off a frame: fired twice
    arrays["target"] = np.array([[-1, -1, -1], [2, 0, -1], [2, 0, -1], [-1, 0, -1], [-1, 0, -1]], np.int16)
    arrays["in_play"] = np.array([[1, 1, 1], [1, 1, 1], [1, 1, 1], [1, 1, 0], [1, 1, 0]], np.uint8)
    arrays |= {"action": np.array([[6, 6]]), "reward": np.ones(1, np.float32)}
    header = {
        "frames_per_step": 4,
        "units": [
            unit("MARINE", True, 0),
            unit("MEDIVAC", True, 1, healer=True, energy=200.0),
            unit("ZEALOT", False, 0),
        ],
        "outcome": {"won": True, "truncated": False, "return": 20.0, "steps": 1},
        "map": {"name": "duel", "width": 32, "height": 32, "terrain": ["." * 32] * 32},
        "action_names": ["no-op", "stop", "north", "south", "east", "west", "target 0"],
    }
    return Scene(Replay(header, arrays), "duel")


def test_who_used_a_weapon_on_whom(duel):
    assert duel.victim.tolist() == [
        [-1, -1, -1],
        [2, 0, -1],
        [-1, 0, -1],
        [2, -1, -1],  # its last shot killed, so the target is the one of the frame before
        [-1, -1, -1],
    ]


def test_facing_follows_shots_then_moves_then_stays(duel):
    """The marine at (0, 0) fires at the zealot at (10, 1) and (10, 3), which walks north."""
    facing = duel.facing
    assert facing[0].tolist() == pytest.approx([0, 0, math.pi])
    assert facing[1].tolist() == pytest.approx([math.atan2(1, 10), math.pi, math.pi / 2])
    assert facing[3, 0] == pytest.approx(math.atan2(3, 10))
    assert facing[4].tolist() == pytest.approx([math.atan2(3, 10), math.pi, math.pi / 2])


def test_strength_counts_the_living_against_full_health(duel):
    np.testing.assert_allclose(duel.strength[:, 0], [0.75, 0.76, 0.77, 0.77, 0.77])
    np.testing.assert_allclose(duel.strength[:, 1], [1, 0.6, 0.2, 0, 0])


def test_words(duel):
    assert duel.deaths == [(3, 2)]
    assert duel.unit_name(2) == "enemy 0 (zealot)"
    assert duel.action_name(0, 6) == "attack enemy 0 (zealot)"
    assert duel.action_name(1, 6) == "heal agent 0 (marine)"
    assert duel.action_name(1, 3) == "south"
    assert duel.story() == (
        "allies won after 0.5 s (1 steps): 2 of 2 allies alive with 77% of their health, 0 of 1 enemies with 0%; "
        "return 20.00"
    )


@pytest.mark.parametrize(("truncated", "words"), [(True, "time ran out"), (False, "allies lost")])
def test_verdict_without_a_win(duel, truncated, words):
    duel.header["outcome"] |= {"won": False, "truncated": truncated}
    assert duel.verdict() == words


def test_field_holds_all_that_was_in_play(duel):
    assert duel.field() == (0.0, 0.0, 12.5, 4.5)


def test_games_of_one_map_show_the_same_part_of_it(replay_file, tmp_path):
    """MMM from two games: the smallest box around both; the same game alone keeps its own."""
    replay = load_replay(replay_file)
    replay.arrays["x"] = replay.arrays["x"] * 0.5 + 2
    save_replay(tmp_path / "moved.replay", replay)
    other = load_replay(replay_file)
    other.header["map"]["name"] = "elsewhere"
    save_replay(tmp_path / "elsewhere.replay", other)
    files = [replay_file, tmp_path / "moved.replay", tmp_path / "elsewhere.replay"]
    alone = [open_scene(f).field() for f in files]
    first, moved, elsewhere = (scene.field() for scene in open_scenes(files))
    assert first == moved != alone[1]
    assert first == (
        min(alone[0][0], alone[1][0]), min(alone[0][1], alone[1][1]), max(alone[0][2], alone[1][2]),
        max(alone[0][3], alone[1][3]),
    )  # fmt: skip
    assert elsewhere == alone[2]


def test_types_have_names_in_old_files_too(replay_file):
    """Older files say ``own.type0``; MMM has Marauder, Marine, Medivac in this order."""
    scene = open_scene(replay_file)
    new = scene.header["obs_names"]
    assert [n for n in new if n.startswith("own.is_")] == ["own.is_marauder", "own.is_marine", "own.is_medivac"]
    assert scene.obs_names() == new
    places = {"is_marauder": "type0", "is_marine": "type1", "is_medivac": "type2"}
    scene.header["obs_names"] = [".".join(places.get(part, part) for part in name.split(".")) for name in new]
    assert "enemy3.type1" in scene.header["obs_names"]
    assert scene.obs_names() == new


def test_a_place_that_nobody_saw_keeps_its_number(replay_file):
    scene = open_scene(replay_file)
    names = scene.header["obs_names"]
    at = names.index("own.is_medivac")
    scene.header["obs_names"] = [*names[:at], "own.type2"]
    scene.replay.arrays["obs"][..., at] = 0
    assert scene.obs_names()[at] == "own.type2"


def test_trace_opens_as_a_game(trace_file):
    """Against the trace's own arrays: ticks 7, 15, ... are the steps."""
    scene = open_scene(trace_file)
    with np.load(trace_file) as trace:
        np.testing.assert_array_equal(scene.replay.arrays["hp"][::8], trace["h_hp"].astype(np.float32))
        np.testing.assert_array_equal(scene.replay.arrays["x"][1:], trace["tick_pos"][..., 0])
        assert scene.replay.steps == len(trace["reward"])
        assert scene.verdict() == "allies lost"
        fired = trace["tick_fire"] & (
            trace["tick_cooldown"] > np.r_[trace["h_cooldown"][:1], trace["tick_cooldown"][:-1]]
        )
    # a shot found from the cooldown is one that the reference was ready to fire; healers have no cooldown
    fighters = np.array([not u["healer"] for u in scene.units])
    found = (scene.victim[1:] >= 0) & fighters
    assert found.sum() > 100
    np.testing.assert_array_equal(found, fired & fighters & (scene.victim[1:] >= 0))
    assert (fired & fighters).sum() == found.sum()


def test_trace_without_ticks(tmp_path, trace_file):
    with np.load(trace_file) as trace:
        np.savez(
            tmp_path / "mmm.npz", **{k: v for k, v in trace.items() if not k.startswith("tick_") or k == "tick_reward"}
        )
    coarse, fine = open_scene(tmp_path / "mmm.npz"), open_scene(trace_file)
    assert coarse.frames == coarse.replay.steps + 1
    np.testing.assert_array_equal(coarse.replay.arrays["x"], fine.replay.arrays["x"][::8])
    assert coarse.deaths == [
        (math.ceil(f / 8), u) for f, u in sorted(fine.deaths, key=lambda d: (math.ceil(d[0] / 8), d[1]))
    ]


def test_trace_of_an_unknown_map_is_refused(tmp_path, trace_file):
    with np.load(trace_file) as trace:
        arrays = dict(trace)
    arrays["meta"] = np.array(str(arrays["meta"]).replace('"mmm"', '"atlantis"'))
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(BattleError, match="its map 'atlantis' is not a shipped one"):
        open_scene(tmp_path / "t.npz")
