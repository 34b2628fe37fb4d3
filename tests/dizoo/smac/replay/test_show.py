"""Pictures, films, text, and what is said when something cannot be shown."""

import builtins
import re

import numpy as np
import pytest

from dimix.errors import EnvError, OutputError
from dizoo.smac.battle.replay import load_replay, save_replay
from dizoo.smac.replay import picture, show
from dizoo.smac.replay.scene import open_scene
from dizoo.smac.replay.terminal import step_text

image = pytest.importorskip("PIL.Image")


def test_text_of_the_start(replay_file):
    """MMM has 10 units a side at full health; every unit of the start is drawn where it stands alone in its cell."""
    scene = open_scene(replay_file)
    lines = step_text(scene, 0).splitlines()
    assert lines[0] == f"MMM  step 0 of {scene.replay.steps}  0.0 s"
    assert lines[1] == f"allies  [{'=' * 30}] 100%   enemies [{'=' * 30}] 100%"
    field = "".join(line for line in lines if line.startswith("|"))
    cells = {(int(x), int(y)) for x, y in zip(scene.replay.arrays["x"][0], scene.replay.arrays["y"][0], strict=True)}
    assert len(re.findall("[A-Za-z]", field)) == len(cells)
    assert lines[-1] == "q_tot 5.00"


def test_text_plays_every_step_and_tells_the_end(replay_file):
    shown = []
    show([replay_file], None, shown.append)
    scene = open_scene(replay_file)
    assert len(shown) == scene.replay.steps + 2
    assert shown[-1] == scene.story()
    died = sum(len(re.findall(r"died$", text, re.MULTILINE)) for text in shown)
    assert died == len(scene.deaths)


def test_names_cannot_steer_the_terminal(replay_file, tmp_path):
    replay = load_replay(replay_file)
    replay.header["map"]["name"] = "\x1b[31mred\a"
    save_replay(tmp_path / "a.replay", replay)
    text = step_text(open_scene(tmp_path / "a.replay"), 0)
    assert text.startswith("?[31mred?") and "\x1b" not in text


def test_picture_shows_the_sides(replay_file):
    """Blue on the left, red on the right, at the start of MMM; the bars on top are full."""
    scene = open_scene(replay_file)
    pixels = np.asarray(picture.draw(scene, 0, 400))
    field = pixels[picture._HEAD :]
    columns = {
        name: np.nonzero((field == colour).all(2))[1] for name, colour in (("a", picture.ALLY), ("e", picture.ENEMY))
    }
    assert min(map(len, columns.values())) > 200
    ally_x, enemy_x = (scene.replay.arrays["x"][0, s].mean() for s in (scene.is_ally, ~scene.is_ally))
    assert (columns["a"].mean() < columns["e"].mean()) == (ally_x < enemy_x)
    assert (pixels[22, 6:180] == picture.ALLY).all()


def test_contact_sheet_and_film(replay_file, tmp_path):
    said = []
    for name in ("sheet.png", "game.gif"):
        show([replay_file], tmp_path / name, said.append)
    assert [re.sub(r"\d+ kB", "", s.rsplit("/", 1)[1]) for s in said] == ["sheet.png: , 1 game", "game.gif: , 1 game"]
    with image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width == 4 * 406 + 6
    scene = open_scene(replay_file)
    with image.open(tmp_path / "game.gif") as film:
        total = 0
        for i in range(film.n_frames):
            film.seek(i)
            total += film.info["duration"]
    assert total / 1000 == pytest.approx(scene.seconds(scene.frames - 1) + 2.0, abs=0.15)


def test_mp4(replay_file, tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    show([replay_file], tmp_path / "game.mp4", lambda text: None)
    assert (tmp_path / "game.mp4").read_bytes()[4:8] == b"ftyp"


def test_missing_package_is_named(replay_file, tmp_path, monkeypatch):
    real = builtins.__import__
    monkeypatch.setattr(picture.importlib, "import_module", lambda name: real("no_such_package_of_ours"))
    with pytest.raises(OutputError, match=r"PIL is not installed. Install it with: pip install 'dimix\[replay\]'"):
        show([replay_file], tmp_path / "a.png", print)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.replay", b"hello", "a.replay: not a replay"),
        ("a.npz", b"hello", "a.npz: not a readable trace"),
        ("a.replay", None, "a.replay: cannot be read"),
    ],
)
def test_files_that_cannot_be_shown(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(EnvError, match=message):
        show([tmp_path / name], tmp_path / "a.html", print)


def test_output_that_cannot_be_written(replay_file, tmp_path):
    for name in ("a.html", "a.png"):
        with pytest.raises(OutputError, match=f"nowhere/{name}: cannot be written .No such file or directory"):
            show([replay_file], tmp_path / "nowhere" / name, print)
