"""Truncated backpropagation through time: one step of the optimizer per chunk, against the rule written out."""

import copy

import numpy as np
import pytest
import torch

from dimix.check.games import greedy_return
from dimix.check.updates import with_other_target
from dimix.config.compile import compile_all
from dimix.config.schema import class_schema, defaults
from dimix.errors import ConfigError
from dimix.model import QMix
from dimix.policy import QMIXPolicy
from dimix.registry import POLICY_REGISTRY
from dimix.replay.batch import batch_fields, cut_steps, validate

LENGTHS, ENDS = [7, 3, 6, 1, 4], ["terminated", "truncated", "cut", "terminated", "truncated"]
GAMMA, LAMBDA, CLIP = 0.99, 0.6, 0.5


def make(make_config, name="qmix", **changes):
    policy_class = POLICY_REGISTRY.get(name)
    cfg = make_config(**changes)
    extra = defaults(class_schema(policy_class))["learn"]
    cfg.learn.update({k: v for k, v in extra.items() if k not in cfg.learn})
    if name in ("qtran", "iql"):
        cfg.model.mixer = False
        cfg.learn.mask_dead_agents = name != "iql"
    torch.manual_seed(0)
    return with_other_target(policy_class(cfg, seed=3))


def team(model, q, action, batch, t):
    """(B,) team value of actions (B, A) in row t; the dead count 0."""
    chosen = q.gather(-1, action.unsqueeze(-1)).squeeze(-1) * batch.alive[:, t]
    return model.mix(chosen, batch.obs.global_state[:, t])


def targets(model, target, batch):
    """(B, T): TD(lambda), step by step from the back, with double Q; nothing learned yet."""
    steps = batch.filled.shape[1]
    h, h_target = batch.hidden_state, batch.hidden_state
    values = []
    for t in range(steps + 1):
        q, h = model.forward_step(batch.obs.agent_state[:, t], h)
        q_target, h_target = target.forward_step(batch.obs.agent_state[:, t], h_target)
        best = q.masked_fill(~batch.obs.action_mask[:, t], -1e9).argmax(-1)
        values.append(team(target, q_target, best, batch, t))
    out = torch.zeros(batch.filled.shape)
    for b in range(len(out)):
        length = int(batch.filled[b].sum())
        for t in reversed(range(length)):
            follow = values[t + 1][b] if t == length - 1 else (1 - LAMBDA) * values[t + 1][b] + LAMBDA * out[b, t + 1]
            out[b, t] = batch.reward[b, t] + GAMMA * follow * (~batch.terminated[b, t])
    return out


def reference(model, target, batch, length):
    """The rule with torch's own pieces; changes the model. Returns mean loss over all steps and mean gradient norm."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    with torch.no_grad():
        goal = targets(model, target, batch)
    h, losses, norms, counts = batch.hidden_state, [], [], []
    for start in range(0, batch.filled.shape[1], length):
        h, errors = h.detach(), []
        for t in range(start, min(start + length, batch.filled.shape[1])):
            q, h = model.forward_step(batch.obs.agent_state[:, t], h)
            errors.append((team(model, q, batch.action[:, t], batch, t) - goal[:, t])[batch.filled[:, t]])
        error = torch.cat(errors)
        loss = 0.5 * error.square().mean()
        optimizer.zero_grad()
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)) * len(error))
        optimizer.step()
        losses.append(loss.item() * len(error))
        counts.append(len(error))
    return sum(losses) / sum(counts), sum(norms) / sum(counts)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("length", [1, 3, 7, 50])
def test_equals_the_rule_written_out(rng, make_random_batch, make_config, length, fused):
    batch = make_random_batch(rng, LENGTHS, ENDS, steps=7)
    batch.hidden_state = torch.from_numpy(rng.standard_normal((5, 3, 8), np.float32))
    options = dict(learn__tbptt=length, learn__learning_rate=0.01, learn__clip_value=CLIP, model__fused=fused)
    policy = make(make_config, **options)
    model, target = copy.deepcopy(policy.model), copy.deepcopy(policy._target_model)
    loss, norm = reference(model, target, batch, length)
    metrics = policy.learn_mode.forward(batch)
    assert metrics["loss"] == pytest.approx(loss, rel=1e-4)
    assert metrics["grads"] == pytest.approx(norm, rel=1e-4)
    for (name, ours), theirs in zip(policy.model.named_parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=2e-4, msg=name)
    # one update of everything else, however many chunks
    assert policy.learn_mode.state_dict()["train_iter"] == 1
    before = target.agent.head.weight
    moved = before + 0.05 * (policy.model.agent.head.weight - before)
    torch.testing.assert_close(policy._target_model.agent.head.weight, moved)


FAMILY = [
    ("qmix", {}),
    ("vdn", {}),
    ("iql", {}),
    ("wqmix", {"learn__wqmix_ow": True}),
    ("wqmix", {"learn__wqmix_ow": False}),
    ("qtran", {"learn__qtran": "base"}),
    ("qtran", {"learn__qtran": "alt"}),
]


@pytest.mark.parametrize("lstm_type", ["gru", "lstm"])
@pytest.mark.parametrize(("name", "options"), FAMILY, ids=["QMIX", "VDN", "IQL", "OW", "CW", "QTRAN", "QTRAN alt"])
def test_chunks_say_together_what_the_whole_batch_says(rng, make_random_batch, make_config, name, options, lstm_type):
    """With steps of size 0 nothing is lost or seen twice: same losses, same means, same priorities."""
    still = dict(learn__optimizer="sgd", learn__learning_rate=0.0, priority=True, model__lstm_type=lstm_type)
    whole = make(make_config, name, **still, **options)
    batch = make_random_batch(rng, LENGTHS, ENDS, hidden=whole.model.state_size)
    chunked = make(make_config, name, **still, **options, learn__tbptt=3)
    ours, theirs = chunked.learn_mode.forward(batch), whole.learn_mode.forward(batch)
    assert ours.keys() == theirs.keys()
    np.testing.assert_allclose(ours.pop("priority"), theirs.pop("priority"), rtol=1e-5)
    for key in theirs.keys() - {"grads"}:
        assert ours[key] == pytest.approx(theirs[key], rel=1e-4, abs=1e-6), key


@pytest.mark.parametrize(("name", "options"), FAMILY[3:], ids=["OW", "CW", "QTRAN", "QTRAN alt"])
def test_a_chunk_as_long_as_the_batch_is_the_ordinary_update(rng, make_random_batch, make_config, name, options):
    batch = make_random_batch(rng, LENGTHS, ENDS)
    once, chunked = (make(make_config, name, **options, learn__tbptt=tbptt) for tbptt in (None, 7))
    assert chunked.learn_mode.forward(batch)["loss"] == pytest.approx(once.learn_mode.forward(batch)["loss"], rel=1e-5)
    for (key, ours), theirs in zip(chunked.model.named_parameters(), once.model.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6, msg=key)


def test_gradients_stop_at_the_chunk(rng, make_random_batch, make_config):
    """The last chunk's gradient is that of its own steps from the state that came in."""
    batch = make_random_batch(rng, [6, 6], ["terminated"] * 2)
    still = dict(learn__optimizer="sgd", learn__learning_rate=0.0, learn__clip_type="none")
    policy = make(make_config, learn__tbptt=3, **still)
    policy.learn_mode.forward(batch)
    last = cut_steps(batch, 3, 6)
    with torch.no_grad():
        state = policy.model.unroll(batch.obs.agent_state[:, :3], valid=batch.alive[:, :3])[1]
        goal = targets(policy.model, make(make_config)._target_model, batch)[:, 3:]
    q, _ = policy.model.unroll(last.obs.agent_state[:, :3], state, last.alive[:, :3])
    taken = q.gather(-1, last.action.unsqueeze(-1)).squeeze(-1) * last.alive[:, :3]
    loss = 0.5 * (policy.model.mix(taken, last.obs.global_state[:, :3]) - goal).square().mean()
    grads = torch.autograd.grad(loss, list(policy.model.parameters()))
    for (name, p), grad in zip(policy.model.named_parameters(), grads, strict=True):
        torch.testing.assert_close(p.grad, grad, rtol=1e-4, atol=1e-6, msg=name)


CHUNKS = dict(tbptt=2, learning_rate=0.002)
NO_CUE = 0.5 * 0.5 / 4  # least error without the cue: half a point where the agents agree, in one step of four


@pytest.mark.parametrize("lstm_type", ["gru", "lstm"])
def test_what_lies_behind_a_chunk_is_learned_through_the_carried_state(lstm_type, training_seed, margin):
    """The cue is three steps back, in the chunk before: no gradient comes from there, its trace in the state does."""
    agents = dict(lstm_type=lstm_type, hidden_size_list=[64])
    earned, metrics = greedy_return("cue", "qmix", 1000, CHUNKS, training_seed, **agents)
    assert earned == 1.0
    margin.below(metrics["td_error_abs"], 0.7 * NO_CUE)


def test_without_the_carried_state_the_cue_is_lost(monkeypatch, training_seed, margin):
    carrying = QMix.unroll_packed
    monkeypatch.setattr(QMix, "unroll_packed", lambda *args: carrying(*args[:-1], torch.zeros_like(args[-1])))
    _, metrics = greedy_return("cue", "qmix", 500, CHUNKS, training_seed, lstm_type="gru", hidden_size_list=[64])
    margin.above(metrics["td_error_abs"], 0.8 * NO_CUE)  # it does not learn; what its team earns is chance


def test_cut_steps(rng, make_random_batch):
    batch = make_random_batch(rng, LENGTHS, ENDS)
    piece, whole = batch_fields(cut_steps(batch, 2, 5)), batch_fields(batch)
    assert torch.equal(piece["reward"], whole["reward"][:, 2:5])
    assert torch.equal(piece["obs.agent_state"], whole["obs.agent_state"][:, 2:6])
    assert torch.equal(piece["weight"], whole["weight"]) and piece["action"].shape == (5, 3, 3)
    first = cut_steps(batch, 0, 3)
    validate(first)
    assert cut_steps(batch, 6, 9).filled.shape == (5, 1)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (dict(collect=dict(unroll_len=4)), r"policy.learn.tbptt \(in .*\): 2, but windows are .*unroll_len = 4"),
        (dict(model=dict(lstm_type="mlp")), "policy.learn.tbptt .*: 2, but agents of lstm_type 'mlp' have no memory."),
    ],
)
def test_combinations_that_cannot_be(game_config, policy, message):
    main, create = game_config(**{**policy, "learn": dict(tbptt=2, batch_size=8)})
    with pytest.raises(ConfigError, match=message):
        compile_all((main, create))


def test_config_key_of_cleanmarl_is_explained(game_config):
    main, create = game_config(learn=dict(n_epochs=2))
    notes = compile_all((main, create)).notes
    assert notes == [
        "policy.learn.n_epochs: has no meaning here and is ignored "
        "(updates after each collection are the key learn.update_per_collect)"
    ]
    assert QMIXPolicy.config["learn"]["tbptt"] is None
