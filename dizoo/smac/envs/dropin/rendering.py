"""Pictures of a running battle for the drop-in environments, drawn like recorded games."""

from __future__ import annotations

import importlib.util
import time
from typing import Any

import numpy as np

from dizoo.smac.battle import BattleEngine
from dizoo.smac.battle.errors import BattleError
from dizoo.smac.battle.maps.rules import TICKS_PER_SECOND, TICKS_PER_STEP
from dizoo.smac.battle.recording.replay import Replay, describe
from dizoo.smac.envs.dropin.single_battle import SingleBattle

RENDER_MODES = ["ansi", "rgb_array", "human"]
RENDER_FPS = TICKS_PER_SECOND // TICKS_PER_STEP
"""Steps per second at the game's pace."""

_WIDTH = 640  # pixels


class Renderer:
    """Implements an environment's ``render_mode``.

    Args:
        battle: the battle.
        mode: None; ``"ansi"`` (text); ``"rgb_array"`` (needs Pillow, no display); ``"human"`` (a window, at the game's
            pace).

    Raises:
        ValueError: no such mode.
        ModuleNotFoundError: Pillow is not installed.
        BattleError: there is no display for a window.
    """

    def __init__(self, battle: SingleBattle, mode: str | None) -> None:
        if mode is not None and mode not in RENDER_MODES:
            raise ValueError(f"render_mode is {mode!r}. It is None or one of {', '.join(map(repr, RENDER_MODES))}.")
        if mode in ("rgb_array", "human") and importlib.util.find_spec("PIL") is None:
            raise ModuleNotFoundError(
                f"render_mode='{mode}' needs Pillow, which is not installed. Install it with: "
                "pip install 'dimix[replay]'",
                name="PIL",
            )
        self._battle = battle
        self._mode = mode
        self._film = _Film(battle.engine) if mode in ("rgb_array", "human") else None
        self._window = _Window(f"dimix {battle.scenario.name}") if mode == "human" else None

    def show(self) -> None:
        """Update the window after a reset or a step: show what happened since, tick by tick."""
        if self._film is None or self._window is None:
            return
        scene = self._film.scene()
        for back in range(min(TICKS_PER_STEP, scene.frames) - 1, -1, -1):
            self._window.show(_pixels(scene, scene.frames - 1 - back))

    def render(self) -> str | np.ndarray | None:
        """Return text, or (H, W, 3) uint8, or None, depending on the mode."""
        if self._mode == "ansi":
            return self._battle.text()
        if self._film is None:
            return None
        scene = self._film.scene()
        pixels = _pixels(scene, scene.frames - 1)
        if self._window is None:
            return pixels
        self._window.show(pixels)
        return None

    def close(self) -> None:
        """Close the window; closing twice is fine."""
        if self._window is not None:
            self._window.close()


class _Film:
    """The running episode of an engine's first battle as a scene."""

    def __init__(self, engine: BattleEngine) -> None:
        self._engine = engine
        self._frames = engine.film(1)

    def scene(self) -> Any:
        """The episode so far; the last frame is the present."""
        from dizoo.smac.replay.scene import Scene

        engine = self._engine
        steps = int(engine.episode_length[0])
        if not steps:  # the engine records only steps
            for name in self._frames.dtype.names or ():
                self._frames[name][0, 0] = engine.units[name][0]
        frames = self._frames[0, : TICKS_PER_STEP * steps + 1]
        truncated = bool(engine.truncated[0])
        outcome = {
            "won": bool(engine.battle_won[0]),
            "truncated": truncated,
            "over": truncated or bool(engine.terminated[0]),
            "steps": steps,
        }
        arrays = {name: frames[name] for name in frames.dtype.names or ()}
        whole_map = (0.0, 0.0, float(engine.scenario.width), float(engine.scenario.height))
        header = {**describe(engine.scenario, engine.lineup(0)), "frames_per_step": TICKS_PER_STEP, "outcome": outcome}
        return Scene(Replay(header, arrays), engine.scenario.name, whole_map)


class _Window:
    """A window that shows pictures, at most one per tick."""

    def __init__(self, title: str) -> None:
        try:
            import tkinter
        except ImportError as e:
            raise BattleError(
                f"render_mode='human' needs tkinter, which this Python lacks ({e}; Debian: python3-tk). "
                "render_mode='rgb_array' needs none."
            ) from e
        self._tk: Any = tkinter
        self._next = 0.0
        try:
            self._root: Any = tkinter.Tk()
        except tkinter.TclError as e:
            raise BattleError(f"render_mode='human': {e}. Use render_mode='rgb_array', which needs no display.") from e
        self._root.title(title)
        self._root.resizable(False, False)
        self._root.protocol("WM_DELETE_WINDOW", self.close)
        self._label = tkinter.Label(self._root, borderwidth=0)
        self._label.pack()
        self._picture: Any = None

    def show(self, pixels: np.ndarray) -> None:
        """Show (H, W, 3) uint8; does nothing once the window is closed."""
        if self._root is None:
            return
        time.sleep(max(0.0, min(self._next - time.monotonic(), 1.0 / TICKS_PER_SECOND)))
        self._next = time.monotonic() + 1.0 / TICKS_PER_SECOND
        height, width, _ = pixels.shape
        content = f"P6 {width} {height} 255 ".encode() + pixels.tobytes()
        self._picture = self._tk.PhotoImage(master=self._root, data=content, format="PPM")
        self._label.configure(image=self._picture)
        self._root.update()

    def close(self) -> None:
        if self._root is not None:
            self._root.destroy()
            self._root = None


def _pixels(scene: Any, frame: int) -> np.ndarray:
    from dizoo.smac.replay.picture import draw

    return np.asarray(draw(scene, frame, _WIDTH))
