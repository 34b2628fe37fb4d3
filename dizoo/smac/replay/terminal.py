"""Plays a recorded game in the terminal, for instance on a cluster: plain characters, no colours."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable

import numpy as np

from dizoo.smac.battle.maps.command import legend, unit_letters
from dizoo.smac.replay.scene import STEP_S, Scene

_BAR = 20
_CLEAR = "\x1b[2J\x1b[H"
_AROUND = 12  # lines of a screen around the field: title, bars, edges, deaths, legend


def play(scene: Scene, write: Callable[[str], None] = print, speed: float = 4.0) -> None:
    """Show a game step by step.

    On a terminal, each step replaces the one before, at `speed` times the game's pace, with as much of the field as
    fits. Elsewhere the steps follow each other without a pause, complete and without control characters.

    Args:
        scene: the game.
        write: called with each step's text.
        speed: seconds of the game per second.
    """
    moving = write is print and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    if not moving:
        write(_plain(legend_text(scene)))
    for step in range(scene.replay.steps + 1):
        if moving:
            columns, lines = shutil.get_terminal_size()
            room = columns - 3, lines - _AROUND
            write(f"{_CLEAR}{step_text(scene, step, room)}\n{_plain(legend_text(scene))}")
            time.sleep(STEP_S / speed)
        else:
            write(step_text(scene, step))
    write(_plain(scene.story()))


def legend_text(scene: Scene) -> str:
    """Explain the marks of `step_text`."""
    return f"{legend(_letters(scene))}, x just fell\n[=====] health and shields left, of all of a side's units"


def step_text(scene: Scene, step: int, room: tuple[int, int] | None = None) -> str:
    """Return one moment as text: title, both sides' health, the field, units that died since the step before.

    Args:
        scene: the game.
        step: steps since the start; the number of steps is the end.
        room: columns and lines available for the field; of a larger field, the part around the living is shown. None
            shows all.
    """
    frame = step * scene.frames_per_step
    ours, theirs = scene.strength[frame]
    lines = [
        f"{scene.header['map']['name']}  step {step} of {scene.replay.steps}  {scene.seconds(frame):.1f} s",
        f"allies  {_bar(ours)}   enemies {_bar(theirs)}",
        *_field(scene, frame, room),
    ]
    before = frame - scene.frames_per_step
    lines += [f"{scene.unit_name(u)} died" for f, u in scene.deaths if before < f <= frame]
    if step < scene.replay.steps and "q_tot" in scene.replay.arrays:
        lines.append(f"q_tot {scene.replay.arrays['q_tot'][step]:.2f}")
    return "\n".join(_plain(line) for line in lines)


def _letters(scene: Scene) -> dict[str, str]:
    return unit_letters(list(dict.fromkeys(u["type"] for u in scene.units)))


def _field(scene: Scene, frame: int, room: tuple[int, int] | None) -> list[str]:
    a, board = scene.replay.arrays, scene.header["map"]
    rows = _marked(scene, frame)
    x0, y0, x1, y1 = (int(v) for v in scene.field())
    columns, lines = slice(x0, x1 + 1), slice(max(board["height"] - 1 - y1, 0), board["height"] - y0)
    if room is not None:
        alive = a["in_play"][frame].astype(bool)
        columns = _around(columns, a["x"][frame, alive], room[0])
        lines = _around(lines, board["height"] - 1 - a["y"][frame, alive], room[1])
    shown = ["".join(row[columns]) for row in rows[lines]]
    edge = "+" + "-" * (len(shown[0]) if shown else 0) + "+"
    return [edge, *(f"|{row}|" for row in shown), edge]


def _marked(scene: Scene, frame: int) -> list[list[str]]:
    """Return the map's cells, top row first, drawn as in ``dizoo.smac.battle.maps``, with ``x`` for recent deaths."""
    a, board, letters = scene.replay.arrays, scene.header["map"], _letters(scene)
    width, height = board["width"], board["height"]
    rows = [list(row) for row in board["terrain"]]

    def mark(x: float, y: float, sign: str) -> None:
        if 0 <= x < width and 0 <= y < height:
            rows[height - 1 - int(y)][int(x)] = sign

    mark(board["attack_point"][0], board["attack_point"][1], "*")
    for died, u in scene.deaths:
        if frame - 2 * scene.frames_per_step < died <= frame:
            mark(a["x"][frame, u], a["y"][frame, u], "x")
    for u in np.flatnonzero(a["in_play"][frame])[::-1]:
        letter = letters[scene.units[u]["type"]]
        mark(a["x"][frame, u], a["y"][frame, u], letter if scene.is_ally[u] else letter.lower())
    return rows


def _around(cells: slice, places: np.ndarray, room: int) -> slice:
    """Cut a row of cells to the available room, centred on the places."""
    room = max(room, 1)
    if cells.stop - cells.start <= room or not len(places):
        return slice(cells.start, min(cells.stop, cells.start + room))
    low = round(float(places.min() + places.max() - room) / 2)
    low = min(max(low, cells.start), cells.stop - room)
    return slice(low, low + room)


def _bar(share: float) -> str:
    full = round(_BAR * float(share))
    return f"[{'=' * full}{' ' * (_BAR - full)}] {share:4.0%}"


def _plain(text: str) -> str:
    """Remove control characters and what the terminal cannot show, so a name in a file cannot control it."""
    encoding = sys.stdout.encoding or "ascii"
    text = "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
    return text.encode(encoding, "replace").decode(encoding)
