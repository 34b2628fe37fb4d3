"""A recorded game with what every viewer needs: who fires at whom, where units look, how the teams stand."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dizoo.smac.battle.kernels.state import Array
from dizoo.smac.battle.maps.rules import TICKS_PER_SECOND, TICKS_PER_STEP
from dizoo.smac.battle.recording.replay import Replay, describe, load_replay, target_unit
from dizoo.smac.battle.recording.trace import load_trace

STEP_S = TICKS_PER_STEP / TICKS_PER_SECOND
MARGIN = 2.5  # cells around the fighting that are shown

ALLY, ENEMY = 0, 1

Box = tuple[float, float, float, float]
"""A part of a map: x0, y0, x1, y1 in cells."""

_SLOT = re.compile(r"(own|other_ally|enemy)(\d*)\.type(\d+)")


@dataclass(frozen=True)
class Scene:
    """One game. F frames, U units; the last frame is the end.

    Attributes:
        replay: the recording.
        source: file name, for titles.
        shown: the part of the map to show; None: where the game was.
    """

    replay: Replay
    source: str
    shown: Box | None = None

    @property
    def header(self) -> dict[str, Any]:
        """The replay's header."""
        return self.replay.header

    @property
    def units(self) -> list[dict[str, Any]]:
        """Fixed properties of each unit."""
        return self.header["units"]

    @property
    def frames_per_step(self) -> int:
        """Number of frames between two decisions."""
        return int(self.header["frames_per_step"])

    @property
    def frames(self) -> int:
        """Number of frames F."""
        return len(self.replay.arrays["x"])

    def seconds(self, frame: int) -> float:
        """Time of a frame since the start."""
        return frame / self.frames_per_step * STEP_S

    @cached_property
    def is_ally(self) -> Array:
        """(U,) bool."""
        return np.array([u["ally"] for u in self.units])

    @cached_property
    def victim(self) -> Array:
        """(F, U) int16: the unit that each unit used its weapon on since the frame before; -1 for none.

        A weapon was used if its cooldown is longer than waiting would have left it, or, for healers, if energy fell.
        Units killed before their turn did not even wait.
        """
        a = self.replay.arrays
        waited = np.maximum(a["cooldown"][:-1] - STEP_S / self.frames_per_step, 0.0)
        used = a["cooldown"][1:] > np.where(a["in_play"][1:], waited, a["cooldown"][:-1]) + 0.01
        healer = np.array([u["healer"] for u in self.units])
        used = np.where(healer, a["energy"][1:] < a["energy"][:-1] - 0.005, used)
        used &= a["in_play"][:-1].astype(bool)
        target = np.where(a["target"][1:] >= 0, a["target"][1:], a["target"][:-1])
        found = np.full(a["target"].shape, -1, np.int16)
        found[1:] = np.where(used, target, -1)
        return found

    @cached_property
    def facing(self) -> Array:
        """(F, U) float32 radians, 0 = east, counterclockwise: towards the victim, else the direction of movement."""
        a = self.replay.arrays
        x, y = a["x"].astype(np.float64), a["y"].astype(np.float64)
        out = np.empty(x.shape, np.float32)
        now = np.where(self.is_ally, 0.0, math.pi)
        if x[0, self.is_ally].mean() > x[0, ~self.is_ally].mean():
            now = math.pi - now
        columns = np.arange(x.shape[1])
        for f in range(len(x)):
            dx, dy = (x[f] - x[f - 1], y[f] - y[f - 1]) if f else (0 * now, 0 * now)
            aimed = self.victim[f] >= 0
            other = np.where(aimed, self.victim[f], columns)
            dx, dy = np.where(aimed, x[f, other] - x[f], dx), np.where(aimed, y[f, other] - y[f], dy)
            now = np.where(np.hypot(dx, dy) > 0.01, np.arctan2(dy, dx), now)
            out[f] = now
        return out

    @cached_property
    def strength(self) -> Array:
        """(F, 2) float32: hit points and shields of each side's living units, as a share of the side's total."""
        a = self.replay.arrays
        full = np.array([u["hp"] + u["shield"] for u in self.units])
        points = (a["hp"] + a["shield"]) * a["in_play"]
        sides = [points[:, side].sum(1) / full[side].sum() for side in (self.is_ally, ~self.is_ally)]
        return np.stack(sides, 1).astype(np.float32)

    @cached_property
    def deaths(self) -> list[tuple[int, int]]:
        """(frame, unit) of every unit that left play, in order; the frame is the first without it."""
        alive = self.replay.arrays["in_play"].astype(bool)
        gone = alive[:-1] & ~alive[1:]
        return [(int(f) + 1, int(u)) for f, u in zip(*np.nonzero(gone), strict=True)]

    def unit_name(self, unit: int) -> str:
        """Readable name: ``agent 3 (marine)``, ``enemy 0 (zealot)``."""
        u = self.units[unit]
        return f"{'agent' if u['ally'] else 'enemy'} {u['index']} ({u['type'].lower().replace('_', ' ')})"

    def action_name(self, agent: int, action: int) -> str:
        """Readable name: ``north``, ``attack enemy 2 (zealot)``, ``heal agent 1 (marine)``."""
        unit = target_unit(self.header, agent, action)
        if unit is None:
            names = self.header["action_names"]
            return names[action] if action < len(names) else str(action)
        return f"{'heal' if self.units[unit]['ally'] else 'attack'} {self.unit_name(unit)}"

    def verdict(self) -> str:
        """The result in a few words; empty while the game is running."""
        outcome = self.header["outcome"]
        if not outcome.get("over", True):
            return ""
        if outcome["won"]:
            return "allies won"
        return "time ran out" if outcome["truncated"] else "allies lost"

    def story(self) -> str:
        """The winner and what it had left, in one sentence."""
        alive = self.replay.arrays["in_play"][-1].astype(bool)
        counts = [f"{alive[side].sum()} of {side.sum()}" for side in (self.is_ally, ~self.is_ally)]
        ours, theirs = self.strength[-1]
        against = f" against '{self.header['opponent']}'" if "opponent" in self.header else ""
        return (
            f"{self.verdict()}{against} after {self.seconds(self.frames - 1):.1f} s ({self.replay.steps} steps): "
            f"{counts[ALLY]} allies alive with {ours:.0%} of their health, "
            f"{counts[ENEMY]} enemies with {theirs:.0%}; return {self.header['outcome']['return']:.2f}"
        )

    def obs_names(self) -> list[str]:
        """Meaning of each entry of an observation.

        Older files number the slots in the one-hot of types; these get the names of the types seen in them.
        """
        types = self._seen_types()

        def named(slot: re.Match[str]) -> str:
            held = types.get((slot[1] != "enemy", slot[3]))
            return f"{slot[1]}{slot[2]}.is_{'_or_'.join(sorted(held))}" if held else slot[0]

        return [_SLOT.sub(named, name) for name in self.header["obs_names"]]

    def _seen_types(self) -> dict[tuple[bool, str], set[str]]:
        """By side (True: allies) and slot of the one-hot: the types for which agents saw a number there."""
        obs = self.replay.arrays["obs"]
        types = {(u["ally"], u["index"]): u["type"].lower() for u in self.units}
        seen: dict[tuple[bool, str], set[str]] = {}
        for column, name in enumerate(self.header["obs_names"]):
            slot = _SLOT.fullmatch(name)
            if slot is None or slot[1] == "other_ally":  # every agent sees itself
                continue
            for agent in np.flatnonzero(obs[..., column].any(0)).tolist():
                unit = (True, agent) if slot[1] == "own" else (False, int(slot[2]))
                if unit in types:
                    seen.setdefault((unit[0], slot[3]), set()).add(types[unit])
        return seen

    def field(self) -> Box:
        """The part of the map to show."""
        if self.shown is not None:
            return self.shown
        a, board = self.replay.arrays, self.header["map"]
        seen = a["in_play"].astype(bool)
        x, y = a["x"][seen], a["y"][seen]
        return (
            max(float(x.min()) - MARGIN, 0.0),
            max(float(y.min()) - MARGIN, 0.0),
            min(float(x.max()) + MARGIN, float(board["width"])),
            min(float(y.max()) + MARGIN, float(board["height"])),
        )


def open_scenes(paths: Sequence[Path]) -> list[Scene]:
    """Read games; those of one map show the same part of it, so they can be compared.

    Raises:
        BattleError: one line about what is wrong with a file.
    """
    scenes = [open_scene(path) for path in paths]
    fields: dict[str, Box] = {}
    for scene in scenes:
        board, box = repr(scene.header["map"]), scene.field()
        x0, y0, x1, y1 = fields.get(board, box)
        fields[board] = min(x0, box[0]), min(y0, box[1]), max(x1, box[2]), max(y1, box[3])
    return [replace(scene, shown=fields[repr(scene.header["map"])]) for scene in scenes]


def open_scene(path: Path) -> Scene:
    """Read a replay, or a trace of the reference (``.npz``).

    Raises:
        BattleError: one line about what is wrong with the file.
    """
    if path.suffix.lower() == ".npz":
        return Scene(trace_replay(path), path.name)
    return Scene(load_replay(path), path.name)


def trace_replay(path: Path) -> Replay:
    """Convert a trace of the reference to a replay: after every tick if it holds them, else after every step.

    Raises:
        BattleError: the file is damaged, or its map is unknown.
    """
    trace = load_trace(path)
    a, frames = trace.arrays, trace.rows("h")
    if trace.has_ticks:
        frames = {name: np.concatenate([rows[:1], trace.rows("tick")[name]]) for name, rows in frames.items()}
    arrays = {name: frames[name].astype(np.float32) for name in ("x", "y", "hp", "shield", "energy", "cooldown")}
    arrays["target"] = frames["target"].astype(np.int16)
    arrays["in_play"] = frames["in_play"].astype(np.uint8)
    arrays |= {
        "action": a["actions"],
        "action_mask": a["avail"][:-1].astype(np.uint8),
        "obs": a["obs"][:-1],
        "reward": a["reward"].astype(np.float32),
    }
    header = {
        **describe(trace.scenario, [trace.scenario.types[t] for t in trace.scenario.unit_type]),
        "frames_per_step": TICKS_PER_STEP if trace.has_ticks else 1,
        "outcome": {
            "won": bool(a["battle_won"][-1]),
            "truncated": not a["terminated"][-1],
            "return": float(a["reward"].sum()),
            "steps": trace.steps,
        },
        "info": {"trace": path.name},
    }
    return Replay(header, arrays)
