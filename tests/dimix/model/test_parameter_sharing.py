"""Agents with weights per group: one batched computation, equal to one small network per agent."""

import copy

import pytest
import torch

from dimix.model import AgentNetwork, AgentSpec, Packing, QMix

SIZES = dict(agent_num=3, obs_shape=5, global_obs_shape=7, action_shape=4)
GROUPS = [[0, 2], [1]]
LENGTHS = [[5, 2, 0], [1, 4, 3], [0, 0, 5], [2, 2, 2]]
OPTIONS = [
    {},
    dict(fused=False),
    dict(dueling=True, layer_norm=True),
    dict(lstm_type="lstm"),
    dict(lstm_type="mlp"),
    dict(rnn_layers=2),
    dict(rnn_layers=2, lstm_type="lstm", layer_norm=True),
]


def make(sharing="groups", groups=None, **options):
    torch.manual_seed(0)
    sizes = {**SIZES, "hidden_size_list": [6, 8], "parameter_sharing": sharing, **options}
    return QMix(**sizes, agent_groups=(groups or GROUPS) if sharing == "groups" else None)


def own_network(model, group, **options):
    """The network of one group by itself, without any of the batched layers; its parameters are copies."""
    alone = AgentNetwork(AgentSpec(5, 4, [6, 8], **options))
    theirs = {name.replace("cell.", "").replace("_l0", ""): p for name, p in alone.named_parameters()}
    mine = dict(model.agent.named_parameters())
    assert mine.keys() == theirs.keys()
    with torch.no_grad():
        for name, p in theirs.items():
            p.copy_(mine[name][group])
    return alone, theirs


def episodes():
    torch.manual_seed(1)
    valid = torch.arange(6)[None, :, None] < torch.tensor(LENGTHS)[:, None]
    return torch.randn(4, 6, 3, 5), valid


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equals_one_network_per_agent(options):
    model, (obs, valid) = make(**options), episodes()
    hidden = torch.randn_like(model.init_hidden(4))
    q, last = model.unroll(obs, hidden, valid)
    weight, last_weight = torch.randn_like(q), torch.randn_like(last)
    ((q * weight).sum() + (last * last_weight).sum()).backward()
    for group, agents in enumerate(GROUPS):
        alone, parameters = own_network(model, group, **options)
        loss = 0
        for a in agents:
            for b, length in enumerate(int(n[a]) for n in torch.tensor(LENGTHS)):
                h = hidden[b, a : a + 1]
                for t in range(length):
                    one, h = alone.step(obs[b, t, a : a + 1], h)
                    torch.testing.assert_close(q[b, t, a], one[0], atol=1e-6, rtol=1e-5)
                    loss = loss + (one[0] * weight[b, t, a]).sum()
                assert (q[b, length:, a] == 0).all()
                torch.testing.assert_close(last[b, a], h[0], atol=1e-6, rtol=1e-5)
                loss = loss + (h[0] * last_weight[b, a]).sum()
        loss.backward()
        for name, p in model.agent.named_parameters():
            torch.testing.assert_close(p.grad[group], parameters[name].grad, atol=2e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_acting_equals_unrolling(options, check_acting):
    check_acting(make(**options), episodes()[0])


def test_unrolling_from_any_first_step_equals_steps():
    model, (obs, _) = make(), episodes()
    first, state = torch.tensor([1, 3, 0, 5]), torch.randn(4, 3, 8)
    packing = Packing.of(torch.ones(4, 6, 3, dtype=torch.bool), first, by_agent=True)
    with torch.no_grad():
        values, last = model.unroll_packed(packing.pack(obs), packing, state)
        for b in range(4):
            h = state[b : b + 1]
            assert (values.q[b, : first[b]] == 0).all()
            for t in range(first[b], 6):
                one, h = model.forward_step(obs[b : b + 1, t], h)
                torch.testing.assert_close(values.q[b, t], one[0], atol=1e-6, rtol=1e-5)
            torch.testing.assert_close(last[b], h[0], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("lstm_type", ["gru", "lstm", "mlp"])
def test_batched_computation_with_one_group_equals_shared_weights(lstm_type):
    torch.manual_seed(0)
    shared, grouped = (AgentNetwork(AgentSpec(5, 4, [6, 8], lstm_type, groups=g)) for g in (None, [0, 0, 0]))
    with torch.no_grad():
        for ours, theirs in zip(grouped.parameters(), shared.parameters(), strict=True):
            ours.copy_(theirs.unsqueeze(0))
    obs, valid = episodes()
    plans = [Packing.of(valid), Packing.of(valid, by_agent=True)]
    state = torch.randn(12, shared.state_size)
    outs = []
    for network, plan in zip((shared, grouped), plans, strict=True):
        rows = plan.pack(obs)
        features, last = network.unroll_features(rows, plan, state)
        outs.append((plan.unpack(network.q_of(features, rows)), last))
    torch.testing.assert_close(outs[0][0], outs[1][0], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(outs[0][1], outs[1][1], atol=1e-6, rtol=1e-5)


def test_one_named_group_is_the_network_that_all_share():
    obs, valid = episodes()
    everyone, named = make("all"), make("groups", {"team": [2, 0, 1]})
    assert named.groups is None and named.state_dict().keys() == everyone.state_dict().keys()
    assert torch.equal(named.unroll(obs, valid=valid)[0], everyone.unroll(obs, valid=valid)[0])


def test_agents_of_one_group_may_swap_places_others_not():
    model, (obs, valid) = make(), episodes()
    q, _ = model.unroll(obs, valid=valid)
    for order, same in (([2, 1, 0], True), ([1, 0, 2], False)):
        permuted, _ = model.unroll(obs[:, :, order], valid=valid[:, :, order])
        assert torch.allclose(permuted, q[:, :, order], atol=1e-6) == same


@pytest.mark.parametrize("fused", [True, False])
def test_what_lies_behind_the_end_reaches_neither_values_nor_gradients(fused):
    obs, valid = episodes()
    results = []
    for x in (obs, torch.where(valid[..., None], obs, torch.nan)):
        model = make("none", fused=fused)
        q, last = model.unroll(x, valid=valid)
        (q.square().sum() + last.sum()).backward()
        results.append([q, last, *(p.grad for p in model.agent.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_unroll_of_nothing():
    model = make("none")
    hidden = torch.randn(2, 3, 8)
    q, last = model.unroll(torch.randn(2, 4, 3, 5), hidden, torch.zeros(2, 4, 3, dtype=torch.bool))
    assert (q == 0).all() and torch.equal(last, hidden)


def test_groups_start_differently_and_stay_apart_in_checkpoints():
    model = make("none", orthogonal_init=True)
    weight = model.agent.encoder[0].weight
    assert weight.shape == (3, 6, 5)
    for one in weight:
        torch.testing.assert_close(one.T @ one, torch.eye(5), atol=1e-6, rtol=0)
    assert not torch.equal(weight[0], weight[1])
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.agent.head.bias[1] += 1
    model.load_state_dict(other.state_dict())
    assert model.agent.head.bias[:, 0].tolist() == [0.0, 1.0, 0.0]
    assert "agent.memory.groups" not in model.state_dict()


def test_packing_of_agents_side_by_side_by_hand():
    """Two episode rows, two agents of lengths (1, 2) and (3, 0)."""
    valid = torch.arange(3)[None, :, None] < torch.tensor([[1, 3], [2, 0]])[:, None]
    packing = Packing.of(valid, by_agent=True)
    # Agent 0: row 1 (2 steps), then row 0 (1). Agent 1: row 0 (3 steps), then row 1 (none). At steps 0, 1, 2 the agent
    # with the most sequences running has 2, 1, 1. Place in (B, T, A) is row * 6 + step * 2 + agent; 12 is nowhere.
    assert packing.batch_sizes == [2, 1, 1]
    assert packing.order.tolist() == [[1 * 2 + 0, 0], [1, 1 * 2 + 1]]
    assert packing.rows.tolist() == [[6, 0, 6 + 2, 12], [1, 12, 2 + 1, 4 + 1]]
    # Last rows: agent 0's are rows 2 and 1 of its four, agent 1's first sequence ends in row 4 + 3.
    assert packing.last.tolist() == [2, 1, 4 + 3] and packing.ended.tolist() == [2, 0, 1]
    x = torch.arange(1.0, 13.0).view(2, 3, 2, 1)
    assert packing.pack(x)[..., 0].tolist() == [[7, 1, 9, 0], [2, 0, 4, 6]]
    assert torch.equal(packing.unpack(packing.pack(x)), x * valid[..., None])
