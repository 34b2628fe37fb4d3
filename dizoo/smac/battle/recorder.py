"""Recording of running battles: the engine is stepped as always, and what happens is noted beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dizoo.smac.battle.engine import BattleEngine
from dizoo.smac.battle.replay import FRAME_FLOATS, SUFFIX, Replay, describe, replay_bytes
from dizoo.smac.battle.rules import TICKS_PER_STEP
from dizoo.smac.battle.state import UNIT, Array

_FRAME_FIELDS = (*FRAME_FLOATS, "target", "in_play")


@dataclass
class RecordedGame:
    """A game as it was played, exact; `replay` makes the file's content of it.

    Attributes:
        number: e + k * E for game k of battle e.
        replay: header and all arrays but those of the network.
        obs: (T, A, O) float32, before each step.
        global_state: (T, S) float32.
        action: (T, A) int64.
        alive: (T, A) bool.
    """

    number: int
    replay: Replay
    obs: Array
    global_state: Array
    action: Array
    alive: Array

    @property
    def name(self) -> str:
        """A name for its file, without folder."""
        return f"{self.number:03d}_{'won' if self.replay.won else 'lost'}{SUFFIX}"

    def content(self, values: Mapping[str, Array], info: Mapping[str, str]) -> bytes:
        """The file.

        Args:
            values: ``q`` (T, A, N), ``q_tot`` (T,) and ``weight`` (T, A) of the network that played, or nothing.
            info: free texts by name, shown beside the game.

        Raises:
            BattleError: values of the wrong shape, or not finite.
        """
        replay = Replay({**self.replay.header, "info": dict(info)}, {**self.replay.arrays, **values})
        return replay_bytes(replay)


@dataclass
class _Notes:
    """What is known so far about one running game."""

    stream: list[str]
    mirrored: bool
    frames: list[bytes] = field(default_factory=list)  # (U,) UNIT each; bytes are copied and joined fastest
    steps: dict[str, list[Array]] = field(default_factory=dict)


class BattleRecorder:
    """Steps an engine and records games of its first battles.

    Battles go on exactly as they would without it: ticks run one by one draw the same random numbers as a whole step.

    Args:
        engine: the battles.
        games: how many games to record: those numbered e + k * E below this, for game k of battle e.
        on_game: takes each game when it is over.
        ticks: record the units after every tick (a sixteenth of a second) instead of every step.
    """

    def __init__(
        self, engine: BattleEngine, games: int, on_game: Callable[[RecordedGame], None], ticks: bool = True
    ) -> None:
        self._engine = engine
        self._games = games
        self._on_game = on_game
        self._ticks = ticks
        self._played = np.zeros(engine.num_envs, np.int64)
        self._notes: dict[int, _Notes] = {}
        self._map = describe(engine.scenario)

    def reset(self, ids: ArrayLike | None = None) -> None:
        """`BattleEngine.reset`; a game that was under way in one of these battles is forgotten."""
        engine = self._engine
        chosen = np.arange(engine.num_envs)[slice(None) if ids is None else np.asarray(ids)].tolist()
        streams = {e: engine.battles[["stream_key", "stream_count"]][e].item() for e in chosen}
        engine.reset(ids)
        for e in chosen:
            self._notes.pop(e, None)
            if self._played[e] * engine.num_envs + e < self._games:
                key, count = streams[e]
                notes = _Notes([str(key), str(count)], bool(engine.battles["mirrored"][e]))
                notes.frames.append(engine.units[e].tobytes())
                self._notes[e] = notes

    def step(self, actions: ArrayLike) -> None:
        """`BattleEngine.step`."""
        engine = self._engine
        if not self._notes:
            engine.step(actions)
            return
        before = {name: getattr(engine, name) for name in ("agent_state", "global_state", "action_mask", "alive")}
        running = {
            e: {name: value[e].copy() for name, value in before.items()}
            for e in self._notes
            if not (engine.terminated[e] or engine.truncated[e])
        }
        if self._ticks:
            engine.begin_step(actions)
            for _ in range(TICKS_PER_STEP):
                engine.run_tick()
                for e in running:
                    self._notes[e].frames.append(engine.units[e].tobytes())
            engine.finish_step()
        else:
            engine.step(actions)
            for e in running:
                self._notes[e].frames.append(engine.units[e].tobytes())
        action = np.asarray(actions)
        for e, row in running.items():
            row |= {"action": action[e].copy(), "reward": engine.reward[e]}
            for name, value in row.items():
                self._notes[e].steps.setdefault(name, []).append(value)
            if engine.terminated[e] or engine.truncated[e]:
                self._played[e] += 1
                self._on_game(self._finish(e, self._notes.pop(e)))

    def _finish(self, e: int, notes: _Notes) -> RecordedGame:
        engine = self._engine
        number = int(self._played[e] - 1) * engine.num_envs + e
        frames = np.frombuffer(b"".join(notes.frames), UNIT).reshape(len(notes.frames), -1)
        steps = {name: np.stack(rows) for name, rows in notes.steps.items()}
        arrays = {name: frames[name] for name in _FRAME_FIELDS}
        arrays |= {name: steps[name] for name in ("action", "action_mask", "reward")}
        arrays["obs"] = steps["agent_state"]
        header: dict[str, Any] = {
            **self._map,
            "frames_per_step": TICKS_PER_STEP if self._ticks else 1,
            "stream": notes.stream,
            "mirrored": notes.mirrored,
            "outcome": {
                "won": bool(engine.battle_won[e]),
                "truncated": bool(engine.truncated[e]),
                "return": float(steps["reward"].sum()),
                "steps": len(steps["reward"]),
            },
            "info": {},
        }
        return RecordedGame(
            number,
            Replay(header, arrays),
            steps["agent_state"],
            steps["global_state"],
            steps["action"].astype(np.int64),
            steps["alive"],
        )
