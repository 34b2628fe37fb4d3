"""Level-based foraging (Albrecht and Ramamoorthy 2013; Papoudakis et al. 2021), package ``lbforaging``."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from easydict import EasyDict

from dimix.envs.game_env import Frame, GameEnv
from dimix.envs.packages import Package
from dimix.envs.vec_env import EnvInfo
from dimix.errors import ConfigError, nearest
from dimix.registry import ENV_REGISTRY


@ENV_REGISTRY.register("lbf")
class LBFGame(GameEnv):
    """Level-based foraging: agents on a grid collect food, some of which needs several agents.

    ================  ===================================================================================
    observation       the package's: (y, x, level) of each food in sight, then of the agent itself and of
                      the others in sight; (-1, -1, 0) if there is none; in cells, from the corner of the
                      agent's view; each divided by its largest value (``obs_normalize``)
    global state      all agents' observations
    actions           none, north, south, west, east, load; all are always available, impossible ones do
                      nothing
    reward            sum or mean of the agents' rewards. With ``normalize_reward`` (the package's default)
                      and the sum, an episode in which all food is eaten returns 1
    end               all food eaten (``terminated``) or ``max_episode_steps`` (``truncated``; the package
                      does not distinguish them)
    ================  ===================================================================================

    There is no win: an evaluation is scored by its return.

    Args:
        cfg: the config's ``env`` branch.

    Raises:
        ConfigError: the package is missing, or ``env_id`` or an option is unknown to it.
    """

    config: ClassVar[dict[str, Any]] = dict(
        # (str) Name that the package registers: Foraging[-2s]-<size>x<size>-<agents>p-<foods>f[-coop]-v3.
        env_id="Foraging-8x8-2p-2f-coop-v3",
        # (str) The team's reward from the agents' rewards, one of "sum", "mean".
        team_reward="sum",
        # (bool) Divide what is observed by the largest value that the package gives for it: numbers from -1 to 1.
        obs_normalize=False,
        # (dict) Arguments of the package's environment that replace those of env_id, such as max_episode_steps.
        options={},
    )

    packages: ClassVar[tuple[Package, ...]] = (Package("lbforaging", "pip install 'dimix[lbf]'"),)

    def __init__(self, cfg: EasyDict) -> None:
        self.packages[0].load()  # registers the names
        import gymnasium
        from gymnasium.envs.registration import load_env_creator

        if cfg.env_id not in gymnasium.registry:
            known = [name for name in gymnasium.registry if name.startswith("Foraging")]
            raise ConfigError(f"env.env_id: no foraging environment '{cfg.env_id}'.{nearest(cfg.env_id, known)}")
        try:
            # Not gymnasium.make, which hides max_episode_steps and wraps the game in checks.
            spec = gymnasium.spec(cfg.env_id)
            create: Any = spec.entry_point if callable(spec.entry_point) else load_env_creator(str(spec.entry_point))
            self._env = create(**{**spec.kwargs, **cfg.options})
        except (TypeError, AssertionError) as e:
            raise ConfigError(f"env.options: {cfg.env_id} with {dict(cfg.options)} failed: {e}.") from e
        agents = len(self._env.players)
        obs = int(np.prod(self._env.observation_space[0].shape))
        self._share = 1.0 / agents if cfg.team_reward == "mean" else 1.0
        high = np.maximum(self._env.observation_space[0].high.reshape(-1), 1.0)
        self._factor = (1.0 / high).astype(np.float32) if cfg.obs_normalize else None
        self._obs = np.zeros((agents, obs), np.float32)
        self._flat_obs = self._obs.reshape(-1)
        limit = self._env._max_episode_steps
        self.info = EnvInfo(cfg.env_id, agents, obs, agents * obs, len(_ACTIONS), limit, has_win=False)

    def reset(self, seed: int) -> Frame:
        """Start an episode."""
        for player in self._env.players:
                player.position = None  # else the last episode's positions restrict new ones, whatever the seed
        obs, _ = self._env.reset(seed=seed)
        return Frame(self._rows(obs))

    def step(self, action: np.ndarray) -> Frame:
        """Play one joint action."""
        obs, rewards, over, _, _ = self._env.step(action.tolist())
        rows, reward = self._rows(obs), sum(rewards) * self._share
        if not over:
            return Frame(rows, None, None, None, reward)
        eaten = not self._env.field.any()
        return Frame(rows, reward=reward, terminated=eaten, truncated=not eaten)

    def close(self) -> None:
        """Close the package's window, if any."""
        self._env.close()

    def _rows(self, obs: tuple[np.ndarray, ...]) -> np.ndarray:
        np.concatenate(obs, axis=None, out=self._flat_obs)
        if self._factor is not None:
            self._obs *= self._factor
        return self._obs


_ACTIONS = ("none", "north", "south", "west", "east", "load")
