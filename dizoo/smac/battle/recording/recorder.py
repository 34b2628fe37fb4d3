"""`BattleRecorder`: records games while an engine is stepped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dizoo.smac.battle.checks import battle_ids
from dizoo.smac.battle.engine import BattleEngine
from dizoo.smac.battle.kernels.state import Array
from dizoo.smac.battle.maps.generator import STARTS
from dizoo.smac.battle.maps.rules import OPPONENTS, TICKS_PER_STEP
from dizoo.smac.battle.recording.replay import FRAME_FIELDS, SUFFIX, Replay, describe, replay_bytes

_BEFORE = ("agent_state", "global_state", "action_mask", "alive")  # of the engine, recorded before each step


@dataclass
class RecordedGame:
    """One game exactly as played; `content` turns it into a file.

    Attributes:
        number: e + k * E for game k of battle e.
        replay: header and all arrays except the mixer's.
        global_state: (T, S) float32, before each step.
        action: (T, A) int64.
        alive: (T, A) bool.
        q: (T, A, N) float32, 0 for dead agents; None if the recorder got none.
    """

    number: int
    replay: Replay
    global_state: Array
    action: Array
    alive: Array
    q: Array | None = None

    @property
    def name(self) -> str:
        """File name, without folder."""
        return f"{self.number:03d}_{'won' if self.replay.won else 'lost'}{SUFFIX}"

    def content(self, values: Mapping[str, Array], info: Mapping[str, str]) -> bytes:
        """Return the content of the game's file.

        Args:
            values: ``q_tot`` (T,) and ``weight`` (T, A) of the network that played, or empty.
            info: texts by name, shown with the game.

        Raises:
            BattleError: values of the wrong shape, or not finite.
        """
        replay = Replay({**self.replay.header, "info": dict(info)}, {**self.replay.arrays, **values})
        return replay_bytes(replay)


@dataclass(frozen=True)
class _Start:
    stream: list[str]
    mirrored: bool
    header: dict[str, Any]


class BattleRecorder:
    """Steps an engine and records games of its first battles, without affecting them.

    The engine itself writes the units of every tick; each step copies what the agents of the recorded battles saw. All
    other work waits until a game is over.

    Args:
        engine: the battles.
        games: number of games to record: those with e + k * E below this, for game k of battle e.
        on_game: called with each finished game.
        q: returns the (E, A, N) float q-values that chose the actions about to be stepped, or None.
    """

    def __init__(
        self,
        engine: BattleEngine,
        games: int,
        on_game: Callable[[RecordedGame], None],
        q: Callable[[], Array | None] = lambda: None,
    ) -> None:
        self._engine = engine
        self._games = games
        self._on_game = on_game
        self._q = q
        self._played = np.zeros(engine.num_envs, np.int64)
        self._running: dict[int, _Start] = {}
        self._tape: dict[str, Array] = {}  # (K, episode_limit, ...) of everything recorded once per step
        self._recorded = min(games, engine.num_envs)
        self._frames = engine.film(self._recorded)

    def reset(self, ids: ArrayLike | None = None) -> None:
        """Reset battles like `BattleEngine.reset`; drops games that are running in them."""
        engine = self._engine
        chosen = battle_ids(ids, engine.num_envs).tolist()
        streams = {e: engine.battles[["stream_key", "stream_count"]][e].item() for e in chosen if e < self._recorded}
        engine.reset(ids)
        for e, words in streams.items():
            self._running.pop(e, None)
            if self._number(e) < self._games:
                self._running[e] = self._start(e, [str(word) for word in words])

    def begin(self, state: Mapping[str, ArrayLike]) -> None:
        """Set all battles to states at the start of a game, like `BattleEngine.set_state`, and record from there."""
        self._engine.set_state(state)
        words = self._engine.battles[["stream_key", "stream_count"]]
        self._running = {e: self._start(e, [str(w) for w in words[e].item()]) for e in range(self._recorded)}

    def step(self, actions: ArrayLike) -> None:
        """Step all battles like `BattleEngine.step`."""
        engine = self._engine
        if not self._running:
            engine.step(actions)
            return
        clock = engine.episode_length[: self._recorded].tolist()
        self._note(clock, {name: getattr(engine, name) for name in _BEFORE})
        if (q := self._q()) is not None:
            self._note(clock, {"q": q})
        engine.step(actions)
        self._note(clock, {"action": np.asarray(actions), "reward": engine.reward})
        for e in [e for e in self._running if engine.terminated[e] or engine.truncated[e]]:
            self._on_game(self._finish(e, self._running.pop(e)))

    def close(self) -> None:
        """Stop recording; drops running games."""
        self._running.clear()
        self._tape.clear()
        self._games = 0
        self._engine.film(0)

    def _start(self, e: int, stream: list[str]) -> _Start:
        engine = self._engine
        header = describe(engine.scenario, engine.lineup(e))
        if engine.scenario.is_drawn:
            header["start_kind"] = STARTS[engine.start_kind[e]]
        if len(engine.scenario.profile.opponents) > 1:
            header["opponent"] = OPPONENTS[engine.battles["opponent"][e]]
        return _Start(stream, bool(engine.battles["mirrored"][e]), header)

    def _number(self, e: int) -> int:
        return int(self._played[e]) * self._engine.num_envs + e

    def _note(self, clock: list[int], values: Mapping[str, Array]) -> None:
        """Copy the recorded battles' rows of (E, ...) arrays."""
        for name, value in values.items():
            if name not in self._tape:
                shape = (self._recorded, self._engine.episode_limit, *value.shape[1:])
                self._tape[name] = np.empty(shape, value.dtype)
            rows = self._tape[name]
            for e in self._running:
                rows[e, clock[e]] = value[e]

    def _finish(self, e: int, start: _Start) -> RecordedGame:
        engine, number = self._engine, self._number(e)
        self._played[e] += 1
        length = int(engine.episode_length[e])
        # copies where the battle's next game is going to be written over this one; frames of any next game are
        keep = np.array if self._number(e) < self._games else np.asarray
        steps = {name: keep(rows[e, :length]) for name, rows in self._tape.items()}
        frames = self._frames[e, : TICKS_PER_STEP * length + 1].copy()
        arrays = {name: frames[name] for name in FRAME_FIELDS}
        arrays |= {name: steps[name] for name in ("action", "action_mask", "reward")}
        arrays["obs"] = steps["agent_state"]
        if "q" in steps:
            arrays["q"] = np.where(steps["alive"][..., None], steps["q"], np.float32(0.0))
        header: dict[str, Any] = {
            **start.header,
            "frames_per_step": TICKS_PER_STEP,
            "stream": start.stream,
            "mirrored": start.mirrored,
            "outcome": {
                "won": bool(engine.battle_won[e]),
                "truncated": bool(engine.truncated[e]),
                "return": float(steps["reward"].sum()),
                "steps": length,
            },
            "info": {},
        }
        replay, action = Replay(header, arrays), steps["action"].astype(np.int64)
        return RecordedGame(number, replay, steps["global_state"], action, steps["alive"], arrays.get("q"))
