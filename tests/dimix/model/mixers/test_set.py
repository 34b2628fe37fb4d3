"""The set mixer: monotonic, blind to the numbering of units, and the same weights for any number of them."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dimix.config.compile import compile_all
from dimix.errors import ConfigError
from dimix.model import QMix, SetMixer
from dimix.policy.value_learning import chosen_q, masked_argmax

SIZE, OTHER = 3, 2
seeds, counts, scales = st.integers(0, 10_000), st.integers(1, 5), st.floats(0.1, 30)
quickly = settings(max_examples=30, deadline=None)


def make(seed, agents, enemies):
    """A mixer with its weights, and states (8, S): a column of no unit, the agents, the enemies; some are not there."""
    torch.manual_seed(seed)
    where = [dict(column=1, count=agents, size=SIZE), dict(column=1 + agents * SIZE, count=enemies, size=OTHER)]
    units = [torch.randn(8, kind["count"], kind["size"]) for kind in where]
    units = [(each * (torch.rand(each.shape[:2]) < 0.7).unsqueeze(2)).double() for each in units]
    return SetMixer(where, embed_dim=4, hypernet_embed_dim=6).double(), units


def state_of(agents, enemies):
    return torch.cat([torch.ones(8, 1).double(), agents.flatten(1), enemies.flatten(1)], 1)


@quickly
@given(seed=seeds, agents=counts, enemies=counts, scale=scales)
def test_no_agents_value_lowers_the_teams(seed, agents, enemies, scale):
    mixer, units = make(seed, agents, enemies)
    q = (scale * torch.randn(8, agents).double()).requires_grad_()
    mixer(q, state_of(*units)).sum().backward()
    assert (q.grad >= 0).all() and (q.grad > 0).any()


@quickly
@given(seed=seeds, scale=scales)
def test_the_best_joint_action_is_each_agents_best(seed, scale):
    """IGM, over all available joint actions."""
    mixer, units = make(seed, 3, 2)
    q, mask = scale * torch.randn(3, 4).double(), torch.rand(3, 4) < 0.6
    mask[:, seed % 4] = True
    joint = torch.tensor(list(itertools.product(*(row.nonzero().flatten().tolist() for row in mask))))
    values, state = chosen_q(q.expand(len(joint), -1, -1), joint), state_of(*units)[:1]
    q_tot = mixer(values, state.expand(len(joint), -1))
    (greedy,) = (joint == masked_argmax(q, mask)).all(1).nonzero()
    assert q_tot[greedy] >= q_tot.max()


@quickly
@given(seed=seeds, agents=counts, enemies=counts)
def test_the_numbering_of_the_units_does_not_matter(seed, agents, enemies):
    mixer, units = make(seed, agents, enemies)
    q, order, other = torch.randn(8, agents).double(), torch.randperm(agents), torch.randperm(enemies)
    moved = state_of(units[0][:, order], units[1][:, other])
    torch.testing.assert_close(mixer(q[:, order], moved), mixer(q, state_of(*units)))


def test_an_agent_weighs_what_its_own_columns_say():
    """Agents that look the same weigh the same, others do not; and every weight depends on all units."""
    mixer, (agents, enemies) = make(0, 3, 2)
    agents = agents[:, :1].expand(-1, 3, -1).clone()
    agents[:, 2] += 1.0
    q = torch.zeros(8, 3).double().requires_grad_()

    def slope(enemies):
        return torch.autograd.grad(mixer(q, state_of(agents, enemies)).sum(), q)[0]

    found = slope(enemies)
    torch.testing.assert_close(found[:, 0], found[:, 1])
    assert ((found[:, 0] - found[:, 2]).abs() > 1e-4).all()
    assert ((found - slope(enemies + 1.0)).abs() > 1e-5).all()


def test_the_weights_of_a_small_team_mix_a_large_one():
    """Twice the same units are the same pool, and twice the agents' share."""
    mixer, units = make(1, 3, 2)
    large, _ = make(2, 6, 4)
    large.load_state_dict(mixer.state_dict())
    twice, q = [torch.cat([each, each], 1) for each in units], torch.randn(8, 3).double()
    torch.testing.assert_close(large(torch.cat([q, q], 1), state_of(*twice)), mixer(2 * q, state_of(*units)))
    torch.testing.assert_close(large(torch.cat([q, 0 * q], 1), state_of(*twice)), mixer(q, state_of(*units)))


def test_refused_where_the_state_has_no_units():
    with pytest.raises(ValueError, match="the mixer 'set' needs state_entities"):
        QMix(agent_num=3, obs_shape=7, global_obs_shape=6, action_shape=5, mixer="set")
    main = dict(env=dict(map_name="two_step"), policy=dict(model=dict(mixer="set")))
    with pytest.raises(ConfigError, match=r"policy.model.mixer \(in main_config\): 'set', but this environment does"):
        compile_all((main, dict(env=dict(type="matrix_game"), policy=dict(type="qmix"))))
