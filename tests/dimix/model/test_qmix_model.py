"""The model as a whole: unroll against steps, padding, agents' order, sizes."""

from dataclasses import fields

import pytest
import torch

from dimix.model import AgentSpec, Packing, QMix
from dimix.registry import MODEL_REGISTRY

SIZES = dict(agent_num=3, obs_shape=5, global_obs_shape=7, action_shape=4)
KINDS = ["gru", "lstm", "mlp"]


def make(**options):
    torch.manual_seed(0)
    return QMix(**{**SIZES, "hidden_size_list": [8], **options})


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("dueling", [True, False])
@pytest.mark.parametrize(("lstm_type", "rnn_layers"), [*((kind, 1) for kind in KINDS), ("gru", 2), ("lstm", 3)])
def test_unroll_equals_steps(lstm_type, rnn_layers, dueling, fused):
    options = dict(lstm_type=lstm_type, rnn_layers=rnn_layers, dueling=dueling, fused=fused)
    model = make(**options, hidden_size_list=[6, 8])
    obs = torch.randn(2, 5, 3, 5)
    hidden = torch.randn_like(model.init_hidden(2))
    valid = torch.arange(5)[None, :, None] < torch.tensor([[5, 2, 0], [1, 4, 3]])[:, None]
    with torch.no_grad():
        q, last = model.unroll(obs, hidden, valid)
        assert q.shape == (2, 5, 3, 4)
        assert (q[~valid] == 0).all()
        h = hidden
        for t in range(5):
            step_q, new = model.forward_step(obs[:, t], h)
            h = torch.where(valid[:, t, :, None], new, h)
            torch.testing.assert_close(q[:, t][valid[:, t]], step_q[valid[:, t]], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(last, h, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("lstm_type", KINDS)
def test_unroll_of_nothing(lstm_type):
    model = make(lstm_type=lstm_type)
    hidden = torch.randn_like(model.init_hidden(2))
    q, last = model.unroll(torch.randn(2, 4, 3, 5), hidden, torch.zeros(2, 4, 3, dtype=torch.bool))
    assert (q == 0).all() and torch.equal(last, hidden)


def test_what_comes_after_the_end_does_not_matter():
    model = make()
    obs, valid = torch.randn(2, 4, 3, 5), torch.arange(4)[None, :, None] < torch.tensor([[4, 2, 1], [3, 3, 0]])[:, None]
    other = torch.where(valid[..., None], obs, torch.nan)
    assert torch.equal(model.unroll(obs, valid=valid)[0], model.unroll(other, valid=valid)[0])


def test_agents_share_parameters_so_their_order_does_not_matter():
    model, obs, order = make(), torch.randn(2, 4, 3, 5), torch.tensor([2, 0, 1])
    q, _ = model.unroll(obs)
    permuted, _ = model.unroll(obs[:, :, order])
    torch.testing.assert_close(permuted, q[:, :, order])


def test_acting_leaves_the_hidden_state_alone():
    model = make()
    hidden = torch.randn(2, 3, 8)
    before = hidden.clone()
    with torch.no_grad():
        model.forward_step(torch.randn(2, 3, 5), hidden)
    assert torch.equal(hidden, before)


def test_vdn_is_the_sum():
    model = make(mixer=False)
    q = torch.tensor([[1.0, 2.0, 4.0]])
    assert model.mix(q, torch.randn(1, 7)).tolist() == [7.0]
    assert not any("mixer" in name for name, _ in model.named_parameters())


def test_state_sizes():
    assert make().init_hidden(2, 5).shape == (2, 5, 3, 8)
    assert make(lstm_type="normal").init_hidden(2).shape == (2, 3, 16)
    assert make(lstm_type="mlp").init_hidden(2).shape == (2, 3, 0)
    assert make(global_obs_shape=[7]).mixer.state_dim == 7


def test_registered():
    assert MODEL_REGISTRY.get("qmix") is QMix


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(agent_num=0), "agent_num is 0. It must be a positive integer."),
        (dict(obs_shape=None), "obs_shape is None. It must be a positive integer."),
        (dict(global_obs_shape=[3, 84]), r"global_obs_shape is \[3, 84\]. Right is a positive number, or \[channels"),
        (dict(hidden_size_list=[]), "hidden_size_list is empty."),
        (dict(lstm_type="gur"), "lstm_type is 'gur'. Use one of gru, lstm, normal, pytorch, mlp."),
    ],
)
def test_wrong_sizes(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_packing_by_hand():
    """One episode row, three agents of lengths 1, 3, 0, and a second row that starts at step 1."""
    valid = torch.zeros(2, 3, 3, dtype=torch.bool)
    valid[0, :1, 0] = valid[0, :3, 1] = valid[1, :3, 2] = True
    packing = Packing.of(valid, torch.tensor([0, 1]))
    # Sequences (row, agent): (0, 1) has 3 steps, (1, 2) has steps 1 and 2, (0, 0) has 1.
    assert packing.order.tolist() == [1, 5, 0]
    assert packing.batch_sizes == [3, 2, 1]
    # Place in (B, T, A) is row * 9 + step * 3 + agent.
    assert packing.rows.tolist() == [1, 9 + 3 + 2, 0, 3 + 1, 9 + 6 + 2, 6 + 1]
    assert packing.last.tolist() == [5, 4, 2]
    x = torch.arange(18.0).view(2, 3, 3, 1)
    assert packing.pack(x).flatten().tolist() == packing.rows.tolist()
    back = packing.unpack(packing.pack(x))
    assert torch.equal(back[back != 0], x[back != 0]) and back.sum() == packing.rows.sum()


def test_defaults_of_an_agent_are_those_of_the_config():
    spec = AgentSpec(5, 4)
    for name in {field.name for field in fields(spec)} - {"obs_shape", "action_shape", "groups"}:
        value = getattr(spec, name)
        assert (list(value) if isinstance(value, tuple) else value) == QMix.config[name]


def test_unknown_options_and_sizes_that_are_missing():
    with pytest.raises(TypeError, match="unexpected keyword argument 'lstm_typ'"):
        QMix(**SIZES, lstm_typ="gru")
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'agent_num'"):
        QMix(**{name: size for name, size in SIZES.items() if name != "agent_num"})
