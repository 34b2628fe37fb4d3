"""Agents of any size: the function that one map's agents compute is the same on every map of the same columns."""

import pytest
import torch

from dimix.config.compile import compile_all
from dimix.entry.checkpoints import load_weights
from dimix.entry.rooms import make_policy
from dimix.errors import CheckpointError, ConfigError
from dimix.machine.checkpoint_file import save_checkpoint
from dimix.model import QMix
from dimix.team import load_team

CONFIG = "dizoo/smac/config/smac_5m6m_anysize_config.py"
LARGER = [("5m_vs_6m", "8m_vs_9m"), ("MMM", "MMM2"), ("terran_5_vs_5", "terran_20_vs_20")]


def compiled_for(name, *overrides):
    return compile_all(CONFIG, overrides=[f"env.map_name={name}", *overrides])


def agents_of(compiled):
    """The map's agents with weights large enough that their values differ between actions."""
    torch.manual_seed(0)
    network = QMix(**{name: value for name, value in compiled.cfg.policy.model.items() if name != "type"})
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(3)
    return network


def without_units(network):
    """Columns of the agents' input that describe no unit: what they see of themselves, the last action."""
    return network.agent.entities.outside


def battle(network, info, games=3):
    """Inputs (games, A, O) in which all units are there, every agent is of one type, and some action was the last."""
    x = torch.randn(games, info.agent_num, network.obs_shape)
    x[..., -info.action_shape :] = 0.0
    x[..., -info.action_shape + 7] = 1.0
    named = sorted({column for kind in info.entities for column in kind.named_by})
    if named:
        x[..., named] = torch.eye(len(named))[torch.arange(info.agent_num) % len(named)]
    return x


def with_more_units(x, small, large, sizes):
    """The same battles on a map with more units: its further ones are not there, its further agents neither."""
    wide = torch.zeros(len(x), small.agent_num, sizes[1])
    for mine, theirs in zip(small.entities, large.entities, strict=True):
        block = x[..., mine.column : mine.column + mine.count * mine.size]
        wide[..., theirs.column : theirs.column + block.shape[-1]] = block
    return wide


@pytest.mark.parametrize("net", ["sum", "hypernet"])
@pytest.mark.parametrize(("name", "larger"), LARGER)
def test_units_that_are_not_there_change_no_value(name, larger, net):
    options = (f"policy.model.entity_net={net}", "policy.model.fused=False")
    small, large = (compiled_for(each, *options) for each in (name, larger))
    agents, more = agents_of(small), agents_of(large)
    more.agent.load_state_dict(agents.agent.state_dict())
    x = battle(agents, small.info)
    wide = with_more_units(x, small.info, large.info, (agents.obs_shape, more.obs_shape))
    own, theirs = without_units(agents), without_units(more)
    wide[..., theirs[: len(own)]] = x[..., own]  # the own columns, then the last action, from the first action on
    hidden = torch.randn(len(x), small.info.agent_num, agents.state_size)
    with torch.no_grad():
        q, state = agents.forward_step(x, hidden)
        same_q, same_state = more.forward_step(wide, hidden)
    torch.testing.assert_close(same_state, state)
    common = min(kind.action + kind.count for kind in small.info.entities if kind.action is not None)
    assert q.std(-1).min() > 1e-3
    torch.testing.assert_close(same_q[..., :common], q[..., :common])


@pytest.mark.parametrize("net", ["sum", "hypernet"])
def test_values_and_gradients_are_those_of_agents_with_a_row_per_action(net):
    """Spelled out, with the last action of targets at weight zero, they are the agents of before."""
    compiled = compiled_for("MMM", f"policy.model.entity_net={net}")
    options = {name: value for name, value in compiled.cfg.policy.model.items() if name != "type"}
    agents, plain = agents_of(compiled), QMix(**{**options, "any_size": False})
    plain.agent.load_state_dict(agents.agent.spelled_out())
    x = battle(agents, compiled.info).unsqueeze(1)
    q, same = agents.unroll(x)[0], plain.unroll(x)[0]
    torch.testing.assert_close(q, same)
    for values in (q, same):
        values.sin().sum().backward()
    to_row, to_rows = agents.agent.head.weight.grad, plain.agent.head.weight.grad
    torch.testing.assert_close(to_row, torch.cat([to_rows[:6], to_rows[6:].sum(0, keepdim=True)]))


def saved(compiled, path):
    """A checkpoint of weights that nothing has trained; returns them by name."""
    learn = make_policy(compiled).learn_mode.state_dict()
    main, create = compiled.settings()
    head = dict(kind="policy", config=dict(main=main, create=create), env=vars(compiled.info) | entities(compiled))
    save_checkpoint(path, {**head, "inputs": {}, "rooms": dict(policy=dict(learn=learn))})
    return learn["model"]


def entities(compiled):
    fields = ("entities", "state_entities")
    return {name: [vars(kind) for kind in getattr(compiled.info, name)] for name in fields}


def loaded(path, compiled):
    policy, said = make_policy(compiled), []
    load_weights(policy, path, compiled, said.append)
    return policy.learn_mode.state_dict(), said


@pytest.mark.parametrize("larger", ["terran_10_vs_10", "terran_20_vs_23"])
def test_all_weights_load_into_a_larger_map(larger, tmp_path):
    weights = saved(compile_all(CONFIG, seed=5, overrides=["env.map_name=terran_5_vs_5"]), tmp_path / "a.pth.tar")
    learn, said = loaded(tmp_path / "a.pth.tar", compiled_for(larger))
    for network in ("model", "target_model", "averaged_model"):
        assert learn[network].keys() == weights.keys()
        assert all(torch.equal(weights[name], value) for name, value in learn[network].items())
    assert said == [f"weights of terran_5_vs_5 for {larger}: agent, mixer taken; nothing starts fresh"]
    team = load_team(tmp_path / "a.pth.tar", compiled_for(larger).info)
    assert len(team.agents) == team.header["agent_num"] == compiled_for(larger).info.agent_num


def test_a_mixer_that_does_not_fit_starts_fresh(tmp_path):
    of_its_size = "policy.model.mixer=qmix"
    weights = saved(compile_all(CONFIG, seed=5, overrides=[of_its_size]), tmp_path / "a.pth.tar")
    here = compiled_for("8m_vs_9m", of_its_size)
    learn, said = loaded(tmp_path / "a.pth.tar", here)
    new = make_policy(here).learn_mode.state_dict()["model"]
    for name, value in learn["model"].items():
        assert torch.equal(value, (weights if name.startswith("agent.") else new)[name])
    assert said == [
        "weights of 5m_vs_6m for 8m_vs_9m: agent taken; mixer starts fresh (mixer.state_layer.weight is [192, 98] "
        "instead of [192, 179])"
    ]


def test_what_fits_nowhere_is_refused(tmp_path):
    path = tmp_path / "a.pth.tar"
    saved(compiled_for("5m_vs_6m"), path)
    message = (
        r"trained on 5m_vs_6m, the config says 2s3z: obs_shape 67 instead of 91.*"
        r"Agents: agent.encoder.0.kinds.0.code.weight is \[64, 6\] instead of \[64, 9\]"
    )
    with pytest.raises(CheckpointError, match=message):
        loaded(path, compiled_for("2s3z"))
    with pytest.raises(CheckpointError, match="its agents are not those of 2s3z: .*size mismatch"):
        load_team(path, compiled_for("2s3z").info)
    saved(compiled_for("5m_vs_6m", "policy.model.any_size=False"), path)
    with pytest.raises(CheckpointError, match="trained on 5m_vs_6m, the config says 8m_vs_9m: agent_num 5 instead of"):
        loaded(path, compiled_for("8m_vs_9m", "policy.model.any_size=False"))


def test_settings_that_have_the_teams_size_are_refused():
    with pytest.raises(ConfigError, match="any_size .*: True, but env.obs_agent_id is True, .*env.obs_agent_id=False"):
        compiled_for("3m", "env.obs_agent_id=True")
    with pytest.raises(ConfigError, match="any_size .*: True, but equivariant is False. Use equivariant=True."):
        compiled_for("3m", "policy.model.equivariant=False")
