"""One QTRAN update against a plain reference, both forms, and the pieces of the joint network."""

import pytest
import torch
import torch.nn.functional as F

from dimix.errors import ConfigError
from dimix.model import QMix, QTran
from dimix.policy import QTRANPolicy

LENGTHS, ENDS = [5, 3, 6, 1, 4], ["terminated", "truncated", "cut", "terminated", "truncated"]
GAMMA, LAMBDA = 0.99, 0.6
FACTORS = {"td_weight": 1.5, "opt_weight": 0.7, "nopt_min_weight": 0.3}


@pytest.fixture
def make(make_config):
    """A policy whose target network differs from the online one."""

    def build(dtype=torch.float32, **changes):
        learn = {"qtran": "base", **FACTORS, **changes.pop("learn", {})}
        cfg = make_config(model__type="qtran", **changes)
        cfg.learn.update(learn)
        cfg.model.update(embedding_size=12)
        torch.manual_seed(0)
        policy = QTRANPolicy(cfg, seed=3)
        with torch.no_grad():
            for p in policy._target_model.parameters():
                p.add_(0.3 * torch.randn_like(p))
        for network in (policy.model, policy._target_model, policy._averaged_model):
            network.to(dtype)
        return policy

    return build


def rows_of(network, batch, b, rows):
    """One episode's Q-values and features, row by row from the recurrence's formula: lists of (A, N), (A, F)."""
    q, features, h, c = [], [], torch.zeros_like(batch.hidden_state[b]), network.agent.memory.cell
    for t in range(rows):
        x = F.relu(network.agent.encoder[0](batch.obs.agent_state[b, t]))
        h = torch.gru_cell(x, h, c.weight_ih_l0, c.weight_hh_l0, c.bias_ih_l0, c.bias_hh_l0)
        q.append(network.agent.head(h))
        features.append(h)
    return q, features


def joint(network, features, actions, counted, state):
    """The joint value of one row and one joint action, from the paper's description."""
    net, total = network.joint, 0
    for a, action in enumerate(actions):
        if counted[a]:
            onehot = torch.zeros(net.action_shape, dtype=state.dtype)
            onehot[action] = 1
            total = total + net.encoding(torch.cat([features[a], onehot]))
    x = net.q_in.weight @ torch.cat([state, total]) + net.q_in.bias
    return net.q_out(x.clamp(min=0))[0]


def reference(policy, batch, form, mask_dead=True, double_q=True):
    """Loss and gradients, step by step and agent by agent."""
    online, target = policy.model, policy._target_model
    sums, count = {"td": 0.0, "opt": 0.0, "nopt": 0.0}, 0
    for b in range(len(batch.filled)):
        length = int(batch.filled[b].sum())
        mask, state = batch.obs.action_mask[b], batch.obs.global_state[b]
        counted = batch.alive[b] if mask_dead else torch.ones_like(batch.alive[b])
        agents = range(mask.shape[1])
        q, features = rows_of(online, batch, b, length + 1)
        with torch.no_grad():
            target_q, target_features = rows_of(target, batch, b, length + 1)

        def greedy(values, t, mask=mask, agents=agents):
            return [int(values[t][a].detach().masked_fill(~mask[t, a], -1e9).argmax()) for a in agents]

        def transformed(actions, t, q=q, features=features, counted=counted, state=state, agents=agents):
            own = sum(q[t][a, actions[a]] for a in agents if counted[t, a])
            fixed = joint(online, features[t], actions, counted[t], state[t]).detach()
            return own - fixed + online.joint.v(state[t])[0]

        following = None
        for t in reversed(range(length)):
            goal = batch.reward[b, t]
            if not batch.terminated[b, t]:
                best = greedy(q if double_q else target_q, t + 1)
                value = joint(target, target_features[t + 1], best, counted[t + 1], state[t + 1])
                goal = goal + GAMMA * (value if following is None else (1 - LAMBDA) * value + LAMBDA * following)
            goal = following = goal.detach()
            taken = batch.action[b, t].tolist()
            sums["td"] = sums["td"] + (joint(online, features[t], taken, counted[t], state[t]) - goal) ** 2
            sums["opt"] = sums["opt"] + transformed(greedy(q, t), t) ** 2
            if form == "base":
                sums["nopt"] = sums["nopt"] + transformed(taken, t).clamp(max=0) ** 2
            else:
                lowest = []
                for a in agents:
                    if counted[t, a]:
                        every = [taken[:a] + [n] + taken[a + 1 :] for n in range(5) if mask[t, a, n]]
                        lowest.append(torch.stack([transformed(u, t) for u in every]).min() ** 2)
                sums["nopt"] = sums["nopt"] + (sum(lowest) / len(lowest) if lowest else 0.0)
            count += 1
    weights = dict(zip(sums, FACTORS.values(), strict=True))
    loss = sum(0.5 * weights[k] * v for k, v in sums.items()) / count
    params = dict(online.named_parameters())
    return loss, dict(zip(params, torch.autograd.grad(loss, list(params.values())), strict=True))


@pytest.mark.parametrize(
    ("learn", "options"),
    [({}, {}), ({"double_q": False}, {"double_q": False}), ({"mask_dead_agents": False}, {"mask_dead": False})],
    ids=["default", "single q", "dead count"],
)
@pytest.mark.parametrize("form", ["base", "alt"])
def test_loss_and_gradient_equal_the_reference(rng, make_random_batch, make, form, learn, options):
    batch = make_random_batch(rng, LENGTHS, ENDS, steps=8, dtype=torch.float64)
    batch.alive[:, 0] = True  # as games begin: somebody is alive where anybody acts
    policy = make(torch.float64, learn={"qtran": form, **learn})
    loss, grads = reference(policy, batch, form, **options)
    metrics = policy.learn_mode.forward(batch)
    assert metrics["loss"] == pytest.approx(loss.item(), rel=1e-12)
    parts = [f * metrics[n] for f, n in zip(FACTORS.values(), ("td_loss", "opt_loss", "nopt_loss"), strict=True)]
    assert all(parts) and metrics["loss"] == pytest.approx(sum(parts))
    for name, p in policy.model.named_parameters():
        torch.testing.assert_close(p.grad, grads[name], rtol=1e-9, atol=1e-12)


def test_importance_weights_scale_every_part(rng, make_random_batch, make):
    batch = make_random_batch(rng, LENGTHS, ENDS, steps=8)
    batch.weight = torch.full((5,), 0.25)
    policy, weighted = make(), make(priority=True, priority_IS_weight=True)
    plain, scaled = policy.learn_mode.forward(batch), weighted.learn_mode.forward(batch)
    for name in ("loss", "td_loss", "opt_loss", "nopt_loss"):
        assert scaled[name] == pytest.approx(0.25 * plain[name], rel=1e-6)
    assert scaled["priority"].shape == (5,)


def test_counterfactual_values_are_joint_values():
    torch.manual_seed(0)
    model = QTran(3, 7, 6, 5, hidden_size_list=[8], embedding_size=12)
    features, state = torch.randn(4, 3, 8), torch.randn(4, 6)
    action, counts = torch.randint(5, (4, 3)), torch.tensor([[True, True, False]]).expand(4, 3)
    every = model.counterfactual_q(features, action, counts, state)
    assert every.shape == (4, 3, 5)
    for agent in range(3):
        for n in range(5):
            other = action.clone()
            other[:, agent] = n
            torch.testing.assert_close(every[:, agent, n], model.joint_q(features, other, counts, state))
    assert not torch.allclose(every[:, 0, 0], every[:, 0, 1])
    torch.testing.assert_close(every[:, 2, 0], every[:, 2, 1])  # who does not count changes nothing


def test_errors_say_what_is_right(make_config):
    sizes = dict(agent_num=3, obs_shape=7, global_obs_shape=6, action_shape=5)
    with pytest.raises(ValueError, match="mixer is True. QTRAN has a joint network in the mixer's place; use False."):
        QTran(**sizes, mixer=True)
    with pytest.raises(ConfigError, match="policy.model: QMix has no joint network. Use the model 'qtran'"):
        QTRANPolicy(make_config(), QMix(**sizes))
