"""Battles that begin in the middle of won games: for maps whose wins are never found by chance.

A long win is learned backwards: first how to finish a game that is nearly won, then the steps that lead there. After
Salimans and Chen 2018, "Learning Montezuma's Revenge from a Single Demonstration", and Resnick et al. 2018, "Backplay";
`dizoo.smac.search` finds the games. Where a step back requires several units to do the right thing at once, chance does
not find it either, so some battles first follow the game for a few steps, as in Hester et al. 2018, "Deep Q-learning
from Demonstrations", and the team takes over from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dizoo.smac.battle.engine import BattleEngine
from dizoo.smac.battle.kernels.state import Array
from dizoo.smac.battle.maps.scenario import Scenario
from dizoo.smac.battle.teams.scripted import available
from dizoo.smac.search.rounds import Plan

BAND_STEPS = 5  # moments of similar games with about as many steps to go count as one
LEAST_WEIGHT = 0.01  # of any band
RATE = 0.1  # of the running win rates
FOLLOW_STEPS = 2 * BAND_STEPS  # most steps that a battle follows the game before the team plays
PARTS = ("first", "second", "third", "last")  # quarters of a game
NEWS_EVERY = 2_000  # battles that began in the middle and that the team played from there
_STREAM = ("stream_key", "stream_count")


class Backplay:
    """Chooses moments of won games and begins battles there.

    A band of moments is drawn with weight (1 - p) (p + q / 5) + `LEAST_WEIGHT`. Here p is the recent win rate of
    battles that began in the band, and q that of the next band of the game (1 at its end). So most battles begin where
    the team wins some and loses some, and some just before. Each family of games moves backwards from its end at its
    own pace. Battles that follow the game for a while do not count in p.

    Args:
        scenario: of the games.
        plans: the games, at least one.
        num_envs: battles of the engine (E).
        share: share of the battles that begin in a game, in [0, 1]; the others begin at the start.
        follow: share of those that first follow the game, for 1 to `FOLLOW_STEPS` steps, in [0, 1].
        explore: number of steps with random actions after the team takes over in such a battle; None: all.
        seed: of the choices.

    Attributes:
        plans: the games.
        won: (bands,) running win rates by family and steps to go, 0.5 at first.
        band: (moments,) int64, the band of each moment of the games, by step and game.
        moment: (E,) int64, the moment in which each battle began; -1 for the start.
        until: (E,) int64, the step up to which each battle follows its game; 0 if it does not.
    """

    def __init__(
        self,
        scenario: Scenario,
        plans: Sequence[Plan],
        num_envs: int,
        share: float,
        follow: float,
        explore: int | None,
        seed: int,
    ) -> None:
        self.plans = list(plans)
        self._share, self._follow, self._explore = share, follow, explore
        self._rng = np.random.default_rng(seed)
        self._states, self._game, self._step = _moments(scenario, self.plans)
        _, self._actions, steps = _stacked(self.plans)
        length = steps[self._game]
        self._part = len(PARTS) * self._step // length
        family = np.array([plan.family for plan in self.plans])[self._game]
        bands, band = np.unique(np.stack([family, (length - self._step) // BAND_STEPS]), axis=1, return_inverse=True)
        self.band = band.ravel()
        # Bands are ordered by family and steps to go: the one before is the next of the game, if any.
        self._is_last = np.diff(bands[0], prepend=-1) != 0
        self._by_band = np.argsort(self.band, kind="stable")
        self._band_start = np.searchsorted(self.band[self._by_band], np.arange(bands.shape[1] + 1))
        self.won = np.full(bands.shape[1], 0.5)
        self.moment = np.full(num_envs, -1)
        self.until = np.zeros(num_envs, np.int64)
        self._ended = np.zeros((len(PARTS), 2), np.int64)  # battles and wins since the last report

    def ended(self, ids: Array, won: Array) -> None:
        """Record the results of battles that are about to be reset.

        Args:
            ids: (K,) int64.
            won: (E,) bool.
        """
        for e in ids[(self.moment[ids] >= 0) & (self.until[ids] == 0)]:
            band, part = self.band[self.moment[e]], self._part[self.moment[e]]
            self.won[band] += RATE * (won[e] - self.won[band])
            self._ended[part] += (1, won[e])
        self.moment[ids], self.until[ids] = -1, 0

    def news(self) -> str | None:
        """Return a progress line, once in `NEWS_EVERY` battles, else None."""
        if self._ended[:, 0].sum() < NEWS_EVERY:
            return None
        parts = [f"{name} {won / n:.2f}" for name, (n, won) in zip(PARTS, self._ended.tolist(), strict=True) if n]
        self._ended[:] = 0
        return f"battles begun in won games are won, by the quarter they began in: {', '.join(parts)}"

    def begin(self, engine: BattleEngine, ids: Array) -> None:
        """Move some of the battles that were just reset to chosen moments; their random streams are unchanged.

        Args:
            engine: the battles.
            ids: (K,) int64, battles at their start.
        """
        chosen = ids[self._rng.random(len(ids)) < self._share]
        if not len(chosen):
            return
        won_next = np.where(self._is_last, 1.0, np.roll(self.won, 1))
        weight = (1 - self.won) * (self.won + won_next / 5) + LEAST_WEIGHT
        band = self._rng.choice(len(weight), len(chosen), p=weight / weight.sum())
        moment = self._by_band[self._rng.integers(self._band_start[band], self._band_start[band + 1])]
        state = {name: value[moment] for name, value in self._states.items()}
        engine.set_state({**state, **{name: engine.battles[name][chosen] for name in _STREAM}}, chosen)
        self.moment[chosen] = moment
        follows = self._rng.random(len(chosen)) < self._follow
        steps = self._rng.integers(1, FOLLOW_STEPS + 1, len(chosen))
        self.until[chosen] = np.where(follows, self._step[moment] + steps, 0)

    def demonstration(self, engine: BattleEngine) -> Array:
        """Return the game's actions for battles that still follow one.

        Returns:
            (E, A) int64; -1 in all other battles, and where randomness has made an action unavailable.
        """
        game = self._game[self.moment]
        action = self._actions[game, np.minimum(engine.episode_length, self._actions.shape[1] - 1)]
        follows = (engine.episode_length < self.until)[:, None] & available(engine.action_mask, action)
        return np.where(follows, action, -1)

    def explores(self, engine: BattleEngine) -> Array | None:
        """(E,) bool: where random actions may be played; None: everywhere.

        A random action would lose a game that the team knows by heart from there, and hide that the step before was
        right.
        """
        if self._explore is None:
            return None
        plays_from = np.maximum(self._step[self.moment], self.until)
        return (self.moment < 0) | (engine.episode_length < plays_from + self._explore)

    def state_dict(self) -> dict[str, Any]:
        """Return games, win rates and choices."""
        starts, actions, length = _stacked(self.plans)
        return {
            "starts": starts,
            "actions": actions,
            "steps": length,
            "family": np.array([plan.family for plan in self.plans]),
            "won": self.won.copy(),
            "moment": self.moment.copy(),
            "until": self.until.copy(),
            "ended": self._ended.copy(),
            "choices": self._rng.bit_generator.state,
        }

    @classmethod
    def from_state_dict(
        cls, scenario: Scenario, state: Mapping[str, Any], share: float, follow: float, explore: int | None
    ) -> Backplay:
        """Rebuild from what ``state_dict`` returned; other arguments as in the constructor."""
        plans = [
            Plan({name: value[i : i + 1] for name, value in state["starts"].items()}, actions[:steps], family)
            for i, (actions, steps, family) in enumerate(
                zip(state["actions"], state["steps"].tolist(), state["family"].tolist(), strict=True)
            )
        ]
        made = cls(scenario, plans, len(state["moment"]), share, follow, explore, 0)
        made.won[:], made.moment[:], made.until[:] = state["won"], state["moment"], state["until"]
        made._ended[:] = state["ended"]
        made._rng.bit_generator.state = state["choices"]
        return made


def _moments(scenario: Scenario, plans: Sequence[Plan]) -> tuple[dict[str, Array], Array, Array]:
    """Return the state before every step of all games, and the game and step of each."""
    engine = BattleEngine(scenario, len(plans), num_threads=1)
    starts, actions, length = _stacked(plans)
    engine.set_state(starts)
    states, games, steps = [], [], []
    for t in range(length.max()):
        running = np.flatnonzero(t < length)
        states.append(engine.get_state(running))
        games.append(running)
        steps.append(np.full(len(running), t))
        engine.step(actions[:, t])
    engine.close()
    moments = {name: np.concatenate([state[name] for state in states]) for name in states[0]}
    return moments, np.concatenate(games), np.concatenate(steps)


def _stacked(plans: Sequence[Plan]) -> tuple[dict[str, Array], Array, Array]:
    """Return starts of all games, their actions (games, T, A) padded with 0, and their lengths."""
    length = np.array([len(plan.actions) for plan in plans])
    actions = [np.pad(plan.actions, ((0, length.max() - len(plan.actions)), (0, 0))) for plan in plans]
    starts = {name: np.concatenate([plan.start[name] for plan in plans]) for name in plans[0].start}
    return starts, np.stack(actions), length
