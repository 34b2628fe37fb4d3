"""One battle of the engine with plain Python values: the common part of the drop-in environments."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dizoo.smac.battle import BattleEngine
from dizoo.smac.battle.errors import ActionError, BattleError
from dizoo.smac.battle.maps.command import draw
from dizoo.smac.battle.maps.rules import Profile
from dizoo.smac.battle.teams.stateview import StateView

NO_OP, STOP = 0, 1
ILLEGAL = ("stop", "error")
"""What an action that is not available may do: count as stop, or be an error."""


class SingleBattle:
    """One battle, stepped with a list of integers. Returned arrays are copies.

    Args:
        map: name of a shipped map, path of a map file, or its content.
        seed: of the battle's random stream; None draws one.
        rules: ``"smaclite"``, ``"smac"``, ``"smacv2"`` or a changed `Profile`; default: what the map is meant for.
        options: further options of `BattleEngine`, such as ``start_jitter``.

    Attributes:
        scenario: the map.
        episode_limit: steps after which an episode is truncated.
    """

    def __init__(
        self,
        map: str | Path | Mapping[str, Any],
        seed: int | None = None,
        rules: str | Profile | None = None,
        **options: Any,
    ) -> None:
        self.engine = BattleEngine(map, 1, seed=random_seed() if seed is None else seed, rules=rules, **options)
        self.scenario = self.engine.scenario
        self.episode_limit = self.engine.episode_limit
        self._started = False
        self._view = StateView(self.scenario)

    def reset(self, seed: int | None = None) -> None:
        """Start a new episode; a seed restarts the random stream."""
        if seed is None:
            self.engine.reset()
        else:
            self.engine.reset(seed=seed)
        self._started = True

    def step(self, actions: Sequence[int]) -> float:
        """Play one step and return its reward.

        Raises:
            ActionError: not one integer per agent, or an unavailable action.
            BattleError: no episode is running.
        """
        return self.play(actions, replaces=False)[0]

    def play(self, actions: Sequence[int], replaces: bool) -> tuple[float, list[bool]]:
        """Play one step, replacing unavailable actions if ``replaces``; returns its reward and which were replaced.

        Raises:
            ActionError: not one integer per agent, or an unavailable action that is not replaced.
            BattleError: no episode is running.
        """
        if not self._started or self.terminated or self.truncated:
            raise BattleError("step: no episode is running. Call reset() first.")
        chosen, replaced = self.legal(actions) if replaces else (actions, [False] * len(actions))
        self.engine.step(self._as_array(chosen))
        return float(self.engine.reward[0]), replaced

    def observations(self) -> tuple[np.ndarray, ...]:
        """Per agent (O,) float32."""
        return tuple(self.engine.agent_state[0].copy())

    def state(self) -> np.ndarray:
        """(S,) float32."""
        return self.engine.global_state[0].copy()

    def masks(self) -> np.ndarray:
        """(A, N) bool: the available actions."""
        return self.engine.action_mask[0].copy()

    def legal(self, actions: Sequence[int]) -> tuple[list[int], list[bool]]:
        """Replace unavailable actions by stop (no-op for dead agents); returns the actions and which were replaced."""
        wanted = self._as_array(actions)[0].tolist()
        mask = self.engine.action_mask[0]
        legal = [0 <= a < mask.shape[1] and bool(mask[k, a]) for k, a in enumerate(wanted)]
        rest = [NO_OP if mask[k, NO_OP] else STOP for k in range(len(wanted))]
        return [a if ok else r for a, ok, r in zip(wanted, legal, rest, strict=True)], [not ok for ok in legal]

    @property
    def terminated(self) -> bool:
        """Whether the battle is over."""
        return bool(self.engine.terminated[0])

    @property
    def truncated(self) -> bool:
        """Whether the episode limit ended the battle."""
        return bool(self.engine.truncated[0])

    @property
    def battle_won(self) -> bool:
        """Whether the allies won."""
        return bool(self.engine.battle_won[0])

    @property
    def alive(self) -> list[bool]:
        """Per agent: whether it is in play."""
        return self.engine.alive[0].tolist()

    @property
    def enemies_alive(self) -> list[bool]:
        """Per enemy: whether it is in play."""
        return (self._view.read(self.engine.global_state)[1].points[0] > 0).tolist()

    def text(self) -> str:
        """The battle drawn as text."""
        units = self.engine.units[0]
        pos = np.stack([units["x"], units["y"]], axis=1)
        return draw(self.scenario, self.engine.lineup(0), pos, units["in_play"])

    def _as_array(self, actions: Sequence[int]) -> np.ndarray:
        """Convert anything that holds one integer per agent to (1, A) int64."""
        try:
            array = np.array([operator.index(a) for a in actions], dtype=np.int64)
        except TypeError as e:
            raise ActionError(f"actions: found {actions!r}. Give a list of {self.scenario.n_agents} integers.") from e
        if len(array) != self.scenario.n_agents:
            raise ActionError(f"actions: found {len(array)}. Give one per agent, {self.scenario.n_agents}.")
        return array[None]


def replaces_illegal(illegal_action: str) -> bool:
    """Whether the option ``illegal_action`` replaces unavailable actions.

    Raises:
        ValueError: it is neither ``"stop"`` nor ``"error"``.
    """
    if illegal_action not in ILLEGAL:
        raise ValueError(f"illegal_action is {illegal_action!r}. It is one of {', '.join(map(repr, ILLEGAL))}.")
    return illegal_action == "stop"


def random_seed() -> int:
    """Draw a seed from the operating system."""
    return int(np.random.SeedSequence().generate_state(1)[0])
