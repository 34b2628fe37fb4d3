"""The battle with the methods of SMAC's ``StarCraft2Env``, for code written for PyMARL."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dizoo.smac.battle.errors import BattleError
from dizoo.smac.battle.maps.rules import get_profile
from dizoo.smac.battle.maps.scenario import UnitType
from dizoo.smac.battle.text import nearest
from dizoo.smac.envs.dropin.single_battle import SingleBattle, random_seed

WITHOUT_MEANING = ("difficulty", "game_version", "replay_dir", "replay_prefix", "window_size_x", "window_size_y")
"""Arguments of SMAC's class that have no meaning without StarCraft II; any value is accepted."""

ONLY_THIS = {
    "step_mul": 8,
    "move_amount": 2,
    "obs_all_health": True,
    "obs_own_health": True,
    "obs_last_action": False,
    "obs_pathing_grid": False,
    "obs_terrain_height": False,
    "heuristic_ai": False,
    "heuristic_rest": False,
    "debug": False,
}
"""Arguments of SMAC's class of which only SMAC's default is built."""

ENGINE_OPTIONS = (
    "opponent",
    "prob_obs_enemy",
    "action_mask",
    "num_fov_actions",
    "start_jitter",
    "jitter_share",
    "random_weapon_delay",
    "random_side",
    "num_threads",
)
"""Options of `BattleEngine` that are passed on."""


class StarCraft2Env:
    """One battle with SMAC's interface: ``reset``, ``step``, ``get_obs``, ``get_state``, ``get_env_info`` ...

    As in SMAC, the map's episode limit ends an episode with ``terminated`` and does not count as a win.

    Args:
        map_name: name of a shipped map, path of a map file, or its content.
        seed: of the battle's random stream; None draws one.
        rules: ``"smac"`` (StarCraft II's stats, time scale, agent order and rewards as far as known) or ``"smaclite"``.
        continuing_episode: set ``info["episode_limit"] = True`` when the limit ends an episode.
        obs_instead_of_state: the state is all observations, concatenated.
        obs_timestep_number: observations end with the elapsed share of the episode limit.
        state_last_action: the state includes the last actions.
        state_timestep_number: the state ends with the elapsed share of the episode limit.
        reward_sparse: 1 for a win, -1 for a defeat, 0 otherwise (then scaled like any reward).
        reward_only_positive: own losses do not count.
        reward_death_value: reward for an enemy's death.
        reward_win: reward for a win.
        reward_defeat: reward for a defeat.
        reward_negative_scale: weight of own losses.
        reward_scale: divide by (max_reward / reward_scale_rate).
        reward_scale_rate: see ``reward_scale``.
        other: SMAC's other arguments, see `WITHOUT_MEANING` and `ONLY_THIS`, and `ENGINE_OPTIONS`.

    Raises:
        MapError: no such map.
        BattleError: an argument with an unsupported value.
    """

    def __init__(
        self,
        map_name: str | Path | Mapping[str, Any] = "8m",
        seed: int | None = None,
        rules: str = "smac",
        continuing_episode: bool = False,
        obs_instead_of_state: bool = False,
        obs_timestep_number: bool = False,
        state_last_action: bool = True,
        state_timestep_number: bool = False,
        reward_sparse: bool = False,
        reward_only_positive: bool = True,
        reward_death_value: float = 10,
        reward_win: float = 200,
        reward_defeat: float = 0,
        reward_negative_scale: float = 0.5,
        reward_scale: bool = True,
        reward_scale_rate: float = 20,
        **other: Any,
    ) -> None:
        options = _engine_options(other)
        profile = replace(
            get_profile(rules),
            reward_only_positive=reward_only_positive,
            reward_death_value=float(reward_death_value),
            reward_win=float(reward_win),
            reward_defeat=float(reward_defeat),
            reward_negative_scale=float(reward_negative_scale),
            reward_scale=reward_scale,
            reward_scale_rate=float(reward_scale_rate),
        )
        self._seed = random_seed() if seed is None else seed
        self._battle = SingleBattle(map_name, self._seed, profile, **options)
        s = self._battle.scenario
        self.scenario = s
        self.map_name = s.name
        self.n_agents, self.n_enemies, self.n_actions = s.n_agents, s.n_enemies, s.n_actions
        self.n_actions_no_attack, self.n_actions_move = s.first_target, s.obs_layout.can_move.size
        self.episode_limit = self._battle.episode_limit
        self.max_reward, self.reward_scale_rate = s.max_reward, reward_scale_rate
        self.shield_bits_ally, self.shield_bits_enemy = int(s.ally_has_shields), int(s.enemy_has_shields)
        self.unit_type_bits = s.num_type_slots
        self.obs_instead_of_state = obs_instead_of_state
        self.obs_timestep_number = obs_timestep_number
        self.state_last_action = state_last_action
        self._state_end = s.state_size if state_last_action else s.state_layout.last_actions.first
        self.state_timestep_number = state_timestep_number
        self.continuing_episode = continuing_episode
        self.reward_sparse = reward_sparse
        self._sparse_unit = reward_scale_rate / s.max_reward if reward_scale else 1.0
        self.last_action = np.zeros((s.n_agents, s.n_actions))
        self._episode_steps = 0
        self.battles_game = self.battles_won = self.timeouts = 0

    def reset(self) -> tuple[list[np.ndarray], np.ndarray]:
        """Start a new episode: (observations, state)."""
        self._battle.reset()
        self._episode_steps = 0
        self.last_action = np.zeros((self.n_agents, self.n_actions))
        return self.get_obs(), self.get_state()

    def step(self, actions: Sequence[int]) -> tuple[float, bool, dict[str, Any]]:
        """Play one step: (reward, terminated, info).

        Raises:
            ActionError: an unavailable action, or not one integer per agent; nothing has changed then.
            BattleError: no episode is running.
        """
        chosen = [int(a) for a in actions]
        reward = self._battle.step(chosen)
        self.last_action = np.eye(self.n_actions)[chosen]
        self._episode_steps += 1
        won, over, cut = self._battle.battle_won, self._battle.terminated, self._battle.truncated
        info: dict[str, Any] = {
            "battle_won": won,
            "dead_allies": self._battle.alive.count(False),
            "dead_enemies": self._battle.enemies_alive.count(False),
        }
        if over or cut:
            self.battles_game += 1
            self.battles_won += won
            self.timeouts += cut
        if cut and self.continuing_episode:
            info["episode_limit"] = True
        if self.reward_sparse:
            reward = (1.0 if won else -1.0 if over and any(self._battle.enemies_alive) else 0.0) * self._sparse_unit
        return reward, over or cut, info

    def get_obs(self) -> list[np.ndarray]:
        """All observations, (O,) float32 each."""
        rows = self._battle.observations()
        return [self._with_time(row) for row in rows] if self.obs_timestep_number else list(rows)

    def get_obs_agent(self, agent_id: int) -> np.ndarray:
        """One agent's observation."""
        return self.get_obs()[agent_id]

    def get_obs_size(self) -> int:
        """Length of an observation."""
        return self.scenario.obs_size + self.obs_timestep_number

    def get_state(self) -> np.ndarray:
        """The global state."""
        if self.obs_instead_of_state:
            return np.concatenate(self.get_obs())
        state = self._battle.state()[: self._state_end]
        return self._with_time(state) if self.state_timestep_number else state

    def get_state_size(self) -> int:
        """Length of the global state."""
        if self.obs_instead_of_state:
            return self.get_obs_size() * self.n_agents
        return self._state_end + self.state_timestep_number

    def get_avail_actions(self) -> list[list[int]]:
        """Return 1 for each action of each agent that is available now, else 0."""
        return self._battle.masks().astype(int).tolist()

    def get_avail_agent_actions(self, agent_id: int) -> list[int]:
        """One agent's available actions."""
        return self.get_avail_actions()[agent_id]

    def get_total_actions(self) -> int:
        """Number of actions (N)."""
        return self.n_actions

    def get_env_info(self) -> dict[str, int]:
        """Return sizes, under the names that PyMARL reads."""
        return {
            "state_shape": self.get_state_size(),
            "obs_shape": self.get_obs_size(),
            "n_actions": self.n_actions,
            "n_agents": self.n_agents,
            "episode_limit": self.episode_limit,
        }

    def get_obs_move_feats_size(self) -> int:
        """Length of the observation's part on moves."""
        return self.scenario.obs_layout.can_move.size

    def get_obs_enemy_feats_size(self) -> tuple[int, int]:
        """(enemies, length of one enemy's part of the observation)."""
        return self.n_enemies, self.scenario.obs_layout.enemies.size

    def get_obs_ally_feats_size(self) -> tuple[int, int]:
        """(other allies, length of one ally's part of the observation)."""
        return self.n_agents - 1, self.scenario.obs_layout.other_allies.size

    def get_obs_own_feats_size(self) -> int:
        """Length of the observation's part on the agent itself, including the time step."""
        return self.scenario.obs_layout.own.size + self.obs_timestep_number

    def get_visibility_matrix(self) -> np.ndarray:
        """(A, A + enemies) bool: which other units each agent sees; none for dead agents."""
        obs = np.stack(self._battle.observations())
        layout = self.scenario.obs_layout
        # A visible unit has more than 0 hit points in its part.
        enemies, others = (block.read(obs, "hp") > 0 for block in (layout.enemies, layout.other_allies))
        matrix = np.zeros((self.n_agents, self.n_agents + self.n_enemies), dtype=bool)
        for agent in range(self.n_agents):
            matrix[agent, np.delete(np.arange(self.n_agents), agent)] = others[agent]
        matrix[:, self.n_agents :] = enemies
        return matrix

    def unit_sight_range(self, agent_id: int) -> float:
        """How far an agent sees, in cells."""
        return self.scenario.sight(self._type(agent_id))

    def unit_shoot_range(self, agent_id: int) -> float:
        """How far an agent can target, in cells."""
        return self.scenario.target_range(self._type(agent_id))

    def _type(self, agent_id: int) -> UnitType:
        engine = self._battle.engine
        return engine.lineup(0)[engine.agent_unit[agent_id]]

    def get_stats(self) -> dict[str, float]:
        """Return the number of games played, won, and ended by the episode limit."""
        return {
            "battles_won": self.battles_won,
            "battles_game": self.battles_game,
            "battles_draw": self.timeouts,
            "win_rate": self.battles_won / self.battles_game if self.battles_game else 0.0,
            "timeouts": self.timeouts,
            "restarts": 0,
        }

    def seed(self) -> int:
        """The seed of the random stream."""
        return self._seed

    def render(self, mode: str = "ansi") -> str:
        """Return the battle as text, whatever the mode."""
        return self._battle.text()

    def save_replay(self) -> None:
        """Not available here: there is no StarCraft II replay.

        Raises:
            BattleError: always; dimix records its own replays.
        """
        raise BattleError("save_replay: there is no StarCraft II here. Record games with: dimix -m replay")

    def close(self) -> None:
        """Do nothing: there is nothing to release."""

    def _with_time(self, row: np.ndarray) -> np.ndarray:
        return np.append(row, np.float32(self._episode_steps / self.episode_limit))


def _engine_options(other: dict[str, Any]) -> dict[str, Any]:
    """Pick the engine's options from the extra arguments and check the rest."""
    for key, value in other.items():
        if key in ONLY_THIS and value != ONLY_THIS[key]:
            raise BattleError(f"StarCraft2Env: {key} is {value!r}. Only {key}={ONLY_THIS[key]!r} is built.")
        if key not in (*ONLY_THIS, *WITHOUT_MEANING, *ENGINE_OPTIONS):
            own = [name for name in inspect.signature(StarCraft2Env).parameters if name != "other"]
            hint = nearest(key, [*own, *ONLY_THIS, *WITHOUT_MEANING, *ENGINE_OPTIONS])
            raise BattleError(f"StarCraft2Env: unknown argument '{key}'.{hint}")
    return {key: value for key, value in other.items() if key in ENGINE_OPTIONS}
