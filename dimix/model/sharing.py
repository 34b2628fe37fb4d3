"""Which agents share their network's weights: all, those of one unit type, named groups, or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SHARING = ("all", "type", "groups", "none")


def group_numbers(
    sharing: str,
    agent_num: int,
    agent_groups: Sequence[Sequence[int]] | Mapping[str, Sequence[int]] | None = None,
    agent_types: Sequence[str] | None = None,
) -> list[int]:
    """The group that each agent belongs to; agents of one group share their weights.

    Args:
        sharing: ``"all"``, ``"type"``, ``"groups"`` or ``"none"``.
        agent_num: agents (A).
        agent_groups: for ``"groups"``: lists of agent numbers, or such lists by name; every agent in exactly one.
        agent_types: for ``"type"``: unit type of each agent, in the agents' order.

    Returns:
        A numbers from 0 to G - 1, in the order of the groups (of types: of first appearance).

    Raises:
        ValueError: the groups do not fit the agents.
    """
    if sharing not in SHARING:
        raise ValueError(f"parameter_sharing is {sharing!r}. Use one of {', '.join(SHARING)}.")
    if agent_groups is not None and sharing != "groups":
        raise ValueError(
            f"agent_groups is given, but parameter_sharing is '{sharing}'. Use parameter_sharing='groups', or leave "
            "agent_groups out."
        )
    if sharing == "groups":
        return _by_group(agent_num, agent_groups)
    if sharing == "type":
        return _by_type(agent_num, agent_types)
    return list(range(agent_num)) if sharing == "none" else [0] * agent_num


def _by_type(agent_num: int, agent_types: Sequence[str] | None) -> list[int]:
    if agent_types is None:
        raise ValueError(
            "parameter_sharing is 'type', but this environment does not tell its agents' types. Use 'groups' with "
            "agent_groups, or 'all' if types change from game to game."
        )
    if len(agent_types) != agent_num:
        raise ValueError(f"agent_types has {len(agent_types)} names. Right is {agent_num}, one per agent.")
    kinds = list(dict.fromkeys(agent_types))
    return [kinds.index(kind) for kind in agent_types]


def _by_group(agent_num: int, agent_groups: Sequence[Sequence[int]] | Mapping[str, Sequence[int]] | None) -> list[int]:
    if not agent_groups:
        raise ValueError("parameter_sharing is 'groups' without agent_groups. Give them, for example [[0, 1], [2]].")
    named = dict(agent_groups) if isinstance(agent_groups, Mapping) else dict(enumerate(agent_groups))
    number: dict[int, int] = {}
    for group, (name, agents) in enumerate(named.items()):
        if isinstance(agents, str) or not isinstance(agents, Sequence) or not agents:
            raise ValueError(f"agent_groups: group {name!r} is {agents!r}. Right is a list of agent numbers.")
        for agent in agents:
            if isinstance(agent, bool) or not isinstance(agent, int) or not 0 <= agent < agent_num:
                raise ValueError(
                    f"agent_groups: group {name!r} has {agent!r}. Right is an agent's number, 0 to {agent_num - 1}."
                )
            if agent in number:
                raise ValueError(f"agent_groups: agent {agent} stands there twice. Right is once.")
            number[agent] = group
    missing = [agent for agent in range(agent_num) if agent not in number]
    if missing:
        raise ValueError(f"agent_groups: agents {missing} are in no group. Every agent needs exactly one.")
    return [number[agent] for agent in range(agent_num)]
