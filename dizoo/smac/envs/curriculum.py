"""Training battles that begin in the middle of won games: ``env.backplay``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from easydict import EasyDict

from dimix.envs.curriculum import Curriculum
from dimix.errors import EnvError
from dizoo.smac.battle.errors import BattleError
from dizoo.smac.envs.battle_vec_env import BattleVecEnv
from dizoo.smac.search.backplay import Backplay
from dizoo.smac.search.search import won_games


class BackplayCurriculum(Curriculum):
    """Searches for won games once, then begins battles in them; see `dizoo.smac.search.backplay`.

    Args:
        env: the battles.
        cfg: the branch ``env.backplay``.
        seed: of the search, and of the choice among its games.
    """

    def __init__(self, env: BattleVecEnv, cfg: EasyDict, seed: int) -> None:
        self._env, self._cfg, self._seed = env, cfg, seed
        self._backplay: Backplay | None = None  # created by `prepare` or by loading a state

    @property
    def backplay(self) -> Backplay:
        """The chooser, once prepared or loaded."""
        assert self._backplay is not None, "neither prepared nor loaded"
        return self._backplay

    def prepare(self, out: Callable[[str], None]) -> None:
        """Search for won games.

        Raises:
            EnvError: none was found.
        """
        cfg, engine = self._cfg, self._env.engine
        scenario = engine.scenario
        out(f"looking for won games of {scenario.name}, for battles to begin in")
        options = dict(battles=cfg.battles, rounds=cfg.rounds, seed=self._seed, threads=engine.num_threads)
        plans = won_games(scenario, cfg.n_episode, say=out, **options)
        if not plans:
            raise EnvError(
                f"env.backplay: no won game of {scenario.name} found in {cfg.rounds} rounds. More env.backplay.rounds "
                "may find one; env.backplay.share=0 does without."
            )
        lengths = [len(plan.actions) for plan in plans]
        out(
            f"battles begin in {len(plans)} won games of {len({plan.family for plan in plans})} rounds, "
            f"{min(lengths)} to {max(lengths)} steps long"
        )
        self._backplay = Backplay(
            scenario, plans, self._env.num_envs, cfg.share, cfg.follow, cfg.explore, self._seed
        )

    def reset(self, env_ids: np.ndarray) -> None:
        """Start new battles, some in the middle of a game; now and then report how these are won."""
        env, backplay = self._env, self.backplay
        backplay.ended(env_ids, env.battle_won)
        env.reset(env_ids)
        backplay.begin(env.engine, env_ids)
        env.refresh()
        if news := backplay.news():
            env.out(news)

    def epsilon(self, epsilon: float) -> float | np.ndarray:
        """See `Curriculum.epsilon`: 0 where random actions have ended."""
        explores = self.backplay.explores(self._env.engine)
        return epsilon if explores is None else epsilon * explores

    def action(self, action: np.ndarray) -> np.ndarray:
        """See `Curriculum.action`: the game's own where a battle still follows it."""
        shown = self.backplay.demonstration(self._env.engine)
        return np.where(shown >= 0, shown, action)

    def state_dict(self) -> dict[str, Any]:
        """Return games, win rates and choices; empty before `prepare`."""
        return {} if self._backplay is None else self._backplay.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned.

        Raises:
            EnvError: its games belong to another map.
        """
        if not state:
            return
        cfg, scenario = self._cfg, self._env.engine.scenario
        try:
            self._backplay = Backplay.from_state_dict(scenario, state, cfg.share, cfg.follow, cfg.explore)
        except BattleError as error:
            raise EnvError(f"won games cannot be restored: {error}") from error
