"""Who shares weights with whom, and groups that cannot be."""

import pytest

from dimix.config.compile import compile_all
from dimix.errors import ConfigError
from dimix.model.sharing import group_numbers


def test_groups_by_hand():
    assert group_numbers("all", 3) == [0, 0, 0]
    assert group_numbers("none", 3) == [0, 1, 2]
    assert group_numbers("type", 4, agent_types=["MARAUDER", "MARINE", "MARAUDER", "MEDIVAC"]) == [0, 1, 0, 2]
    assert group_numbers("groups", 4, [[3, 1], [0, 2]]) == [1, 0, 1, 0]
    assert group_numbers("groups", 3, {"front": [2], "back": (0, 1)}) == [1, 1, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("some", 3), "parameter_sharing is 'some'. Use one of all, type, groups, none."),
        (("type", 3), "parameter_sharing is 'type', but this environment does not tell its agents' types."),
        (("type", 3, None, ["a"]), "agent_types has 1 names. Right is 3"),
        (("groups", 3), "parameter_sharing is 'groups' without agent_groups."),
        (("groups", 3, [[0, 1]]), r"agent_groups: agents \[2\] are in no group."),
        (("groups", 3, [[0, 1], [1, 2]]), "agent_groups: agent 1 stands there twice."),
        (("groups", 3, {"front": [0, 3]}), "agent_groups: group 'front' has 3. Right is an agent's number, 0 to 2."),
        (("groups", 2, [[0, True]]), "agent_groups: group 0 has True."),
        (("groups", 2, [[0], []]), r"agent_groups: group 1 is \[\]. Right is a list of agent numbers."),
        (("groups", 2, ["01"]), "agent_groups: group 0 is '01'."),
        (("none", 2, [[0], [1]]), "agent_groups is given, but parameter_sharing is 'none'."),
    ],
)
def test_groups_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        group_numbers(*arguments)


def test_config_says_what_does_not_fit(game_config):
    main, create = game_config(model=dict(parameter_sharing="groups", agent_groups=[[0], [0, 1]]))
    with pytest.raises(ConfigError, match=r"^policy.model.agent_groups \(in .*\): agent 0 stands there twice."):
        compile_all((main, create))
    main, create = game_config(model=dict(parameter_sharing="type"))
    with pytest.raises(ConfigError, match=r"^policy.model.parameter_sharing \(in .*\): 'type', but this environment"):
        compile_all((main, create))
    main, create = game_config(model=dict(agent_types=["MARINE"]))
    with pytest.raises(ConfigError, match="policy.model.agent_types .* but two_step has None"):
        compile_all((main, create))


def test_types_of_a_map():
    path = "dizoo/smac/config/smac_published_qmix_config.py"
    compiled = compile_all(path, overrides=["policy.model.parameter_sharing=type"])
    kinds = compiled.cfg.policy.model.agent_types
    assert sorted(set(kinds)) == ["MARAUDER", "MARINE", "MEDIVAC"] and len(kinds) == 10
    model = compiled.model_class(**{k: v for k, v in compiled.cfg.policy.model.items() if k != "type"})
    assert [kinds[i] == kinds[0] for i in range(10)] == [g == 0 for g in model.groups]
    assert model.agent.head.weight.shape[0] == 3
