"""Pictures, films, text, and what is said when something cannot be shown."""

import builtins
import io
import re
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dimix.errors import EnvError, OutputError
from dizoo.smac.battle.maps.command import draw
from dizoo.smac.battle.maps.command import show as show_map
from dizoo.smac.battle.maps.scenario import load_scenario
from dizoo.smac.battle.recording.replay import load_replay, save_replay
from dizoo.smac.replay import picture, show, terminal
from dizoo.smac.replay.scene import open_scene
from dizoo.smac.replay.terminal import legend_text, step_text

image = pytest.importorskip("PIL.Image")


def test_text_of_the_start(replay_file):
    """MMM has 10 units a side at full health; every unit of the start is drawn where it stands alone in its cell."""
    scene = open_scene(replay_file)
    lines = step_text(scene, 0).splitlines()
    assert lines[0] == f"MMM  step 0 of {scene.replay.steps}  0.0 s"
    assert lines[1] == f"allies  [{'=' * 20}] 100%   enemies [{'=' * 20}] 100%"
    field = "".join(line for line in lines if line.startswith("|"))
    cells = {(int(x), int(y)) for x, y in zip(scene.replay.arrays["x"][0], scene.replay.arrays["y"][0], strict=True)}
    assert len(re.findall("[A-Za-z]", field)) == len(cells)
    assert lines[-1] == "q_tot 5.00"


def test_text_plays_every_step_and_tells_the_end(replay_file):
    shown = []
    show([replay_file], None, shown.append)
    scene = open_scene(replay_file)
    assert len(shown) == scene.replay.steps + 3
    assert shown[0] == legend_text(scene)
    assert shown[-1] == scene.story()
    died = sum(len(re.findall(r"died$", text, re.MULTILINE)) for text in shown)
    assert died == len(scene.deaths)


def test_text_draws_as_the_map_is_drawn(replay_file):
    """The start of MMM: the field is a part of what ``maps show`` draws, with the same letters and legend."""
    scene = open_scene(replay_file)
    field = [line[1:-1] for line in step_text(scene, 0).splitlines() if line.startswith("|")]
    mmm = load_scenario("MMM")
    drawn = [line[4:] for line in draw(mmm, [mmm.types[t] for t in mmm.unit_type], mmm.start_pos).splitlines()]
    left = int(scene.field()[0])
    assert "\n".join(field) in "\n".join(row[left : left + len(field[0])] for row in drawn)
    legend = next(line for line in show_map("MMM", "smaclite").splitlines() if "allies in capitals" in line)
    assert legend.startswith("M medivac, A marine, R marauder; ")
    assert legend_text(scene).startswith(legend)


class Terminal(io.StringIO):
    """A screen that knows only ASCII."""

    encoding = "ascii"

    def isatty(self):
        return True


def play_on(screen, monkeypatch, replay_file, **environment):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", screen)
        patch.setattr(terminal.time, "sleep", lambda seconds: None)
        for name, value in environment.items():
            patch.setenv(name, value)
        show([replay_file], None)
    return screen.getvalue()


def test_each_step_fits_the_terminal(replay_file, monkeypatch):
    """A standard screen of 80 x 24 holds every step of MMM but for ten deaths at once; a small one its part."""
    for columns, lines in ((80, 24), (30, 18)):
        text = play_on(
            Terminal(), monkeypatch, replay_file, TERM="xterm", COLUMNS=str(columns), LINES=str(lines), NO_COLOR="1"
        )
        steps = text.split("\x1b[2J\x1b[H")[1:]
        assert len(steps) == open_scene(replay_file).replay.steps + 1
        fields = [[line for line in step.splitlines() if line[0] in "|+"] for step in steps]
        assert max(len(line) for field in fields for line in field) < columns
        assert max(len(field) for field in fields) <= lines - 10
        assert "\x1b[" not in "".join(steps)  # no colours


def test_other_outputs_get_no_control_characters(replay_file, monkeypatch):
    assert "\x1b" not in play_on(Terminal(), monkeypatch, replay_file, TERM="dumb")
    pipe = io.StringIO()
    assert "\x1b" not in play_on(pipe, monkeypatch, replay_file, TERM="xterm") and "allies" in pipe.getvalue()


def test_names_that_the_terminal_lacks_do_not_stop_it(replay_file, monkeypatch, tmp_path):
    replay = load_replay(replay_file)
    replay.header["map"]["name"] = "caf\u00e9"
    save_replay(tmp_path / "a.replay", replay)
    assert "caf?  step 0" in play_on(Terminal(), monkeypatch, tmp_path / "a.replay", TERM="dumb")


@given(st.integers(0, 40), st.integers(1, 60), st.integers(-5, 70), st.lists(st.floats(0, 100), max_size=5))
def test_part_of_a_row_is_inside_it_and_as_long_as_there_is_room(start, length, room, places):
    part = terminal._around(slice(start, start + length), np.array(places), room)
    assert start <= part.start <= part.stop <= start + length
    assert part.stop - part.start == min(max(room, 1), length)
    inside = [p for p in places if start + room / 2 <= p <= start + length - room / 2]
    if places and inside == places and max(places) - min(places) < room - 2:
        assert all(part.start <= int(p) < part.stop for p in places)


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
        ("a.replay", b"", "a.replay: empty file. Copy or record it again."),
        ("a.replay", b"dimix replay 3\nx", "version 3. This dimix reads versions 1 and 2. Show it with the dimix"),
        ("a.npz", b"hello", "a.npz: not a readable trace"),
        ("a.replay", None, "a.replay: cannot be read"),
    ],
)
def test_files_that_cannot_be_shown(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(EnvError, match=message):
        show([tmp_path / name], tmp_path / "a.html", print)


def test_a_folder_is_no_game(tmp_path):
    with pytest.raises(EnvError, match=rf"{tmp_path.name}: a folder. Give the games in it: .*/\*.replay"):
        show([tmp_path], tmp_path / "a.html", print)


def test_output_that_cannot_be_written(replay_file, tmp_path):
    for name in ("a.html", "a.png"):
        with pytest.raises(OutputError, match=f"nowhere/{name}: cannot be written .No such file or directory"):
            show([replay_file], tmp_path / "nowhere" / name, print)
