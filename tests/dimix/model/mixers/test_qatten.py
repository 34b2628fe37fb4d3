"""Qatten's mixer: a weighted sum whose weights follow the agents' own columns; refused where a state has none."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dimix.config.compile import compile_all
from dimix.errors import ConfigError
from dimix.model import QattenMixer, QMix

AGENTS, SIZE, STATE = 3, 2, 9
WHERE = [{"column": 1, "count": AGENTS, "size": SIZE}]


def make(seed=0, heads=4):
    torch.manual_seed(seed)
    return QattenMixer(AGENTS, STATE, WHERE, embed_dim=4, hypernet_embed_dim=6, attention_heads=heads).double()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), heads=st.integers(1, 4), scale=st.floats(0.1, 10))
def test_is_linear_and_monotonic_in_every_agent(seed, heads, scale):
    mixer, state = make(seed, heads), scale * torch.randn(8, STATE).double()
    q = (scale * torch.randn(8, AGENTS).double()).requires_grad_()
    mixer(q, state).sum().backward()
    slope, constant = q.grad, mixer(torch.zeros_like(q), state)
    assert (slope >= 0).all() and (slope > 0).any()
    torch.testing.assert_close(mixer(q, state), (slope * q).sum(1) + constant)
    heads_weight = mixer.weight(state)[:, 0].abs().sum(1)
    torch.testing.assert_close(slope.sum(1), heads_weight)  # the shares of each head sum to one


def test_the_attention_reads_the_agents_own_columns():
    """Agents that look the same weigh the same; an agent's weight changes with its own columns."""
    mixer, state = make(), torch.randn(1, STATE).double()
    state[0, 1:7] = torch.tensor([0.3, -0.2]).double().repeat(3)
    q = torch.zeros(1, AGENTS).double().requires_grad_()

    def slope(x):
        return torch.autograd.grad(mixer(q, x).sum(), q)[0][0]

    torch.testing.assert_close(slope(state), slope(state).mean().expand(3))
    state[0, 1] += 1.0
    changed = slope(state)
    assert (changed[0] - changed[1]).abs() > 1e-4
    torch.testing.assert_close(changed[1], changed[2])


def test_refused_where_the_state_has_no_agents():
    sizes = dict(agent_num=3, obs_shape=7, global_obs_shape=6, action_shape=5)
    with pytest.raises(ValueError, match="the mixer 'qatten' needs state_entities"):
        QMix(**sizes, mixer="qatten")
    main = dict(env=dict(map_name="two_step"), policy=dict(model=dict(mixer="qatten")))
    with pytest.raises(
        ConfigError,
        match=r"policy.model.mixer \(in main_config\): 'qatten', but this environment does not tell which columns of "
        "its global state are whose. Use another mixer, for example 'qmix'.",
    ):
        compile_all((main, dict(env=dict(type="matrix_game"), policy=dict(type="qmix"))))


@pytest.mark.parametrize(("map_name", "size"), [("3m", 4), ("2s3z", 4 + 1 + 2)])
def test_smacs_agents_are_where_the_layout_says(map_name, size):
    main = dict(env=dict(map_name=map_name), policy=dict(model=dict(mixer="qatten")))
    compiled = compile_all((main, dict(env=dict(type="smac"), policy=dict(type="qmix"))))
    agents, enemies = compiled.cfg.policy.model.state_entities
    assert (agents["column"], agents["count"], agents["size"]) == (0, compiled.info.agent_num, size)
    assert enemies["column"] == compiled.info.agent_num * size
