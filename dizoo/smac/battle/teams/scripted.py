"""Scripted teams that act on a whole batch of battles: baselines for learned teams.

They see what a central player sees: the global state and the action mask. E battles, A agents, K enemies, N actions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from dizoo.smac.battle.errors import BattleError
from dizoo.smac.battle.maps.scenario import FIRST_LOOK_ACTION, Scenario
from dizoo.smac.battle.teams.stateview import StateView, Units
from dizoo.smac.battle.text import nearest

NO_OP, STOP, NORTH, SOUTH, EAST, WEST = range(FIRST_LOOK_ACTION)
NOBODY = -1
LOOK_SLACK = 0.01  # cells: a target this much within range is named as soon as an agent looks at it


class ScriptedTeam(ABC):
    """A rule that chooses the action of every agent in every battle.

    Args:
        scenario: the map.
        seed: for scripts that draw random numbers.
    """

    def __init__(self, scenario: Scenario, seed: int = 0) -> None:
        self.scenario = scenario
        self.rng = np.random.default_rng(seed)
        self.view = StateView(scenario)
        self._directions = scenario.directions
        # By type, and by type and type:
        types = scenario.types
        self._is_healer = np.array([t.is_healer for t in types])
        self._can_hurt = np.array([[bool(a.can_hit >> b.plane & 1) for b in types] for a in types])
        self._named_within = np.array([scenario.target_range(t) for t in types]) - LOOK_SLACK
        self._can_heal = self._can_hurt & self._is_healer[:, None] & ~self._is_healer

    @abstractmethod
    def act(self, global_state: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        """Choose actions.

        Args:
            global_state: (E, S) float32.
            action_mask: (E, A, N) bool, at least one available action per agent.

        Returns:
            (E, A) int64, each available.
        """


class RandomTeam(ScriptedTeam):
    """Chooses uniformly among the available actions."""

    def act(self, global_state: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        return random_actions(action_mask, self.rng)


class AttackNearest(ScriptedTeam):
    """Each agent attacks the enemy nearest to it, walking there if needed; healers heal the nearest hurt ally.

    Like SMAC's heuristic, except that it chooses anew in every step, where SMAC's script keeps a target until it is
    dead. This makes it stronger: it wins 2s3z and 1c3s5z, which SMAC's loses. Enemies that a type cannot hit are not
    chosen.
    """

    def act(self, global_state: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        allies, enemies = self.view.read(global_state)
        attack = (enemies.points > 0)[:, None, :] & _pairs(self._can_hurt, allies, enemies)
        heal = allies.hurt[:, None, :] & _pairs(self._can_heal, allies, allies)
        target = np.where(
            self._is_healer[allies.type],
            _nearest(allies.pos, allies.pos, heal),
            _nearest(allies.pos, enemies.pos, attack),
        )
        return self._act_on(target, allies, enemies, action_mask)

    def _act_on(self, target: np.ndarray, allies: Units, enemies: Units, action_mask: np.ndarray) -> np.ndarray:
        """Use each agent's target if that is available, else look at it or walk towards it, else stop."""
        goal = np.where(self._is_healer[allies.type][..., None], _pick(allies.pos, target), _pick(enemies.pos, target))
        way = goal - allies.pos
        go = walk_towards(way, action_mask)
        if len(self._directions):
            unseen = np.hypot(way[..., 0], way[..., 1]) <= self._named_within[allies.type]
            go = np.where(unseen, FIRST_LOOK_ACTION + (way @ self._directions.T).argmax(axis=-1), go)
        act = self.scenario.first_target + target
        last = action_mask.shape[2] - 1  # on odd custom maps a healer has more allies than there are target actions
        known = (target != NOBODY) & (act <= last)
        in_reach = known & available(action_mask, np.minimum(act, last))
        chosen = np.where(in_reach, act, np.where(target == NOBODY, STOP, go))
        return np.where(action_mask[..., NO_OP], NO_OP, chosen)


class FocusFire(AttackNearest):
    """Each agent attacks the weakest enemy that its weapon reaches or nearly reaches, or else goes for the nearest.

    Healers heal the ally in reach that has lost most, or else stay close to the nearest fighter.
    """

    REACH_SLACK = 0.5
    """Cells beyond the weapon's range that are worth a walk. With the 6 cells of the mask melee units would run after
    the weakest enemy past all others, and the return on corridor falls from 13 to 1."""

    def __init__(self, scenario: Scenario, seed: int = 0) -> None:
        super().__init__(scenario, seed)
        types = scenario.types
        self._reach = np.array([[a.attack_range + a.radius + b.radius for b in types] for a in types])
        self._full = np.array([t.hp + t.shield for t in types])

    def act(self, global_state: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        allies, enemies = self.view.read(global_state)
        is_healer = self._is_healer[allies.type]
        living_enemy = (enemies.points > 0)[:, None, :] & _pairs(self._can_hurt, allies, enemies)
        reach = action_mask[:, :, self.scenario.first_target :]
        in_reach = _pairs(self._reach, allies, enemies) + self.REACH_SLACK
        in_range = _square_distance(allies.pos, enemies.pos) <= np.square(in_reach)
        attack = living_enemy & reach[:, :, : self.scenario.n_enemies] & in_range
        weakest = _lowest(np.broadcast_to(enemies.points[:, None, :], attack.shape), attack)
        weakest = np.where(weakest == NOBODY, _nearest(allies.pos, enemies.pos, living_enemy), weakest)
        fighter = (allies.points > 0)[:, None, :] & _pairs(self._can_heal, allies, allies)
        n = min(self.scenario.n_agents, reach.shape[2])
        heal = np.zeros_like(fighter)
        heal[:, :, :n] = (fighter & allies.hurt[:, None, :])[:, :, :n] & reach[:, :, :n]
        lost = allies.points - self._full[allies.type]
        patient = _lowest(np.broadcast_to(lost[:, None, :], heal.shape), heal)
        actions = self._act_on(np.where(is_healer, patient, weakest), allies, enemies, action_mask)
        follow = walk_towards(_pick(allies.pos, _nearest(allies.pos, allies.pos, fighter)) - allies.pos, action_mask)
        idle = is_healer & (patient == NOBODY) & ~action_mask[..., NO_OP] & fighter.any(axis=2)
        return np.where(idle, follow, actions)


TEAMS: dict[str, type[ScriptedTeam]] = {
    "random": RandomTeam,
    "attack_nearest": AttackNearest,
    "focus_fire": FocusFire,
}


def make_team(name: str, scenario: Scenario, seed: int = 0) -> ScriptedTeam:
    """Create a scripted team by name.

    Raises:
        BattleError: no such script.
    """
    if name not in TEAMS:
        raise BattleError(f"no scripted team '{name}'.{nearest(name, TEAMS)} Known: {', '.join(TEAMS)}.")
    return TEAMS[name](scenario, seed)


def random_actions(action_mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw one available action per agent, all equally likely: (...) int64 from (..., N) bool."""
    # The k-th available action: far fewer draws than a random key for each action.
    rank = np.cumsum(action_mask, axis=-1, dtype=np.int64)
    k = np.floor(rng.random(action_mask.shape[:-1]) * rank[..., -1]).astype(np.int64)
    return (rank <= k[..., None]).sum(axis=-1)


def available(action_mask: np.ndarray, action: np.ndarray) -> np.ndarray:
    """(E, A) bool: whether each agent may take its action, (E, A) integers; False for negative ones."""
    return np.take_along_axis(action_mask, np.maximum(action, 0)[..., None], axis=2)[..., 0] & (action >= 0)


def or_idle(action_mask: np.ndarray, action: np.ndarray) -> np.ndarray:
    """(E, A) int64: each agent's action, (E, A) integers, if available, else stop or no-op, whichever is."""
    idle = np.where(action_mask[..., NO_OP], NO_OP, STOP)
    return np.where(available(action_mask, action), action, idle)


def walk_towards(delta: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
    """Move along the longer axis of the way, or along the other one if that is blocked, else stop.

    Args:
        delta: (E, A, 2) way to go, x east and y north.
        action_mask: (E, A, N) bool.
    """
    along_x = np.where(delta[..., 0] > 0, EAST, WEST)
    along_y = np.where(delta[..., 1] > 0, NORTH, SOUTH)
    x_is_longer = np.abs(delta[..., 0]) > np.abs(delta[..., 1])
    first, second = np.where(x_is_longer, along_x, along_y), np.where(x_is_longer, along_y, along_x)
    return np.where(available(action_mask, first), first, np.where(available(action_mask, second), second, STOP))


def _pairs(table: np.ndarray, units: Units, others: Units) -> np.ndarray:
    """(E, n, m) entries of a table by type and type, for all pairs of units; (1, n, m) if the map fixes its units."""
    return table[units.type[:, :, None], others.type[:, None, :]]


def _nearest(start: np.ndarray, goal: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """(E, A) index of the nearest allowed goal, NOBODY if there is none. ``allowed``: (E, A, n) bool."""
    return _lowest(_square_distance(start, goal), allowed)


def _square_distance(start: np.ndarray, goal: np.ndarray) -> np.ndarray:
    return np.square(start[:, :, None, :] - goal[:, None, :, :]).sum(axis=-1)


def _lowest(value: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """(E, A) index of the lowest allowed value, the first on a tie, NOBODY if none is allowed."""
    return np.where(allowed.any(axis=2), np.where(allowed, value, np.inf).argmin(axis=2), NOBODY)


def _pick(pos: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(E, A, 2) position of each agent's target; of an arbitrary unit if there is none."""
    index = np.clip(target, 0, pos.shape[1] - 1)
    return np.take_along_axis(pos, index[..., None], axis=1)
