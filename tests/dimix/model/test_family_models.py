"""The models beside QMIX's, and options of the agent network: values by hand."""

import pytest
import torch

from dimix.model import AgentNetwork, AgentSpec, CentralMixer, Packing, QMix, QTran, WQMix
from dimix.model.recurrent import make_recurrent_layer
from dimix.registry import MODEL_REGISTRY

SIZES = dict(agent_num=3, obs_shape=5, global_obs_shape=7, action_shape=4, hidden_size_list=[8])


def test_central_mixer_can_fall_where_an_agent_rises():
    """|q0 - q1|: no monotonic mixer holds it."""
    mixer = CentralMixer(2, 1, embed_dim=2)
    with torch.no_grad():
        for p in mixer.parameters():
            p.zero_()
        mixer.hidden[0].weight.copy_(torch.tensor([[0.0, 1.0, -1.0], [0.0, -1.0, 1.0]]))
        for layer in mixer.hidden[1:]:
            layer.weight.copy_(torch.eye(2))
        mixer.out.weight.fill_(1.0)
        mixer.value.bias.fill_(0.5)
    q = torch.tensor([[1.0, 3.0], [2.0, 3.0], [4.0, 3.0]])
    torch.testing.assert_close(mixer(q, torch.zeros(3, 1)), torch.tensor([2.5, 1.5, 1.5]))


def test_wqmix_acts_with_qmix_and_shares_nothing_with_the_central_network():
    torch.manual_seed(0)
    model = WQMix(**SIZES, central_embed_dim=6)
    plain = QMix(**SIZES)
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("central.")})
    obs, hidden = torch.randn(2, 3, 5), torch.randn(2, 3, 8)
    with torch.no_grad():
        for ours, theirs in zip(model.forward_step(obs, hidden), plain.forward_step(obs, hidden), strict=True):
            assert torch.equal(ours, theirs)
        before = model.forward_step(obs, hidden)[0]
        for p in model.central.parameters():
            p.add_(1.0)
        assert torch.equal(model.forward_step(obs, hidden)[0], before)
    assert model.central.mixer.hidden[0].weight.shape == (6, 7 + 3)


@pytest.mark.parametrize("cls", [QMix, WQMix, QTran])
@pytest.mark.parametrize("option", ["layer_norm", "orthogonal_init"])
def test_agent_options_reach_every_agent_network(cls, option):
    model = cls(**SIZES, **{option: True})
    agents = [m for m in model.modules() if isinstance(m, AgentNetwork)]
    assert len(agents) == (2 if cls is WQMix else 1)
    for agent in agents:
        assert (agent.norm is not None) == (option == "layer_norm")
        assert bool((agent.head.bias == 0).all()) == (option == "orthogonal_init")
    assert model.config.keys() <= {*QMix.config, "central_embed_dim", "embedding_size"}


def test_orthogonal_start():
    agent = AgentNetwork(AgentSpec(5, 4, [8], dueling=True, orthogonal_init=True))
    weight = agent.encoder[0].weight
    torch.testing.assert_close(weight.T @ weight, torch.eye(5), atol=1e-6, rtol=0)
    torch.testing.assert_close(agent.head.weight @ agent.head.weight.T, 1e-4 * torch.eye(4), atol=1e-8, rtol=0)
    assert not agent.encoder[0].bias.any() and not agent.value_head.bias.any()


@pytest.mark.parametrize("lstm_type", ["gru", "lstm", "mlp"])
def test_layer_norm_stands_before_the_head(lstm_type):
    torch.manual_seed(0)
    agent = AgentNetwork(AgentSpec(5, 4, [8], lstm_type, layer_norm=True, fused=False))
    x, state = torch.randn(6, 5), torch.randn(6, agent.state_size)
    out, _ = agent.memory.step(agent._encode(x), state)
    centred = out - out.mean(1, keepdim=True)
    normed = centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
    q, _ = agent.step(x, state)
    torch.testing.assert_close(q, normed @ agent.head.weight.T + agent.head.bias)


def test_dueling_head_by_hand():
    agent = AgentNetwork(AgentSpec(5, 3, [2], lstm_type="mlp", dueling=True))
    with torch.no_grad():
        agent.head.weight[:] = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        agent.value_head.weight[:] = torch.tensor([[10.0, 0.0]])
        agent.head.bias.zero_()
        agent.value_head.bias.zero_()
    # advantages of (3, 6): 3, 6, 9, mean 6; value 30
    assert agent.q_of(torch.tensor([[3.0, 6.0]]), torch.zeros(1, 5)).tolist() == [[27.0, 30.0, 33.0]]


def test_hidden_sizes_are_layers_in_front_and_the_last_one_is_the_memory():
    agent = AgentNetwork(AgentSpec(5, 4, [12, 6, 8], "lstm", rnn_layers=2))
    assert [tuple(layer.weight.shape) for layer in agent.encoder] == [(12, 5), (6, 12), (8, 6)]
    assert [layer.cell.hidden_size for layer in agent.memory.layers] == [8, 8]
    assert agent.state_size == 2 * 2 * 8 and agent.head.weight.shape == (4, 8)


@pytest.mark.parametrize("lstm_type", ["gru", "lstm"])
@pytest.mark.parametrize("layers", [2, 3])
def test_several_recurrent_layers_equal_torchs(lstm_type, layers):
    torch.manual_seed(0)
    ours = make_recurrent_layer(lstm_type, 8, layers=layers)
    theirs = (torch.nn.GRU if lstm_type == "gru" else torch.nn.LSTM)(8, 8, layers)
    for number, layer in enumerate(ours.layers):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            with torch.no_grad():
                getattr(theirs, f"{name}_l{number}").copy_(getattr(layer.cell, f"{name}_l0"))
    x = torch.randn(3, 6, 1, 8)  # three sequences of 6 steps, one agent
    packing = Packing.of(torch.ones(3, 6, 1, dtype=torch.bool))
    out, state = ours.unroll(packing.pack(x), packing, torch.zeros(3, ours.state_size))
    expected, last = theirs(x[:, :, 0].transpose(0, 1))
    torch.testing.assert_close(packing.unpack(out)[:, :, 0], expected.transpose(0, 1), atol=1e-6, rtol=1e-5)
    last = last if lstm_type == "gru" else torch.cat(last, -1)
    torch.testing.assert_close(state, torch.cat(list(last), -1), atol=1e-6, rtol=1e-5)


def test_layers_without_a_memory_are_refused():
    with pytest.raises(ValueError, match="rnn_layers is 2 with lstm_type 'mlp'. Use 1, or more of a GRU or LSTM."):
        QMix(**SIZES, lstm_type="mlp", rnn_layers=2)


def test_registered_names():
    assert MODEL_REGISTRY.get("wqmix") is WQMix and MODEL_REGISTRY.get("qtran") is QTran
