"""Parallel environments of PettingZoo and of packages with the same interface, such as MPE (``mpe2``)."""

from __future__ import annotations

import functools
import importlib
import os
import pkgutil
import warnings
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
from easydict import EasyDict

from dimix.envs.game_env import Frame, GameEnv
from dimix.envs.packages import Package
from dimix.envs.vec_env import EnvInfo
from dimix.errors import ConfigError, EnvError, nearest
from dimix.registry import ENV_REGISTRY

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # these environments import pygame, which prints a greeting

#: Short names of families: module to import, and package to install. Other families are importable package names.
FAMILIES = {
    "mpe": Package("mpe2", "pip install 'dimix[mpe]'", "env.env_family='mpe'", ("pygame",)),
    "sisl": Package("pettingzoo.sisl", "pip install 'dimix[sisl]'", "env.env_family='sisl'", ("pygame", "scipy")),
    "butterfly": Package(
        "pettingzoo.butterfly",
        "pip install 'pettingzoo[butterfly]'",
        "env.env_family='butterfly'",
        ("pygame", "pymunk"),
    ),
}


@ENV_REGISTRY.register("petting_zoo")
class PettingZooGame(GameEnv):
    """A PettingZoo parallel environment; agents may have different observations and actions, and may leave early.

    ================  ===================================================================================
    observation       each agent's own, flat, padded with zeros; zeros for an agent that has left. Of a dict
                      with ``observation`` and ``action_mask``, the first is seen, the second obeyed
    global state      all agents' observations, or the environment's ``state()``, flat
    actions           as many as the agent with the most has; others have the first ones available. Where
                      there is an ``action_mask``, in the observation or the infos, only what it allows. An
                      agent that has left has action 0, which is not sent
    alive             agents in the environment's ``agents``
    reward            sum or mean over all agents
    end               no agent is left: ``truncated`` if one was truncated in the last step and none
                      terminated, else ``terminated``
    ================  ===================================================================================

    There is no win: an evaluation is scored by its return.

    Args:
        cfg: the config's ``env`` branch.

    Raises:
        ConfigError: a package is missing, there is no such environment, or it cannot be played here.
        EnvError: its first observation is invalid, see `reset`.
    """

    config: ClassVar[dict[str, Any]] = dict(
        # (str) Family: "mpe" (package mpe2), "sisl", "butterfly", or the name of any package with such modules.
        env_family="mpe",
        # (str) Module of the environment in its family; it has to have parallel_env.
        env_id="simple_spread_v3",
        # (dict) Arguments of parallel_env, such as dict(N=3, max_cycles=25).
        options={},
        # (str) The team's reward from the agents' rewards, one of "sum", "mean".
        team_reward="sum",
        # (str) Global state: all agents' observations, or the environment's state(), one of "observations", "state".
        global_state="observations",
        # (int | None) Steps after which an episode is cut; None: the environment's own max_cycles, >= 1.
        episode_limit=None,
    )

    packages: ClassVar[tuple[Package, ...]] = tuple(FAMILIES.values())

    def __init__(self, cfg: EasyDict) -> None:
        module = _module(cfg.env_family, cfg.env_id)
        try:
            self._env = module.parallel_env(**cfg.options)
        except (TypeError, AssertionError, ValueError) as e:
            raise ConfigError(f"env.options: {cfg.env_id} with {dict(cfg.options)} failed: {e}.") from e
        self._agents = list(self._env.possible_agents)
        self._playing: list[Any] = []
        start = self._env.reset(seed=0)
        spaces = [self._env.observation_space(agent) for agent in self._agents]
        sizes = [_size(space) for space in spaces]
        counts = [_action_count(cfg.env_id, agent, self._env.action_space(agent)) for agent in self._agents]
        agents = len(self._agents)
        self._state = _state_of(self._env, cfg) if cfg.global_state == "state" else None
        state_size = agents * max(sizes) if self._state is None else self._state().size
        limit = cfg.episode_limit or _max_cycles(self._env, cfg)
        self.info = EnvInfo(cfg.env_id, agents, max(sizes), state_size, max(counts), limit, has_win=False)
        self._share = 1.0 / agents if cfg.team_reward == "mean" else 1.0
        self._obs = np.zeros((agents, max(sizes)), np.float32)
        rows = [row[:size] for row, size in zip(self._obs, sizes, strict=True)]
        self._writers = [_writer(space, row) for space, row in zip(spaces, rows, strict=True)]
        self._actions = np.arange(max(counts)) < np.array(counts)[:, None]  # (A, N) that exist
        self._all_actions = None if self._actions.all() else self._actions
        self._begin(*start)

    def reset(self, seed: int) -> Frame:
        """Start an episode.

        Raises:
            EnvError: an ``action_mask`` of the wrong size or that allows nothing, or two that differ for one agent.
        """
        return self._begin(*self._env.reset(seed=seed))

    def step(self, action: np.ndarray) -> Frame:
        """Play one joint action; those of agents that have left are not sent. Raises like `reset`."""
        actions = dict(zip(self._agents, action.tolist(), strict=True))
        if len(self._playing) < len(self._agents):
            actions = {agent: actions[agent] for agent in self._playing}
        obs, rewards, terminations, truncations, infos = self._env.step(actions)
        self._playing = list(self._env.agents)  # read once: wrappers make it slow
        over = not self._playing
        truncated = over and any(truncations.values()) and not any(terminations.values())
        return self._frame(obs, infos, sum(rewards.values()) * self._share, over and not truncated, truncated)

    def close(self) -> None:
        """Close the environment's window, if any."""
        self._env.close()

    def _begin(self, obs: Mapping[str, Any], infos: Mapping[str, Any]) -> Frame:
        self._playing = list(self._env.agents)
        return self._frame(obs, infos)

    def _frame(
        self,
        obs: Mapping[str, Any],
        infos: Mapping[str, Any],
        reward: float = 0.0,
        terminated: bool = False,
        truncated: bool = False,
    ) -> Frame:
        for i, agent in enumerate(self._agents):
            seen = obs.get(agent)
            if seen is None:
                self._obs[i] = 0.0
            else:
                self._writers[i](seen)
        mask, alive = self._all_actions, None
        given = self._given_masks(obs, infos)
        if given or len(self._playing) < len(self._agents):
            mask, alive = self._masks(given)
        state = None if self._state is None else self._state()
        return Frame(self._obs, state, mask, alive, float(reward), terminated, truncated)

    def _given_masks(self, obs: Mapping[str, Any], infos: Mapping[str, Any]) -> dict[int, np.ndarray]:
        """Return the masks that the environment gives to playing agents, by agent number."""
        given = {}
        for i, agent in enumerate(self._agents):
            told = _told_masks(obs.get(agent), infos.get(agent)) if agent in self._playing else None
            if told:
                given[i] = _one_mask(f"{self.info.name}: action_mask of {agent}", told, int(self._actions[i].sum()))
        return given

    def _masks(self, given: Mapping[int, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return which actions may be taken (A, N), and which agents still act (A,)."""
        mask = self._actions.copy()
        for i, allowed in given.items():
            mask[i, : len(allowed)] = allowed
        alive = np.array([agent in self._playing for agent in self._agents])
        mask[~alive] = False
        mask[~alive, 0] = True
        return mask, alive


def _told_masks(obs: Any, info: Any) -> dict[str, np.ndarray]:
    """Return an agent's masks, by where they were found."""
    places = (("observation", obs), ("infos", info))
    return {
        place: np.asarray(shown["action_mask"], bool)
        for place, shown in places
        if isinstance(shown, Mapping) and "action_mask" in shown
    }


def _one_mask(where: str, told: Mapping[str, np.ndarray], count: int) -> np.ndarray:
    """Return the mask (count,) that was found in one place or several."""
    for place, mask in told.items():
        if mask.shape != (count,):
            raise EnvError(f"{where} in its {place}: shape {mask.shape}. Right is ({count},), one per action.")
        if not mask.any():
            raise EnvError(f"{where} in its {place}: allows no action. Right is one or more, while it is in agents.")
    masks = list(told.values())
    if not all(np.array_equal(mask, masks[0]) for mask in masks):
        found = ", ".join(f"{np.flatnonzero(mask).tolist()} in its {place}" for place, mask in told.items())
        raise EnvError(f"{where}: allows {found}. Right is the same in both places, or a mask in one of them.")
    return masks[0]


def _module(family: str, env_id: str) -> ModuleType:
    """Import the module with ``parallel_env``; raises ConfigError if there is none."""
    package = FAMILIES.get(family) or Package(family, f"pip install {family.partition('.')[0]}")
    try:
        home = package.load()
    except EnvError as e:
        known = "" if family in FAMILIES or package.installed else nearest(family, FAMILIES)
        raise ConfigError(f"env.env_family: {family}: {e}{known}") from e
    known_ids = [m.name for m in pkgutil.iter_modules(getattr(home, "__path__", [])) if "_v" in m.name]
    if env_id not in known_ids and known_ids:
        raise ConfigError(
            f"env.env_id: no environment '{env_id}' in {package.module}.{nearest(env_id, known_ids)} "
            f"Known: {', '.join(known_ids)}."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # newer releases want environments to be made by name
            module = importlib.import_module(f"{package.module}.{env_id}")
    except ImportError as e:
        raise ConfigError(
            f"env.env_id: importing {package.module}.{env_id} failed: {e}. Install it with: {package.install}"
        ) from e
    if not hasattr(module, "parallel_env"):
        raise ConfigError(f"env.env_id: {package.module}.{env_id} has no parallel_env. Agents have to act together.")
    return module


def _size(space: Any) -> int:
    from gymnasium import spaces

    return int(spaces.flatdim(space["observation"] if _has_mask(space) else space))


def _writer(space: Any, row: np.ndarray) -> Callable[[Any], None]:
    """Return a function that writes an agent's observation of this space, flat, into its row."""
    from gymnasium import spaces

    if _has_mask(space):
        inner = _writer(space["observation"], row)
        return lambda obs: inner(obs["observation"])
    if isinstance(space, spaces.Box):
        return functools.partial(row.reshape(space.shape).__setitem__, ...)  # one copy, for any number of axes
    return lambda obs: row.__setitem__(..., spaces.flatten(space, obs))


def _has_mask(space: Any) -> bool:
    from gymnasium import spaces

    return isinstance(space, spaces.Dict) and "action_mask" in space.spaces and "observation" in space.spaces


def _action_count(env_id: str, agent: str, space: Any) -> int:
    from gymnasium import spaces

    if not isinstance(space, spaces.Discrete):
        raise ConfigError(
            f"env.env_id: {agent} of {env_id} acts in {space}. These algorithms choose among numbered actions: "
            "use another environment, or an option such as continuous_actions=False."
        )
    return int(space.n)


def _state_of(env: Any, cfg: EasyDict) -> Callable[[], np.ndarray]:
    try:
        env.state()
    except (NotImplementedError, AttributeError) as e:
        raise ConfigError(f"env.global_state: 'state', but {cfg.env_id} has no state(). Use 'observations'.") from e
    return lambda: np.ravel(env.state())


def _max_cycles(env: Any, cfg: EasyDict) -> int:
    """The environment's own time limit: an attribute of it or of the simulation inside it."""
    bare = env.unwrapped
    for owner in (bare, getattr(bare, "env", None), getattr(bare, "aec_env", None)):
        limit = getattr(owner, "max_cycles", None)
        if limit is not None:
            return int(limit)
    raise ConfigError(
        f"env.episode_limit: not set, and {cfg.env_id} does not tell its max_cycles. Give the steps of an episode."
    )
