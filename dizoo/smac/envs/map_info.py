"""What a SMAC map looks like to dimix: sizes, unit types, and where an observation tells of which unit."""

from __future__ import annotations

from dimix.envs.vec_env import Entities, EnvInfo
from dizoo.smac.battle.features import DIRECTIONS
from dizoo.smac.battle.scenario import FIRST_TARGET_ACTION, Scenario


def map_info(scenario: Scenario, open_loop: bool = False, has_jitter: bool = True) -> EnvInfo:
    """The sizes of a map.

    Args:
        scenario: the map.
        open_loop: agents see the number of the step instead of an observation.
        has_jitter: whether its starts can be moved.
    """
    return EnvInfo(
        scenario.name,
        scenario.n_agents,
        scenario.episode_limit + 1 if open_loop else scenario.obs_size,
        scenario.state_size,
        scenario.n_actions,
        scenario.episode_limit,
        has_jitter=has_jitter,
        agent_types=scenario.agent_types,
        entities=None if open_loop else obs_entities(scenario),
    )


def obs_entities(scenario: Scenario) -> tuple[Entities, ...]:
    """The enemies, then the other allies: the blocks of `dizoo.smac.battle.features.obs_names`.

    A healer's actions name allies, though they have the numbers of enemies.
    """
    first, others = len(DIRECTIONS), scenario.n_agents - 1
    enemy, ally = (
        5 + shields + scenario.num_type_slots for shields in (scenario.enemy_has_shields, scenario.ally_has_shields)
    )
    enemies = Entities(first, scenario.n_enemies, enemy, FIRST_TARGET_ACTION)
    if not others:
        return (enemies,)
    return enemies, Entities(first + enemies.count * enemy, others, ally)
