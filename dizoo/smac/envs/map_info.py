"""Describes a SMAC map to dimix: sizes, unit types, and which columns of an observation belong to which unit."""

from __future__ import annotations

from dimix.envs.vec_env import Entities, EnvInfo
from dizoo.smac.battle.maps.generator import STARTS
from dizoo.smac.battle.maps.scenario import Scenario


def map_info(scenario: Scenario, open_loop: bool = False, has_jitter: bool = True) -> EnvInfo:
    """Return the sizes of a map.

    With ``open_loop``, agents see the number of the step instead of an observation; ``has_jitter``: its starts can be
    moved. Drawn starts need no second evaluation from moved ones.
    """
    return EnvInfo(
        scenario.name,
        scenario.n_agents,
        scenario.episode_limit + 1 if open_loop else scenario.obs_size,
        scenario.state_size,
        scenario.n_actions,
        scenario.episode_limit,
        has_jitter=has_jitter and not scenario.is_drawn,
        is_drawn=scenario.varies,
        labels=_labels(scenario),
        agent_types=scenario.agent_types,
        entities=None if open_loop else obs_entities(scenario),
        state_entities=state_entities(scenario),
    )


def _labels(scenario: Scenario) -> tuple[str, ...]:
    """Return what tells battles apart: the opponents, and the kinds of start, where there are several."""
    starts = [] if scenario.generator is None else [name for name in STARTS if scenario.generator.starts.get(name)]
    opponents = dict.fromkeys(scenario.profile.opponents)
    return tuple(label for labels in (opponents, starts) if len(labels) > 1 for label in labels)


def state_entities(scenario: Scenario) -> tuple[Entities, ...]:
    """Return the agents, then the enemies, as laid out in `Scenario.state_layout`."""
    units = scenario.state_layout[:2]
    return tuple(Entities(block.first, block.parts, block.size) for block in units)


def obs_entities(scenario: Scenario) -> tuple[Entities, ...]:
    """Return the enemies, then the other allies, as laid out in `Scenario.obs_layout`.

    A fighter's actions name enemies, a healer's name allies; an agent's own type tells which it is. If types are not
    shown, all actions count as naming enemies.
    """
    _, enemy, ally, own = scenario.obs_layout
    types = _agents_in_order(scenario)
    heals = [scenario.types[t].is_healer for t in types]
    healers: tuple[int, ...] = ()
    fighters: tuple[int, ...] = ()
    if any(heals) and scenario.num_type_slots:
        first = own.end - scenario.num_type_slots
        shown = [first + int(scenario.slots[0, t]) for t in types]
        healers = tuple(sorted({column for column, h in zip(shown, heals, strict=True) if h}))
        fighters = tuple(sorted({column for column, h in zip(shown, heals, strict=True) if not h}))
    enemies = Entities(enemy.first, enemy.parts, enemy.size, scenario.first_target, fighters)
    if not ally.parts:
        return (enemies,)
    action = _first_healed(heals, scenario) if healers else None
    allies = Entities(ally.first, ally.parts, ally.size, action, healers if action is not None else ())
    return enemies, allies


def _agents_in_order(scenario: Scenario) -> list[int]:
    """Return the agents' types in their order; if drawn, the types they may have, in the order of their sorting."""
    if scenario.is_drawn:
        return list(scenario.agent_order or range(len(scenario.types)))
    return [int(scenario.unit_type[unit]) for unit in scenario.agent_units]


def _first_healed(heals: list[bool], scenario: Scenario) -> int | None:
    """Return the action that names a healer's first other ally; None if the others do not follow in action order.

    Action 6 + k heals the ally with index k, and a healer is missing from its own observation: only if all healers come
    first, or last, are the fighters consecutive in both.
    """
    if scenario.is_drawn and not scenario.agent_order:
        return None
    ordered = sorted(heals)
    if heals not in (ordered, ordered[::-1]):
        return None
    action = scenario.first_target + heals[0]
    return action if action + scenario.n_agents - 1 <= scenario.n_actions else None
