"""SMAC battles for training: config keys and backends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from easydict import EasyDict

from dimix.envs.curriculum import Curriculum
from dimix.envs.family import EnvFamily
from dimix.envs.game_env import ManagerKeys
from dimix.envs.mixed import MixedVecEnv, mixed_info
from dimix.envs.packages import Package
from dimix.envs.recordable import GameEnd
from dimix.envs.vec_env import EnvInfo, VecEnv
from dimix.errors import ConfigError, EnvError
from dimix.registry import ENV_REGISTRY
from dizoo.smac.battle import BattleEngine, keeps_compiled, needs_compile
from dizoo.smac.battle.checks import profile_with
from dizoo.smac.battle.errors import BattleError, MapError
from dizoo.smac.battle.maps.scenario import Scenario, load_scenario, map_files, map_names, own_rules, task_names
from dizoo.smac.battle.recording.replay import Replay, load_replay
from dizoo.smac.battle.teams.floors import measure
from dizoo.smac.battle.teams.scripted import TEAMS
from dizoo.smac.envs.battle_vec_env import BattleVecEnv
from dizoo.smac.envs.games.backends import GAMES, PLAY_KEYS, check_keys, check_variation
from dizoo.smac.envs.games.sc2_game import REWARD_KEYS, SMAC, SMACV2
from dizoo.smac.envs.games.smaclite_game import SMACLITE
from dizoo.smac.envs.map_info import map_info

FLOOR_GAMES = 64  # of each scripted team, for `SMACEnv.floors`
LEAST_DRAWN_GAMES = 128
"""Games of an evaluation on drawn battles: the win rate's standard deviation is at most 0.044."""

_ROLES = {"collect": 0, "evaluate": 1, "evaluate_jitter": 2}


@ENV_REGISTRY.register("smac")
class SMACEnv(ManagerKeys, EnvFamily):
    """SMAC battles, played by the compiled engine or another ``backend``.

    The engine plays them as a `BattleVecEnv`; other backends play them one at a time, as `SmacliteGame` or `SC2Game`.
    """

    config: ClassVar[dict[str, Any]] = dict(
        # (str | list of str) Map: one of SMAC's 23 or SMACv2's 15 (list them with: dimix -q map), or the path of a map
        # file; a list of shipped maps with the same unit columns: battles on all of them, side by side.
        map_name="MMM",
        # (str) What plays the battles: the compiled engine, the real SMAClite package, or StarCraft II through SMAC or
        # SMACv2, one of "engine", "smaclite", "sc2".
        backend="engine",
        # (str | None) Rules: SMAClite's, or as close to StarCraft II's SMAC or SMACv2 as known; None: "smacv2" on maps
        # that draw teams and starts, else "smaclite", one of "smaclite", "smac", "smacv2".
        rules=None,
        # (str | list of str | None) How enemies choose targets: those in scan range on the way to the attack point; the
        # nearest agent until it is dead; or the nearest anew unless they can shoot. A list: each battle draws one of
        # these; one named twice comes twice as often. None: "chase" with the rules "smacv2", else "attack_move", one of
        # "attack_move", "chase", "near".
        opponent=None,
        # (float) Chance, drawn once, that an agent may ever see an enemy that another agent saw first (extended partial
        # observability, as in SMACv2); 1: off, in [0, 1].
        prob_obs_enemy=1.0,
        # (bool) Agents may name only targets in range; else every living one, and an order out of range is not sent.
        action_mask=True,
        # (int) Number of directions that an agent may look in, by an action each; it sees and may name only what is in
        # the cone of 360 degrees / num_fov_actions around its own (SMACv2's conic field of view, which has 12); 0:
        # agents see all around, in [0, 360].
        num_fov_actions=0,
        collector_env_num=32,
        evaluator_env_num=32,
        # (float) Share of games won, over the last evaluations, at which training stops; above 1 it never does, > 0.
        stop_value=0.95,
        # (bool) Agents see the number of the step, one-hot, instead of the battle: a floor that shows what a map asks
        # of observation. The action mask stays, as does the global state, which only training reads.
        open_loop=False,
        # (int | None) Number of agents; checked against the map if given, >= 1.
        agent_num=None,
        # (float) Training: every unit's start is moved by up to so many cells along each axis, >= 0.
        start_jitter=0.0,
        # (float) Training: share of the battles whose starts are moved; the others begin at the map's own, in [0, 1].
        jitter_share=1.0,
        # (bool) Training: lengthen each attack's cooldown by StarCraft II's small random part.
        random_weapon_delay=False,
        # (bool) Training: a fair coin mirrors each battle left to right.
        random_side=False,
        backplay=dict(
            # (float) Training: share of the battles that begin in the middle of won games, which a search finds before
            # the first one (its steps are not counted as env steps); 0: none, and no search, in [0, 1].
            share=0.0,
            # (float) Share of these that follow the game for up to ten steps before the team plays, in [0, 1].
            follow=0.5,
            # (int | None) Steps with random actions in these, from where the team plays on; None: all, >= 1.
            explore=None,
            # (int) Won games to begin in, the best of those found, >= 1.
            n_episode=12,
            # (int) Battles of a round of the search, >= 50.
            battles=4096,
            # (int) Rounds of the search, >= 1; more of them find shorter games, which are learned sooner.
            rounds=48,
        ),
        evaluator=dict(
            # (float) Evaluation: every unit's start is moved by up to so many cells along each axis, >= 0.
            start_jitter=0.0,
            # (bool) Evaluation: lengthen each attack's cooldown by StarCraft II's small random part.
            random_weapon_delay=False,
            # (bool) Evaluation: a fair coin mirrors each battle left to right.
            random_side=False,
        ),
        jitter_eval=dict(
            # (float) Second evaluation, from moved starts: up to so many cells along each axis, >= 0.
            start_jitter=0.5,
            # (int) Games of the second evaluation; 0 leaves it out, >= 0.
            n_episode=32,
            # (float) Share of these won over the last evaluations that is needed as well to stop; 0: none, in [0, 1].
            stop_value=0.0,
        ),
        replay=dict(
            # (int) Record games of every so many evaluations in training, from the first; 0 records none, >= 0.
            every=0,
            # (int) Games recorded then from each kind of start, the first of the evaluation, >= 1.
            n_episode=2,
        ),
        # (bool) Own losses cost nothing; with rules="smac" enemy shields that grow back are then paid like damage.
        reward_only_positive=True,
        # (float) Reward for the death of an enemy, before scaling.
        reward_death_value=10.0,
        # (float) Weight of own losses where they count (reward_only_positive=False), >= 0.
        reward_negative_scale=0.5,
        # (float) Reward for a win, before scaling.
        reward_win=200.0,
        # (float) Reward for a defeat, before scaling.
        reward_defeat=0.0,
        # (bool) Divide rewards so that a won battle sums to reward_scale_rate.
        reward_scale=True,
        # (float) Return of a won battle after scaling, > 0.
        reward_scale_rate=20.0,
        # (int) Threads that share the battles of one step; results do not depend on it, >= 1.
        num_threads=1,
        sc2=dict(
            # (str) Backend "sc2": the class that plays; SMACv2's is smacv2.env:StarCraftCapabilityEnvWrapper.
            env_class="smac.env:StarCraft2Env",
            # (dict) Backend "sc2": further arguments of that class, such as difficulty, or SMACv2's capability_config.
            args={},
        ),
    )

    packages: ClassVar[tuple[Package, ...]] = (SMACLITE, SMAC, SMACV2)

    config_ignored: ClassVar[dict[str, str]] = {
        "difficulty": "the enemies follow the rules' one script",
        "mirror_opponent": "the enemies follow the rules' one script",
        "two_player": "the enemies follow the rules' one script",
        "game_steps_per_episode": "the map gives the time limit",
        "save_replay_episodes": "env.replay and dimix -m eval --replay-path record games",
        "replay_dir": "games recorded in training are in the run folder, others where --replay-path says",
        "replay_prefix": "recorded games are named by map, env step, start and number",
        "reward_type": "the reward is SMAC's; see the reward_ keys",
        "obs_alone": "observations are SMAC's",
        "death_mask": "dead agents are told by the environment's alive flags",
        "special_global_state": "the global state is SMAC's",
        "add_center_xy": "the global state is SMAC's",
        "independent_obs": "observations are SMAC's",
        "state_agent_id": "the global state is SMAC's",
    }

    @classmethod
    def describe(cls, cfg: EasyDict) -> EnvInfo:
        """Return the sizes of the map in a config's ``env`` branch, without compiling or allocating anything.

        Raises:
            ConfigError: no such map or rules, a damaged map file, or a wrong number of agents; names the key.
        """
        if isinstance(cfg.map_name, list):
            info = _describe_mix(cls, cfg)
        elif cfg.backend == "engine":
            info = map_info(_scenario(cfg), cfg.open_loop)
        else:
            check_keys(cfg, cls.config)
            info = GAMES[cfg.backend].describe(cfg)
        if cfg.agent_num not in (None, info.agent_num):
            raise ConfigError(
                f"env.agent_num: {cfg.agent_num}. {info.name} has {info.agent_num} agents: leave the key out."
            )
        return info

    @classmethod
    def notes(cls, cfg: EasyDict) -> list[str]:
        """Warn about a config's ``env`` branch before training: rewards that mislead, evaluations that say little."""
        if isinstance(cfg.map_name, list):
            return list(dict.fromkeys(note for each in _each_map(cfg) for note in cls.notes(each)))
        if cfg.backend != "engine":
            return []
        scenario, notes = _scenario(cfg), []
        profile = scenario.profile
        if scenario.varies and cfg.n_evaluator_episode < LEAST_DRAWN_GAMES:
            notes.append(
                f"env.n_evaluator_episode: {cfg.n_evaluator_episode}. Every battle is drawn anew: an evaluation says "
                f"little before {LEAST_DRAWN_GAMES} games: -o env.n_evaluator_episode={LEAST_DRAWN_GAMES}"
            )
        paid = cfg.reward_only_positive and profile.reward_net and not profile.zero_if_negative
        if not paid or not scenario.enemy_recovers:
            return notes
        return [
            *notes,
            "env.reward_only_positive: True, SMAC's reward, also pays for enemy shields and hit points that come back. "
            "Where a team does not learn to win, pay the net change: -o env.reward_only_positive=False "
            "-o env.reward_negative_scale=0",
        ]

    @classmethod
    def input_files(cls, cfg: EasyDict) -> dict[str, list[Path]]:
        """Return the files used by a config's ``env`` branch, by key: those of a map that is not shipped."""
        shipped = cfg.backend == "sc2" or isinstance(cfg.map_name, list)
        return {} if shipped else {"map_name": map_files(cfg.map_name)}

    @classmethod
    def map_names(cls) -> list[str]:
        """Return the names of the shipped maps: SMAC's, then SMACv2's tasks."""
        return [*map_names(), *task_names()]

    @classmethod
    def compile_notice(cls) -> str | None:
        """Return a message to show before the first battle, or None if the simulator is compiled already."""
        if not needs_compile():
            return None
        if keeps_compiled():
            return "compiling the simulator (once on this machine, about half a minute)"
        return (
            "compiling the simulator (about half a minute, at every start: no folder can be written to keep it in; "
            "NUMBA_CACHE_DIR=FOLDER names one)"
        )

    @classmethod
    def create(cls, cfg: EasyDict, role: str, num_envs: int, seed: int) -> VecEnv:
        """Create the environment of a config's ``env`` branch.

        The roles ``"collect"``, ``"evaluate"`` and ``"evaluate_jitter"`` differ in variation and random stream.

        Raises:
            EnvError: no such role, or options that the backend refuses.
        """
        if role not in _ROLES:
            raise EnvError(f"environment role '{role}'. Right is one of {', '.join(_ROLES)}.")
        if isinstance(cfg.map_name, list):
            return _create_mix(cls, cfg, role, num_envs, seed)
        if cfg.backend != "engine":
            check_variation(cfg, role)
            return GAMES[cfg.backend].create(cfg, role, num_envs, seed)
        source = cfg if role == "collect" else cfg.evaluator
        options: dict[str, Any] = {key: cfg[key] for key in (*REWARD_KEYS, *PLAY_KEYS)}
        options["start_jitter"] = cfg.jitter_eval.start_jitter if role == "evaluate_jitter" else source.start_jitter
        options["jitter_share"] = cfg.jitter_share if role == "collect" else 1.0
        options["random_weapon_delay"] = source.random_weapon_delay
        options["random_side"] = source.random_side
        stream = _stream(seed, role)
        try:
            engine = BattleEngine(cfg.map_name, num_envs, stream, cfg.rules, num_threads=cfg.num_threads, **options)
        except BattleError as error:
            raise EnvError(f"env ({role}): {error}") from error
        return BattleVecEnv(engine, cfg.open_loop)

    @classmethod
    def curriculum(cls, cfg: EasyDict, env: VecEnv, seed: int) -> Curriculum | None:
        """Return the curriculum that begins battles in won games, if ``backplay`` asks for it."""
        if not cfg.backplay.share:
            return None
        from dizoo.smac.envs.curriculum import BackplayCurriculum

        assert isinstance(env, BattleVecEnv)  # `describe` refuses other backends
        return BackplayCurriculum(env, cfg.backplay, _stream(seed, "collect"))

    @classmethod
    def show_replays(cls, files: Sequence[Path], out: Path | None, write: Callable[[str], None]) -> bool:
        """Show recorded games, or traces of the reference; .html, .png, .gif or .mp4. See `EnvFamily.show_replays`."""
        from dizoo.smac.replay import show

        show(files, out, write)
        return True

    @classmethod
    def game_ends(cls, files: Sequence[Path]) -> list[GameEnd]:
        """Return how recorded battles ended, with each side's units by type."""
        try:
            return [_game_end(load_replay(path)) for path in files]
        except BattleError as error:
            raise EnvError(str(error)) from error

    @classmethod
    def floors(cls, cfg: EasyDict) -> dict[str, float]:
        """Return the win rates of the scripted teams on a config's map, played by the engine."""
        if cfg.backend != "engine" or isinstance(cfg.map_name, list):
            return {}
        options = dict(rules=cfg.rules, opponent=cfg.opponent)
        return {team: measure(cfg.map_name, team, FLOOR_GAMES, **options).win_rate for team in TEAMS}


def _game_end(replay: Replay) -> GameEnd:
    outcome, alive = replay.header["outcome"], replay.arrays["in_play"][-1]
    types = [(unit["type"].lower(), bool(there)) for unit, there in zip(replay.header["units"], alive, strict=True)]
    ours = [kind for kind, unit in zip(types, replay.header["units"], strict=True) if unit["ally"]]
    survivors = Counter(name for name, there in ours if there)
    return GameEnd(replay.won, bool(outcome["truncated"]), Counter(name for name, _ in ours), survivors)


def _each_map(cfg: EasyDict) -> list[EasyDict]:
    """The ``env`` branch of each map in a list."""
    return [EasyDict({**cfg, "map_name": name}) for name in cfg.map_name]


def _describe_mix(family: type[EnvFamily], cfg: EasyDict) -> EnvInfo:
    """The sizes of a list of maps; a ConfigError if they cannot be played side by side."""
    names = cfg.map_name
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"env.map_name: {names}. A list names every map once, and at least one.")
    if cfg.backend != "engine" or cfg.backplay.share:
        raise ConfigError(f"env.map_name: {names}. Several maps are for backend='engine' without backplay.")
    if files := [name for name in names if name not in family.map_names()]:
        raise ConfigError(f"env.map_name: {files[0]!r} in a list. A list is of shipped maps: dimix -q map")
    try:
        return mixed_info([family.describe(each) for each in _each_map(cfg)])
    except EnvError as error:
        raise ConfigError(f"env.map_name: {error}") from error


def _create_mix(family: type[EnvFamily], cfg: EasyDict, role: str, num_envs: int, seed: int) -> VecEnv:
    maps = _each_map(cfg)
    if num_envs < len(maps):
        raise EnvError(f"env ({role}): {num_envs} games side by side for {len(maps)} maps. Use at least one for each.")
    shares = [len(range(task, num_envs, len(maps))) for task in range(len(maps))]
    return MixedVecEnv(
        [family.create(one, role, n, seed + k) for k, (one, n) in enumerate(zip(maps, shares, strict=True))]
    )


def _scenario(cfg: EasyDict) -> Scenario:
    try:
        rules = own_rules(cfg.map_name) if cfg.rules is None else cfg.rules
        profile = profile_with(rules, {key: cfg[key] for key in PLAY_KEYS if cfg[key] is not None})
        return load_scenario(cfg.map_name, profile)
    except MapError as error:
        raise ConfigError(f"env.map_name: {error}") from error
    except BattleError as error:
        raise ConfigError(f"env.{error}") from error


def _stream(seed: int, role: str) -> int:
    return int(np.random.SeedSequence([seed, _ROLES[role]]).generate_state(1)[0])
