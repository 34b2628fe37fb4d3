"""Battles that begin in the middle of won games: for maps whose wins nobody meets by chance.

Wins far from the start are learned backwards: first how a game that is nearly won is ended, then what leads there.
After Salimans and Chen 2018, "Learning Montezuma's Revenge from a Single Demonstration", and Resnick et al. 2018,
"Backplay"; the games are found by `dizoo.smac.battle.search`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dizoo.smac.battle.engine import BattleEngine
from dizoo.smac.battle.scenario import Scenario
from dizoo.smac.battle.search import Plan
from dizoo.smac.battle.state import Array

BAND_STEPS = 5  # moments of games that begin alike, with about as many steps to go, count as one
LEAST_WEIGHT = 0.01  # of any band
RATE = 0.1  # of the running win rates
PARTS = ("first", "second", "third", "last")  # quarters of a game
NEWS_EVERY = 2_000  # battles that began in the middle
_STREAM = ("stream_key", "stream_count")


class Backplay:
    """Chooses moments of won games and begins battles there.

    A band of moments is drawn by (1 - p) (p + q / 10) + `LEAST_WEIGHT`, where p is the share of battles from there that
    were won lately, and q the same for the next band of the game (1 at its end): most often where the team wins some
    and loses some, and sometimes just before. In every family of games this goes at a pace of its own, from the end of
    the game backwards.

    Args:
        scenario: of the games.
        plans: the games, at least one.
        num_envs: battles of the engine (E) that are begun.
        share: of the battles that begin so, in [0, 1]; the others begin at the start.
        seed: of the choices.

    Attributes:
        plans: the games.
        won: (bands,) running win rates by family and steps to go, 0.5 at first.
    """

    def __init__(self, scenario: Scenario, plans: Sequence[Plan], num_envs: int, share: float, seed: int) -> None:
        self.plans = list(plans)
        self._share, self._rng = share, np.random.default_rng(seed)
        self._moments, game, to_go = _moments(scenario, self.plans)
        family = np.array([plan.family for plan in self.plans])[game]
        length = np.array([len(plan.actions) for plan in self.plans])[game]
        self._part = len(PARTS) * (length - to_go) // length
        bands, band = np.unique(np.stack([family, to_go // BAND_STEPS]), axis=1, return_inverse=True)
        # Bands are in the order of families and steps to go: the one before is the next of the game, if there is one.
        self._is_last = np.diff(bands[0], prepend=-1) != 0
        self._by_band = np.argsort(band.ravel(), kind="stable")
        self._band_start = np.searchsorted(band.ravel()[self._by_band], np.arange(band.max() + 2))
        self.won = np.full(int(band.max()) + 1, 0.5)
        self._begun_in = np.full(num_envs, -1)  # band of each battle's beginning, -1: the start
        self._begun_part = np.zeros(num_envs, np.int64)
        self._ended = np.zeros((len(PARTS), 2), np.int64)  # battles and wins since the last news

    @property
    def moments(self) -> int:
        """Moments to choose from."""
        return len(self._by_band)

    def ended(self, ids: Array, won: Array) -> None:
        """Learn how battles went that are about to be reset.

        Args:
            ids: (K,) int64.
            won: (E,) bool.
        """
        for e in ids[self._begun_in[ids] >= 0]:
            self.won[self._begun_in[e]] += RATE * (won[e] - self.won[self._begun_in[e]])
            self._ended[self._begun_part[e]] += (1, won[e])
        self._begun_in[ids] = -1

    def news(self) -> str | None:
        """A line about how it goes, once in `NEWS_EVERY` battles."""
        if self._ended[:, 0].sum() < NEWS_EVERY:
            return None
        parts = [f"{name} {won / n:.2f}" for name, (n, won) in zip(PARTS, self._ended.tolist(), strict=True) if n]
        self._ended[:] = 0
        return f"battles begun in won games are won, by the quarter they began in: {', '.join(parts)}"

    def begin(self, engine: BattleEngine, ids: Array) -> None:
        """Move some of the battles that were just reset to chosen moments; their random streams stay their own.

        Args:
            engine: the battles.
            ids: (K,) int64, battles at their start.
        """
        chosen = ids[self._rng.random(len(ids)) < self._share]
        if not len(chosen):
            return
        won_next = np.where(self._is_last, 1.0, np.roll(self.won, 1))
        weight = (1 - self.won) * (self.won + won_next / 10) + LEAST_WEIGHT
        band = self._rng.choice(len(weight), len(chosen), p=weight / weight.sum())
        low, high = self._band_start[band], self._band_start[band + 1]
        moment = self._by_band[self._rng.integers(low, high)]
        state = {name: value[moment] for name, value in self._moments.items()}
        engine.set_state({**state, **{name: engine.battles[name][chosen] for name in _STREAM}}, chosen)
        self._begun_in[chosen], self._begun_part[chosen] = band, self._part[moment]

    def state_dict(self) -> dict[str, Any]:
        """Games, win rates, choices."""
        starts, actions, length = _stacked(self.plans)
        return {
            "starts": starts,
            "actions": actions,
            "steps": length,
            "family": np.array([plan.family for plan in self.plans]),
            "won": self.won.copy(),
            "begun_in": self._begun_in.copy(),
            "begun_part": self._begun_part.copy(),
            "ended": self._ended.copy(),
            "choices": self._rng.bit_generator.state,
        }

    @classmethod
    def from_state_dict(cls, scenario: Scenario, state: Mapping[str, Any], share: float) -> Backplay:
        """What ``state_dict`` was taken of; ``share`` as in the constructor."""
        plans = [
            Plan({name: value[i : i + 1] for name, value in state["starts"].items()}, actions[:steps], family)
            for i, (actions, steps, family) in enumerate(
                zip(state["actions"], state["steps"].tolist(), state["family"].tolist(), strict=True)
            )
        ]
        made = cls(scenario, plans, len(state["begun_in"]), share, 0)
        made.won[:], made._begun_in[:] = state["won"], state["begun_in"]
        made._begun_part[:], made._ended[:] = state["begun_part"], state["ended"]
        made._rng.bit_generator.state = state["choices"]
        return made


def _moments(scenario: Scenario, plans: Sequence[Plan]) -> tuple[dict[str, Array], Array, Array]:
    """The state before every step but the first of all games; of which game, and how many steps were to go."""
    engine = BattleEngine(scenario, len(plans), num_threads=1)
    starts, actions, length = _stacked(plans)
    engine.set_state(starts)
    states, games, to_go = [], [], []
    for t in range(length.max()):
        running = np.flatnonzero(t < length)
        if t:
            states.append(engine.get_state(running))
            games.append(running)
            to_go.append(length[running] - t)
        engine.step(actions[:, t])
    engine.close()
    moments = {name: np.concatenate([state[name] for state in states]) for name in states[0]}
    return moments, np.concatenate(games), np.concatenate(to_go)


def _stacked(plans: Sequence[Plan]) -> tuple[dict[str, Array], Array, Array]:
    """Starts of all games, their actions (games, T, A), 0 behind the end, and their lengths."""
    length = np.array([len(plan.actions) for plan in plans])
    actions = [np.pad(plan.actions, ((0, length.max() - len(plan.actions)), (0, 0))) for plan in plans]
    starts = {name: np.concatenate([plan.start[name] for plan in plans]) for name in plans[0].start}
    return starts, np.stack(actions), length
