"""Recorded games as pictures: a contact sheet for papers and issues, and films. Needs Pillow; MP4 also imageio."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dimix.errors import OutputError
from dizoo.smac.replay.scene import Scene

ALLY, ENEMY, HEAL = (78, 161, 255), (255, 107, 87), (91, 224, 138)
_BACK, _OPEN, _WALL, _INK, _TEXT = (18, 21, 26), (32, 38, 46), (61, 68, 80), (13, 16, 19), (232, 236, 241)
_CORNERS = {"square": 4, "triangle": 3, "diamond": 4, "hexagon": 6, "pentagon": 5, "star": 8}
_SHAPES = ("circle", "square", "triangle", "diamond", "hexagon", "star", "pentagon")
_HEAD = 38  # pixels above the field
FILM_FPS = 10
_END_S = 2.0


def contact_sheet(scenes: Sequence[Scene], out: Path, moments: int = 8, columns: int = 4, width: int = 400) -> None:
    """Draw ``moments`` of each game, first to last, into one .png picture, games one below another.

    ``width`` is that of one moment, in pixels.

    Raises:
        OutputError: Pillow is not installed.
    """
    image = _package("PIL.Image", out)
    tiles = []
    for scene in scenes:
        frames = np.linspace(0, scene.frames - 1, moments).astype(int)
        tiles.append([draw(scene, int(f), width) for f in frames])
    gap, rows = 6, [row[i : i + columns] for row in tiles for i in range(0, moments, columns)]
    height = sum(max(t.height for t in row) + gap for row in rows) + gap
    sheet = image.new("RGB", (columns * (width + gap) + gap, height), _BACK)
    y = gap
    for row in rows:
        for i, tile in enumerate(row):
            sheet.paste(tile, (gap + i * (width + gap), y))
        y += max(t.height for t in row) + gap
    sheet.save(out, optimize=True)


def film(scenes: Sequence[Scene], out: Path, width: int = 480) -> None:
    """Write the games, one after another, as a .gif or .mp4 at the game's pace; ``width`` in pixels.

    Raises:
        OutputError: a required package is not installed.
    """
    _package("PIL.Image", out)
    frames = [draw(scene, f, width) for scene in scenes for f in _film_frames(scene)]
    height = max(f.height for f in frames)
    frames = [_on_canvas(f, width, height) for f in frames]
    if out.suffix.lower() == ".mp4":
        writer = _package("imageio.v2", out)
        _package("imageio_ffmpeg", out)
        with writer.get_writer(out, fps=FILM_FPS, macro_block_size=2) as film_file:
            for frame in frames:
                film_file.append_data(np.asarray(frame))
        return
    small = [f.quantize(64, dither=0) for f in frames]
    small[0].save(out, save_all=True, append_images=small[1:], duration=1000 // FILM_FPS, loop=0, optimize=True)


def draw(scene: Scene, frame: int, width: int) -> Any:
    """Draw one frame of a game as a PIL image, ``width`` pixels wide; the height follows from the field."""
    image = importlib.import_module("PIL.Image")
    pen_of = importlib.import_module("PIL.ImageDraw")
    x0, y0, x1, y1 = scene.field()
    scale = width / (x1 - x0)
    picture = image.new("RGB", (width, _HEAD + max(60, round((y1 - y0) * scale))), _BACK)
    pen = pen_of.Draw(picture)
    view = _View(pen, scale, x0, y1)
    _terrain(scene, view)
    a = scene.replay.arrays
    for f, u in scene.deaths:
        if f <= frame:
            view.cross(a["x"][f, u], a["y"][f, u], _colour(scene, u), fresh=frame - f < 2 * scene.frames_per_step)
    for u in range(len(scene.units)):
        _shot(scene, view, frame, u)
    for u in range(len(scene.units)):
        if a["in_play"][frame, u]:
            _unit(scene, view, frame, u)
    _headline(scene, pen, frame, width)
    return picture


class _View:
    """Draws in units of cells."""

    def __init__(self, pen: Any, scale: float, left: float, top: float) -> None:
        self.pen, self.scale, self._left, self._top = pen, scale, left, top

    def at(self, x: float, y: float) -> tuple[float, float]:
        return (float(x) - self._left) * self.scale, _HEAD + (self._top - float(y)) * self.scale

    def cross(self, x: float, y: float, colour: tuple[int, int, int], fresh: bool) -> None:
        px, py = self.at(x, y)
        d = 4 if fresh else 3
        faded = colour if fresh else tuple(c // 2 for c in colour)
        for sign in (1, -1):
            self.pen.line((px - d, py - sign * d, px + d, py + sign * d), fill=faded, width=2)


def _terrain(scene: Scene, view: _View) -> None:
    board = scene.header["map"]
    for row, cells in enumerate(board["terrain"]):
        for x, cell in enumerate(cells):
            y = board["height"] - 1 - row
            left, top = view.at(x, y + 1)
            right, bottom = view.at(x + 1, y)
            if right > 0 and bottom > _HEAD:
                view.pen.rectangle((left, max(top, _HEAD), right, bottom), fill=_OPEN if cell == "." else _WALL)


def _shot(scene: Scene, view: _View, frame: int, u: int) -> None:
    a, hold = scene.replay.arrays, max(1, scene.frames_per_step // 2)
    for f in range(frame, max(frame - hold, -1), -1):
        victim = scene.victim[f, u]
        if victim >= 0 and victim != u:
            ends = (
                *view.at(a["x"][frame, u], a["y"][frame, u]),
                *view.at(a["x"][frame, victim], a["y"][frame, victim]),
            )
            colour = HEAL if scene.units[u]["healer"] else tuple((c + 255) // 2 for c in _colour(scene, u))
            view.pen.line(ends, fill=colour, width=2)
            return


def _unit(scene: Scene, view: _View, frame: int, u: int) -> None:
    a, unit = scene.replay.arrays, scene.units[u]
    x, y = view.at(a["x"][frame, u], a["y"][frame, u])
    r = max(5.0, max(float(unit["radius"]), 0.38) * view.scale)
    angle = -float(scene.facing[frame, u])
    _outline(view.pen, _shape(scene, u), x, y, r, angle, _colour(scene, u))
    nose = [
        (x + d * r * math.cos(angle + t), y + d * r * math.sin(angle + t))
        for d, t in ((1.3, 0), (0.9, 0.5), (0.9, -0.5))
    ]
    view.pen.polygon(nose, fill=(255, 255, 255))
    bars = [("hp", None)] + ([("shield", (143, 211, 255))] if unit["shield"] else [])
    for i, (name, own) in enumerate(bars):
        share = min(max(float(a[name][frame, u]) / unit[name], 0.0), 1.0)
        colour = own or (HEAL if share > 0.6 else (255, 209, 102) if share > 0.3 else (255, 80, 80))
        top, half = y - r - 6 - 4 * i, max(7.0, r)
        view.pen.rectangle((x - half, top, x + half, top + 2), fill=_INK)
        view.pen.rectangle((x - half, top, x - half + 2 * half * share, top + 2), fill=colour)


def _outline(pen: Any, shape: str, x: float, y: float, r: float, angle: float, colour: Any) -> None:
    if shape == "circle":
        pen.ellipse((x - r, y - r, x + r, y + r), fill=colour, outline=_INK)
        return
    if shape == "plus":
        w = r * 0.42
        pen.rectangle((x - w, y - r, x + w, y + r), fill=colour)
        pen.rectangle((x - r, y - w, x + r, y + w), fill=colour)
        return
    n = _CORNERS[shape]
    turn = {"square": math.pi / 4, "triangle": angle}.get(shape, 0.0)
    radius = [r * (0.5 if shape == "star" and i % 2 else 1.0) for i in range(n)]
    corners = [
        (x + d * math.cos(turn + i * math.tau / n), y + d * math.sin(turn + i * math.tau / n))
        for i, d in enumerate(radius)
    ]
    pen.polygon(corners, fill=colour, outline=_INK)


def _headline(scene: Scene, pen: Any, frame: int, width: int) -> None:
    at_end = frame == scene.frames - 1
    name = "".join(c if c.isprintable() else "?" for c in str(scene.header["map"]["name"]))[:40]
    pen.rectangle((0, 0, width, _HEAD - 1), fill=_BACK)
    pen.text((6, 3), f"{name}  {scene.seconds(frame):.1f} s", fill=_TEXT)
    if at_end:
        pen.text((width / 2, 3), scene.verdict().upper(), fill=ALLY if scene.replay.won else ENEMY)
    half = width / 2
    for side, colour in enumerate((ALLY, ENEMY)):
        share = float(scene.strength[frame, side])
        left = 6 if side == 0 else half + 3
        pen.rectangle((left, 20, left + half - 9, 25), fill=(42, 48, 58))
        pen.rectangle((left, 20, left + (half - 9) * share, 25), fill=colour)
        alive = int(scene.replay.arrays["in_play"][frame][scene.is_ally == (side == 0)].sum())
        pen.text((left, 26), f"{('allies', 'enemies')[side]} {alive}  health {share:.0%}", fill=colour)


def _shape(scene: Scene, u: int) -> str:
    types = list(dict.fromkeys(unit["type"] for unit in scene.units))
    return "plus" if scene.units[u]["healer"] else _SHAPES[types.index(scene.units[u]["type"]) % len(_SHAPES)]


def _colour(scene: Scene, u: int) -> tuple[int, int, int]:
    return ALLY if scene.is_ally[u] else ENEMY


def _film_frames(scene: Scene) -> list[int]:
    """Return the frames to show at the film's rate, with the last one held."""
    count = max(2, round(scene.seconds(scene.frames - 1) * FILM_FPS))
    last = scene.frames - 1
    return [*np.linspace(0, last, count).astype(int).tolist(), *([last] * round(_END_S * FILM_FPS))]


def _on_canvas(frame: Any, width: int, height: int) -> Any:
    canvas = importlib.import_module("PIL.Image").new("RGB", (width + width % 2, height + height % 2), _BACK)
    canvas.paste(frame, (0, 0))
    return canvas


def _package(name: str, out: Path) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise OutputError(
            f"{out}: {name.split('.')[0]} is not installed. Install it with: pip install 'dimix[replay]'; "
            "an .html file needs nothing."
        ) from error
