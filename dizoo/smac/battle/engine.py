"""`BattleEngine`: a batch of battles advanced by compiled code."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dizoo.smac.battle.checks import (
    battle_ids,
    checked_orders,
    checked_state,
    finite_number,
    generator_mark,
    profile_with,
    whole_number,
)
from dizoo.smac.battle.errors import ActionError, BattleError
from dizoo.smac.battle.kernels.compiler import compiled_marker, mark_compiled
from dizoo.smac.battle.kernels.driver import BEGIN, FINISH, first_bad_action, reset_battles, step_battles
from dizoo.smac.battle.kernels.rng import stream_keys
from dizoo.smac.battle.kernels.state import BATTLE, FRAME, NO_ACTION, UNIT, Array, Outputs, empty_scratch, empty_state
from dizoo.smac.battle.maps.layout import column_names
from dizoo.smac.battle.maps.rules import TICKS_PER_STEP, Profile
from dizoo.smac.battle.maps.scenario import Scenario, UnitType, load_scenario, own_rules
from dizoo.smac.battle.tables import build_world

WEAPON_DELAY_S = (-0.0625, 0.125)
"""StarCraft II's random part of each attack period, in Normal seconds (game data: RandomDelayMin, RandomDelayMax)."""

_OUTCOME_FIELDS = ("reward", "terminated", "truncated", "battle_won")
LINEUP_FIELDS = ("type", "start_x", "start_y")
"""Fields of KIND that are drawn; everything else follows from the type."""

_BATTLES_PER_TASK = 4  # smallest share of a batch worth waking a thread for
_NO_ORDERS = np.zeros((1, TICKS_PER_STEP, 0), dtype=np.int16)
_NO_FRAMES = np.zeros((0, 1, 1), dtype=FRAME)


class BattleEngine:
    """Many battles on one map, advanced together by compiled code.

    The engine owns all arrays and overwrites them in place; copy what you need after the next step. Letters: E battles,
    A agents, N actions, O observation size, S state size, U units (living and dead, by id).

    A finished battle (terminated or truncated) is frozen until it is reset: its actions are ignored, its reward is 0,
    and everything else stays as it was at the end.

    Attributes:
        scenario: the map and its rules.
        num_envs: E.
        agent_num: A.
        obs_shape: O.
        global_obs_shape: S.
        action_shape: N.
        episode_limit: steps after which a battle is truncated.
        agent_state: (E, A, O) float32, observations.
        global_state: (E, S) float32.
        action_mask: (E, A, N) bool, True where an action is allowed.
        reward: (E,) float64, of the last step.
        terminated: (E,) bool, the battle is over.
        truncated: (E,) bool, the episode limit ended the battle before it was decided.
        battle_won: (E,) bool.
        alive: (E, A) bool, the agent is in play.
        episode_length: (E,) int32, steps since the reset.
    """

    def __init__(
        self,
        map: str | Path | Mapping[str, Any] | Scenario,
        num_envs: int,
        seed: int = 0,
        rules: str | Profile | None = None,
        *,
        opponent: str | Sequence[str] | None = None,
        start_jitter: float = 0.0,
        jitter_share: float = 1.0,
        random_weapon_delay: bool = False,
        random_side: bool = False,
        num_threads: int | None = None,
        **profile_options: float,
    ) -> None:
        """Load the map and start all battles. The first engine compiles the kernels (see `needs_compile`).

        Args:
            map: name, path or content of a map, see `load_scenario`; or a `Scenario`, whose own rules apply.
            num_envs: number of battles, at least 1.
            seed: any integer; the randomness of battle e depends only on the seed, e and the actions.
            rules: ``"smaclite"``, ``"smac"``, ``"smacv2"`` or a `Profile`; default: what the map is meant for.
            opponent: how the enemies choose targets, one of `OPPONENTS`, or several, of which each battle draws one;
                default: as the rules say.
            start_jitter: move each start coordinate by up to this many cells; units stay on open ground and apart.
            jitter_share: share of the battles, in [0, 1], whose starts are moved; the others begin as the map says.
            random_weapon_delay: lengthen each attack period by a draw from `WEAPON_DELAY_S`.
            random_side: at each reset, a fair coin decides whether agents see the battle mirrored left to right.
            num_threads: threads that share the batch; default: one per available processor. Results do not depend on
                it.
            **profile_options: ``prob_obs_enemy``, ``action_mask``, ``num_fov_actions``, or fields of `Profile` that
                start with ``reward_``, such as ``reward_only_positive=False``.

        Raises:
            MapError: unknown or damaged map.
            BattleError: an unknown option, or one out of range.
        """
        if isinstance(map, Scenario):
            self.scenario = map
            if profile_options or opponent is not None:
                raise BattleError(
                    "reward options, opponent: a Scenario has its own. Change its profile, or pass the map's name."
                )
        else:
            chosen = profile_options if opponent is None else {**profile_options, "opponent": opponent}
            self.scenario = load_scenario(map, profile_with(own_rules(map) if rules is None else rules, chosen))
        self.num_envs = whole_number("num_envs", num_envs, 1)
        self.num_threads = _thread_count(num_threads)
        share = finite_number("jitter_share", jitter_share, 0.0, 1.0)
        jitter = finite_number("start_jitter", start_jitter, 0.0), share
        delay = WEAPON_DELAY_S if random_weapon_delay else (0.0, 0.0)
        self._world = build_world(self.scenario, jitter, delay, bool(random_side))
        self._unit_count = len(self._world.kinds)
        self._mark = generator_mark(self.scenario)
        self._allocate()
        self._pool: ThreadPoolExecutor | None = None
        self._pool_pid = -1
        self._frames = _NO_FRAMES
        self.reset(seed=seed)
        self._compile()

    def _compile(self) -> None:
        """Compile or load the remaining drivers (first engine of a process), so that no step has to wait for it."""
        if not step_battles.signatures:
            first_bad_action(self._actions, self._outputs)
            self._run(0, 0, _NO_ORDERS)
            mark_compiled(step_battles)

    def _allocate(self) -> None:
        scenario, n_envs = self.scenario, self.num_envs
        self.agent_num = scenario.n_agents
        self.obs_shape = scenario.obs_size
        self.global_obs_shape = scenario.state_size
        self.action_shape = scenario.n_actions
        self.episode_limit = scenario.episode_limit
        self.agent_state = np.zeros((n_envs, self.agent_num, self.obs_shape), np.float32)
        self.global_state = np.zeros((n_envs, self.global_obs_shape), np.float32)
        self.action_mask = np.zeros((n_envs, self.agent_num, self.action_shape), np.bool_)
        self.reward = np.zeros(n_envs)
        self.terminated = np.zeros(n_envs, np.bool_)
        self.truncated = np.zeros(n_envs, np.bool_)
        self.battle_won = np.zeros(n_envs, np.bool_)
        self.alive = np.zeros((n_envs, self.agent_num), np.bool_)
        self.episode_length = np.zeros(n_envs, np.int32)
        self._outputs = Outputs(*(getattr(self, name) for name in Outputs._fields))
        partial = scenario.profile.prob_obs_enemy < 1.0
        self._state = empty_state(n_envs, self._world.kinds, self.agent_num, scenario.is_drawn, partial)
        self._actions = np.zeros((n_envs, self.agent_num), np.int64)
        self._scratch = [
            empty_scratch(self._unit_count, len(scenario.rects)) for _ in range(min(self.num_threads, n_envs))
        ]

    @property
    def obs_names(self) -> list[str]:
        """Meaning of each of the O entries of an agent's observation."""
        return column_names(self.scenario.obs_layout)

    @property
    def state_names(self) -> list[str]:
        """Meaning of each of the S entries of the global state."""
        return column_names(self.scenario.state_layout)

    @property
    def units(self) -> Array:
        """(E, U) current state of all units by id, `state.UNIT` records such as ``units["hp"]``; read-only."""
        return self._state.units

    @property
    def battles(self) -> Array:
        """(E,) current state of each battle as a whole, `state.BATTLE` records; read-only."""
        return self._state.battles

    @property
    def kinds(self) -> Array:
        """(E, U) what is fixed about all units for the present battles, `state.KIND` records; read-only."""
        return np.broadcast_to(self._state.kinds, (self.num_envs, self._unit_count))

    @property
    def start_kind(self) -> Array:
        """(E,) int32, kind of start of each drawn battle, as an index into `generator.STARTS`; read-only."""
        return self._state.start_kind

    def lineup(self, battle: int) -> list[UnitType]:
        """Unit types of one battle, by unit id."""
        return [self.scenario.types[t] for t in self.kinds["type"][battle]]

    @property
    def agent_unit(self) -> Array:
        """(A,) unit id of each agent."""
        return self._world.agent_unit

    @property
    def enemy_unit(self) -> Array:
        """(K,) unit id of each enemy index."""
        return self._world.enemy_unit

    def reset(self, ids: ArrayLike | None = None, seed: int | None = None) -> None:
        """Restart battles and write their outputs.

        Args:
            ids: indices of the battles, or a (E,) bool mask; default: all.
            seed: restart the random streams of these battles as in a new engine with this seed, and clear the last
                actions in the global state; default: the streams continue.

        Raises:
            BattleError: an index out of range, or a seed that is not an integer.
        """
        chosen = battle_ids(ids, self.num_envs)
        if seed is not None:
            self._state.battles["stream_key"][chosen] = stream_keys(whole_number("seed", seed, None), chosen)
            self._state.battles["stream_count"][chosen] = 0
            self._state.last_action[chosen] = NO_ACTION
        reset_battles(self._world, self._state, self._outputs, chosen, True)

    def step(self, actions: ArrayLike) -> None:
        """Advance all running battles by one step of 8 ticks.

        Args:
            actions: (E, A) integers; ignored for battles that are over.

        Raises:
            ActionError: wrong shape or type, or an action that is not allowed; nothing has changed then.
        """
        self._check_actions(actions)
        self._run(BEGIN | FINISH, TICKS_PER_STEP, _NO_ORDERS, self._frames)

    def film(self, battles: int) -> Array:
        """Record the units of the first battles before every tick from now on, at the cost of copying them.

        Args:
            battles: number of battles (K), at most E; 0 stops recording.

        Returns:
            (K, 8 * episode_limit + 1, U) `state.FRAME` records, written by every `step` (but not by `begin_step` and
            the like). Row 8 * t + k of a battle is the moment before tick k of step t; after T steps, row 8 * T is the
            present. A restarted battle is overwritten.

        Raises:
            BattleError: not a number from 0 to E.
        """
        if whole_number("battles", battles, 0) > self.num_envs:
            raise BattleError(f"battles: found {battles}. It is at most {self.num_envs}.")
        rows = TICKS_PER_STEP * self.episode_limit + 1
        self._frames = np.empty((battles, rows, self._unit_count), FRAME) if battles else _NO_FRAMES
        return self._frames

    def begin_step(self, actions: ArrayLike) -> None:
        """Set the orders of a step without running it; complete it with `run_tick` eight times and `finish_step`.

        Arguments and errors are those of `step`.
        """
        self._check_actions(actions)
        self._run(BEGIN, 0, _NO_ORDERS)

    def run_tick(self, order: ArrayLike | None = None) -> None:
        """Run one tick of a step started by `begin_step`.

        The order of execution, (E, U) unit ids padded with -1, is drawn from each battle's stream by default.

        Raises:
            BattleError: an order of the wrong shape.
        """
        shape = (self.num_envs, 1, self._unit_count)
        self._run(0, 1, _NO_ORDERS if order is None else checked_orders(np.asarray(order)[:, None], shape))

    def finish_step(self) -> None:
        """Compute rewards, ends and outputs after the ticks of a step."""
        self._run(FINISH, 0, _NO_ORDERS)

    def step_in_order(self, actions: ArrayLike, orders: ArrayLike) -> None:
        """Advance like `step`, with the order of execution given instead of drawn.

        Args:
            actions: as for `step`.
            orders: (E, 8, U) unit ids in order of execution, padded with -1.

        Raises:
            ActionError: as for `step`.
            BattleError: orders of the wrong shape.
        """
        shape = (self.num_envs, TICKS_PER_STEP, self._unit_count)
        checked = checked_orders(np.asarray(orders), shape)
        self._check_actions(actions)
        self._run(BEGIN | FINISH, TICKS_PER_STEP, checked)

    def get_state(self, ids: ArrayLike | None = None) -> dict[str, Array]:
        """Copy everything that determines the battles' future, and the outcome of the last step.

        Args:
            ids: indices of the battles, or a (E,) bool mask; default: all.

        Raises:
            BattleError: an index out of range.
        """
        chosen = battle_ids(ids, self.num_envs)
        return {name: value[chosen] for name, value in self._state_arrays().items()}

    def set_state(self, state: Mapping[str, ArrayLike], ids: ArrayLike | None = None) -> None:
        """Restore what `get_state` returned from an engine with the same map or generator, outputs included.

        Args:
            state: arrays by name, with a row per battle.
            ids: indices of the battles to overwrite, or a (E,) bool mask; default: all.

        Raises:
            BattleError: an index out of range; a missing or unknown name, a wrong shape or type, or an impossible
                value. Nothing has changed then.
        """
        chosen = battle_ids(ids, self.num_envs)
        arrays = checked_state(state, self.get_state(chosen), self.scenario)
        for name, own in self._state_arrays().items():
            own[chosen] = arrays[name]
        reset_battles(self._world, self._state, self._outputs, chosen, False)

    def clone(self, source: ArrayLike) -> None:
        """Overwrite every battle with a copy of another, random stream and outputs included.

        Copies stay equal as long as they get the same actions.

        Args:
            source: (E,) integers; battle e becomes a copy of the present ``source[e]``.

        Raises:
            BattleError: not E valid indices; nothing has changed then.
        """
        given = np.asarray(source)
        if given.shape != (self.num_envs,) or not np.issubdtype(given.dtype, np.integer):
            raise BattleError(
                f"source: found {given.dtype} of shape {given.shape}. It is {self.num_envs} integers, one per battle."
            )
        chosen = battle_ids(given, self.num_envs)
        for array in (*self._state, *self._outputs):
            if len(array) == self.num_envs:  # a map that fixes its units has one lineup for all battles
                array[...] = array[chosen]

    def _state_arrays(self) -> dict[str, Array]:
        state = self._state
        arrays = {name: state.units[name] for name in UNIT.names or ()}
        drawn = len(self.scenario.profile.opponents) > 1
        arrays |= {name: state.battles[name] for name in BATTLE.names or () if name != "opponent" or drawn}
        if not self.scenario.profile.num_fov_actions:
            del arrays["look"]
        if self.scenario.is_drawn:
            arrays |= {name: state.kinds[name] for name in LINEUP_FIELDS}
            arrays |= {"start_kind": state.start_kind, "generator": np.full(self.num_envs, self._mark)}
        if state.sightings.size:
            arrays["sightings"] = state.sightings
        return arrays | {"last_action": state.last_action} | {name: getattr(self, name) for name in _OUTCOME_FIELDS}

    def close(self) -> None:
        """End the threads; the engine can still be used."""
        if self._pool is not None and self._pool_pid == os.getpid():
            self._pool.shutdown()
        self._pool = None

    def _run(self, parts: int, n_ticks: int, orders: Array, frames: Array = _NO_FRAMES) -> None:
        """Run the driver over the batch, in equal shares of consecutive battles."""
        shares = max(1, min(len(self._scratch), self.num_envs // _BATTLES_PER_TASK))
        bounds = [self.num_envs * i // shares for i in range(shares + 1)]

        def run(i: int) -> None:
            step_battles(
                self._world,
                self._state,
                self._outputs,
                self._scratch[i],
                self._actions,
                orders,
                frames,
                bounds[i],
                bounds[i + 1],
                parts,
                n_ticks,
            )

        others = [self._threads().submit(run, i) for i in range(1, shares)]
        run(0)
        for other in others:
            other.result()

    def _threads(self) -> ThreadPoolExecutor:
        """The helper threads; created anew in a forked child, which inherits none."""
        if self._pool is None or self._pool_pid != os.getpid():
            self._pool = ThreadPoolExecutor(len(self._scratch) - 1, thread_name_prefix="battle")
            self._pool_pid = os.getpid()
        return self._pool

    def _check_actions(self, actions: ArrayLike) -> None:
        """Store the actions, or raise with the engine unchanged."""
        given = np.asarray(actions)
        expected = (self.num_envs, self.agent_num)
        if given.shape != expected:
            raise ActionError(f"actions: found shape {given.shape}. It is {expected}: (battles, agents).")
        if not np.issubdtype(given.dtype, np.integer):
            raise ActionError(
                f"actions: found dtype {given.dtype}. Action ids are integers from 0 to {self.action_shape - 1}."
            )
        self._actions[...] = given
        bad = first_bad_action(self._actions, self._outputs)
        if bad >= 0:
            battle, agent = divmod(int(bad), self.agent_num)
            available = np.flatnonzero(self.action_mask[battle, agent]).tolist()
            status = "alive" if self.alive[battle, agent] else "dead"
            raise ActionError(
                f"actions[{battle}, {agent}]: found {given[battle, agent]}, which agent {agent} ({status}) of battle "
                f"{battle} may not take now. Available: {available}."
            )


def needs_compile() -> bool:
    """Whether the first engine will compile the kernels because this machine has no cache of them.

    Loading the cache takes a second or two, compiling half a minute. Call this before creating the first engine to
    tell the user what the wait is for.
    """
    marker = compiled_marker(step_battles)
    return not step_battles.signatures and (marker is None or not marker.exists())


def keeps_compiled() -> bool:
    """Whether compiled kernels are cached on this machine; if not, every process compiles them."""
    return compiled_marker(step_battles) is not None


def warm_up() -> None:
    """Compile the kernels now, or load them from the cache; later engines start at once."""
    BattleEngine("2m_vs_1z", 1, num_threads=1)


def _thread_count(num_threads: int | None) -> int:
    if num_threads is not None:
        return whole_number("num_threads", num_threads, 1)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
