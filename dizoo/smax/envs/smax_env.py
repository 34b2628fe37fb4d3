"""SMAX, JaxMARL's battles without StarCraft II (Rutherford et al. 2023), stepped as one compiled batch."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from easydict import EasyDict

from dimix.envs.family import EnvFamily
from dimix.envs.games.arrays import as_ids, check_actions, map_arrays
from dimix.envs.packages import Package
from dimix.envs.vec_env import EnvInfo, VecEnv
from dimix.errors import ConfigError, EnvError, nearest
from dimix.registry import ENV_REGISTRY

JAXMARL = Package("jaxmarl", "pip install 'dimix[smax]'")
_ROLES = ("collect", "evaluate")
_NUMBERS = ("agent_state", "global_state", "reward", "episode_length")
_FLAGS = ("action_mask", "alive", "terminated", "truncated", "battle_won")
_RESET_TOGETHER = 4  # games; most resets are of one or two
_ENV_KEYS = ("see_enemy_actions", "walls_cause_death", "observation_type", "attack_mode", "enemy_shoots")


class _Carry(NamedTuple):
    """E games between two steps, as jax arrays.

    Outputs are packed into two arrays, because each array passed to numpy costs about 20 us.

    Attributes:
        state: SMAX's own state.
        key: (E, 2) uint32, each game's random stream.
        over: (E,) bool, terminated or truncated.
        numbers: (E, A * O_base + S + 2) float32, the fields `_NUMBERS` of `VecEnv`, concatenated.
        flags: (E, A * N + A + 3) bool, the fields `_FLAGS`.
    """

    state: Any
    key: Any
    over: Any
    numbers: Any
    flags: Any


class _Compiled(NamedTuple):
    """One map of SMAX.

    Attributes:
        info: sizes.
        begin: (E, 2) keys -> the games at the start of their first episode.
        reset: (games, (K,) indices) -> the games, with new episodes in those listed.
        step: (games, action (E, A)) -> the games; finished ones are unchanged, with reward 0.
    """

    info: EnvInfo
    begin: Callable[[Any], _Carry]
    reset: Callable[[_Carry, Any], _Carry]
    step: Callable[[_Carry, Any], _Carry]


@ENV_REGISTRY.register("smax")
class SMAXEnv(EnvFamily, VecEnv):
    """E battles of SMAX against its scripted enemy, on one of its maps.

    Observations (``unit_list`` or ``conic``), global state, units and rules are SMAX's own: no shields or healers,
    starts drawn anew in every episode. The team's reward is the enemy's loss of health as a share of its whole team,
    plus 1 for a win: 2 in total. (JaxMARL's Q-learners multiply it by 10: ``policy.learn.reward_scale``.) A battle in
    which both sides die together ends without a win. SMAX reports the time limit as an end; here it is ``truncated``.

    Steps are ``jit(vmap(step_env))`` without SMAX's automatic reset, as a finished game waits for `reset`. jax runs on
    the CPU unless the environment variable JAX_PLATFORMS is set.

    Args:
        cfg: the config's ``env`` branch, defaults merged in.
        num_envs: battles (E).
        seed: of all battles; each has its own stream, derived from the seed and its index.

    Raises:
        ConfigError: SMAX has no such map.
        EnvError: jaxmarl is not installed, or ``num_envs`` is below 1.
    """

    config: ClassVar[dict[str, Any]] = dict(
        # (str) Map: one of SMAX's scenarios, such as "3m", "2s3z", "smacv2_5_units".
        map_name="3m",
        # (int) Steps after which a battle is cut, >= 1.
        episode_limit=100,
        # (str) What an agent sees: every unit in sight, or the nearest two of each of 32 sectors, one of "unit_list",
        # "conic".
        observation_type="unit_list",
        # (bool) Bring positions and cooldowns of the global state into [0, 1]; SMAX gives positions up to 32, and
        # cooldowns that go on falling below 0 while a unit does not shoot.
        state_normalize=False,
        # (bool) Agents see which way an enemy in sight moved, and what it shot at.
        see_enemy_actions=True,
        # (bool) A unit that touches the edge of the map dies.
        walls_cause_death=True,
        # (str) Whom the enemies shoot at, one of "closest", "random".
        attack_mode="closest",
        # (bool) Whether the enemies shoot at all.
        enemy_shoots=True,
        collector_env_num=32,
        evaluator_env_num=32,
        n_evaluator_episode=64,
        # (float) Share of games won, over the last evaluations, at which training stops; above 1 it never does, > 0.
        stop_value=0.95,
    )

    packages: ClassVar[tuple[Package, ...]] = (JAXMARL,)

    def __init__(self, cfg: EasyDict, num_envs: int, seed: int) -> None:
        if num_envs < 1:
            raise EnvError(f"num_envs: {num_envs}. Right is 1 or more.")
        self._compiled = _compile(*_options(cfg), cfg.state_normalize)
        self.info = self._compiled.info
        self.num_envs = num_envs
        self._arrays = map_arrays(self.info, num_envs)
        for name in (*_NUMBERS, *_FLAGS):
            setattr(self, name, getattr(self._arrays, name))
        streams = [np.random.SeedSequence([seed, e]).generate_state(2, np.uint32) for e in range(num_envs)]
        self._show(self._compiled.begin(np.stack(streams)))

    @classmethod
    def describe(cls, cfg: EasyDict) -> EnvInfo:
        """Return the sizes of the map in a config's ``env`` branch, without compiling anything.

        Raises:
            ConfigError: SMAX has no such map.
            EnvError: jaxmarl is not installed.
        """
        return _describe(_make(*_options(cfg)), cfg.map_name)

    @classmethod
    def create(cls, cfg: EasyDict, role: str, num_envs: int, seed: int) -> SMAXEnv:
        """Create the environment of a config's ``env`` branch for ``"collect"`` or ``"evaluate"``.

        Raises:
            EnvError: no such role, or jaxmarl is not installed.
        """
        if role not in _ROLES:
            raise EnvError(f"environment role '{role}'. Right is one of {', '.join(_ROLES)}.")
        return cls(cfg, num_envs, seed)

    def reset(self, env_ids: Sequence[int] | np.ndarray | None = None) -> None:
        """Start new battles in the given places (None: all)."""
        carry, ids = self._carry, as_ids(env_ids, self.num_envs)
        for first in range(0, len(ids), _RESET_TOGETHER):
            some = ids[first : first + _RESET_TOGETHER]
            carry = self._compiled.reset(carry, np.array(some + some[-1:] * (_RESET_TOGETHER - len(some))))
        self._show(carry)

    def step(self, action: np.ndarray) -> None:
        """Advance every running battle by one step; see `VecEnv.step`."""
        check_actions(action, self._arrays, ~(self.terminated | self.truncated))
        self._show(self._compiled.step(self._carry, action.astype(np.int32)))

    def state_dict(self) -> dict[str, Any]:
        """Return all battles with their random streams, as arrays."""
        jax = _jax()
        return {"leaves": [np.array(leaf) for leaf in jax.tree.leaves(self._carry)]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore exactly what ``state_dict`` returned.

        Raises:
            EnvError: it belongs to another map or another number of battles.
        """
        jax = _jax()
        leaves, tree = jax.tree.flatten(self._carry)
        shapes = [leaf.shape for leaf in leaves]
        found = [np.shape(leaf) for leaf in state["leaves"]]
        if found != shapes:
            raise EnvError(f"battles cannot be restored: arrays of shapes {found}. Right is {shapes}.")
        self._show(jax.tree.unflatten(tree, [jax.numpy.asarray(leaf) for leaf in state["leaves"]]))

    def _show(self, carry: _Carry) -> None:
        self._carry = carry
        for names, shown in ((_NUMBERS, np.asarray(carry.numbers)), (_FLAGS, np.asarray(carry.flags))):
            first = 0
            for name in names:
                array = getattr(self, name)
                last = first + array[0].size
                array[...] = shown[:, first:last].reshape(array.shape)
                first = last


def _options(cfg: EasyDict) -> tuple[str, int, tuple[tuple[str, Any], ...]]:
    return cfg.map_name, cfg.episode_limit, tuple((key, cfg[key]) for key in _ENV_KEYS)


def _jax() -> Any:
    """Import jax, on the CPU unless the user chose otherwise: torch needs the GPU's memory for itself."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    return Package("jax", JAXMARL.install).load()


def _make(map_name: str, episode_limit: int, options: tuple[tuple[str, Any], ...]) -> Any:
    """Create SMAX with its scripted enemy; raises ConfigError or EnvError if that is not possible."""
    _jax()
    smax = JAXMARL.load("environments.smax")
    maps = JAXMARL.load("environments.smax.smax_env").MAP_NAME_TO_SCENARIO
    if map_name not in maps:
        raise ConfigError(
            f"env.map_name: SMAX has no map '{map_name}'.{nearest(map_name, maps)} Known: {', '.join(maps)}."
        )
    return smax.HeuristicEnemySMAX(scenario=maps[map_name], max_steps=episode_limit, **dict(options))


def _describe(env: Any, map_name: str) -> EnvInfo:
    first = env.agents[0]
    return EnvInfo(
        map_name,
        env.num_agents,
        int(env.observation_space(first).shape[0]),
        int(env.state_size),
        int(env.action_space(first).n),
        int(env.max_steps),
        has_jitter=False,
    )


@functools.cache
def _compile(
    map_name: str, episode_limit: int, options: tuple[tuple[str, Any], ...], state_normalize: bool
) -> _Compiled:
    """Compile the functions of one map; training and evaluation share them, and with equal E their compiled form."""
    jax = _jax()
    jnp = jax.numpy
    env = _make(map_name, episode_limit, options)
    agents = env.agents

    units, size = env.num_allies + env.num_enemies, len(env.own_features)
    limits = jnp.array([env.map_width, env.map_height, env.unit_type_weapon_cooldowns.max()])

    def world(obs: Any) -> Any:
        """Global state: health, x, y, cooldown and type of each unit, then all units' teams and types."""
        state = obs["world_state"]
        if not state_normalize:
            return state
        each = state[: units * size].reshape(units, size)
        each = each.at[:, 1:4].set(jnp.clip(each[:, 1:4] / limits, 0.0, 1.0))
        return state.at[: units * size].set(each.reshape(-1))

    def show(state: Any, key: Any, obs: Any, reward: Any) -> _Carry:
        battle = state.state
        mask = env.get_avail_actions(state)
        alive = battle.unit_alive[: len(agents)]
        fights, enemy_fights = alive.any(), battle.unit_alive[len(agents) :].any()
        terminated = ~(fights & enemy_fights)
        truncated = ~terminated & (battle.step >= episode_limit)
        seen = [obs[agent] for agent in agents]
        numbers = [*seen, world(obs), jnp.stack([jnp.asarray(reward), jnp.asarray(battle.step)])]
        flags = [
            *(mask[agent] > 0 for agent in agents),
            alive,
            jnp.stack([terminated, truncated, fights & ~enemy_fights]),
        ]
        return _Carry(
            state,
            key,
            terminated | truncated,
            jnp.concatenate([part.astype(jnp.float32) for part in numbers]),
            jnp.concatenate(flags),
        )

    def begin(key: Any) -> _Carry:
        key, now = jax.random.split(key)
        obs, state = env.reset(now)
        strong = jax.tree.map(lambda leaf: jax.lax.convert_element_type(leaf, leaf.dtype), state)
        return show(strong, key, obs, 0.0)

    def reset(games: _Carry, ids: Any) -> _Carry:
        # Types are cast to those of `games`: a different one would compile everything a second time.
        fresh = jax.vmap(begin)(games.key[ids])
        return jax.tree.map(lambda old, new: old.at[ids].set(new.astype(old.dtype)), games, fresh)

    def step(game: _Carry, action: Any) -> _Carry:
        key, now = jax.random.split(game.key)
        obs, state, reward, _, _ = env.step_env(now, game.state, dict(zip(agents, action, strict=True)))
        still = game._replace(numbers=game.numbers.at[-2].set(0.0))
        played = show(state, key, obs, reward[agents[0]])
        return jax.tree.map(lambda a, b: jnp.where(game.over, a, b).astype(a.dtype), still, played)

    return _Compiled(_describe(env, map_name), jax.jit(jax.vmap(begin)), jax.jit(reset), jax.jit(jax.vmap(step)))
