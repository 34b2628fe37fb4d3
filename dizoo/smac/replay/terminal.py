"""Playing a recorded game in the terminal, for those on a cluster."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from dizoo.smac.battle.maps import unit_letters
from dizoo.smac.replay.scene import STEP_S, Scene

_BAR = 30
_CLEAR = "\x1b[2J\x1b[H"


def play(scene: Scene, write: Callable[[str], None] = print, speed: float = 4.0) -> None:
    """Show a game step by step.

    On a terminal each step replaces the one before, at `speed` times the game's pace; elsewhere the steps follow each
    other without a pause.

    Args:
        scene: the game.
        write: takes each step's text.
        speed: seconds of the game per second.
    """
    moving = write is print and sys.stdout.isatty()
    for step in range(scene.replay.steps + 1):
        write((_CLEAR if moving else "") + step_text(scene, step))
        if moving:
            time.sleep(STEP_S / speed)
    write(_plain(scene.story()))


def step_text(scene: Scene, step: int) -> str:
    """One moment as text: title, both sides' health, the field, who died since the step before.

    Args:
        scene: the game.
        step: steps since the start; the number of steps is the end.
    """
    frame = step * scene.frames_per_step
    ours, theirs = scene.strength[frame]
    lines = [
        f"{scene.header['map']['name']}  step {step} of {scene.replay.steps}  {scene.seconds(frame):.1f} s",
        f"allies  {_bar(ours)}   enemies {_bar(theirs)}",
        *_field(scene, frame),
    ]
    before = frame - scene.frames_per_step
    lines += [f"{scene.unit_name(u)} died" for f, u in scene.deaths if before < f <= frame]
    if step < scene.replay.steps and "q_tot" in scene.replay.arrays:
        lines.append(f"q_tot {scene.replay.arrays['q_tot'][step]:.2f}")
    return "\n".join(_plain(line) for line in lines)


def _field(scene: Scene, frame: int) -> list[str]:
    """The part of the map where the game was: allies in capitals, enemies small, ``x`` where a unit fell lately."""
    a, board = scene.replay.arrays, scene.header["map"]
    letters = unit_letters(list(dict.fromkeys(u["type"] for u in scene.units)))
    rows = [list(row.replace(".", " ")) for row in board["terrain"]]
    cells = {u: (int(a["x"][frame, u]), board["height"] - 1 - int(a["y"][frame, u])) for u in range(len(scene.units))}
    recent = [u for f, u in scene.deaths if frame - 2 * scene.frames_per_step < f <= frame]
    marks = [(u, "x") for u in recent]
    for u in range(len(scene.units) - 1, -1, -1):
        if a["in_play"][frame, u]:
            letter = letters[scene.units[u]["type"]]
            marks.append((u, letter if scene.is_ally[u] else letter.lower()))
    for u, mark in marks:
        x, y = cells[u]
        if 0 <= x < board["width"] and 0 <= y < board["height"]:
            rows[y][x] = mark
    x0, y0, x1, y1 = (int(v) for v in scene.field())
    shown = [row[x0 : x1 + 1] for row in rows[max(board["height"] - 1 - y1, 0) : board["height"] - y0]]
    edge = "+" + "-" * (len(shown[0]) if shown else 0) + "+"
    return [edge, *("|" + "".join(row) + "|" for row in shown), edge]


def _bar(share: float) -> str:
    full = round(_BAR * float(share))
    return f"[{'=' * full}{' ' * (_BAR - full)}] {share:4.0%}"


def _plain(text: str) -> str:
    """Without control characters: a name in a file cannot steer the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
