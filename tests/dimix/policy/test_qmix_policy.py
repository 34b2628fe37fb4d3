"""One QMIX update against a plain reference, and what must not change it."""

import io
import re

import numpy as np
import pytest
import torch

from dimix.check import references
from dimix.check.batches import padded
from dimix.check.references import Goal
from dimix.check.updates import with_other_target
from dimix.errors import BatchError, CheckpointError, ConfigError, TrainingError
from dimix.policy import QMIXPolicy

LENGTHS, ENDS = [5, 3, 6, 1, 4], ["terminated", "truncated", "cut", "terminated", "truncated"]


def make(make_config, dtype=torch.float32, seed=0, **changes):
    torch.manual_seed(seed)
    return with_other_target(QMIXPolicy(make_config(**changes), seed=3), dtype)


def gradients(policy, batch):
    """Metrics and gradients of an update."""
    metrics = policy.learn_mode.forward(batch)
    return metrics, {n: p.grad.clone() for n, p in policy.model.named_parameters()}


def reference(policy, batch, **options):
    """Loss and gradients of the plain form."""
    right = references.qmix(policy.model, policy._target_model, batch, **options)
    return right.loss, right.grads


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({}, {}),
        ({"learn__double_q": False}, {"double_q": False}),
        ({"learn__mask_dead_agents": False}, {"mask_dead": False}),
        ({"learn__td_lambda": 0.0, "learn__discount_factor": 0.9}, {"goal": Goal("td_lambda", 0.0, 0.9)}),
        ({"model__mixer": False}, {}),
        ({"model__hypernet_layers": 1}, {}),
        ({"learn__target": "q_lambda"}, {"goal": Goal("q_lambda")}),
        ({"learn__target": "n_step", "learn__n_step": 3}, {"goal": Goal("n_step", 3)}),
    ],
    ids=["default", "single q", "dead count", "one step", "vdn", "one hypernet layer", "Q(lambda)", "3 steps"],
)
def test_loss_and_gradient_equal_the_reference(rng, make_random_batch, make_config, changes, options, fused):
    batch = make_random_batch(rng, LENGTHS, ENDS, steps=8)
    policy = make(make_config, model__fused=fused, **changes)
    loss, grads = reference(policy, batch, **options)
    metrics, ours = gradients(policy, batch)
    scale = max(g.abs().max() for g in grads.values())
    assert metrics["loss"] == pytest.approx(loss.item(), rel=1e-5)
    for name, grad in grads.items():
        assert (ours[name] - grad).abs().max() <= 1e-5 * scale, name


def test_equals_the_reference_in_double_precision(rng, make_random_batch, make_config):
    batch = make_random_batch(rng, LENGTHS, ENDS, dtype=torch.float64)
    policy = make(make_config, dtype=torch.float64)
    loss, grads = reference(policy, batch)
    metrics, ours = gradients(policy, batch)
    assert metrics["loss"] == pytest.approx(loss.item(), rel=1e-12)
    for name, grad in grads.items():
        torch.testing.assert_close(ours[name], grad, rtol=1e-9, atol=1e-12)


def test_burn_in_and_importance_weights_equal_the_reference(rng, make_random_batch, make_config):
    batch = make_random_batch(rng, LENGTHS, ENDS, steps=7)
    batch.burnin = torch.tensor([2, 0, 5, 0, 1])
    batch.hidden_state = torch.from_numpy(rng.standard_normal((5, 3, 8), np.float32))
    batch.weight = torch.tensor([1.0, 0.5, 0.25, 2.0, 1.0])
    policy = make(make_config, priority=True, priority_IS_weight=True, model__fused=True)
    loss, grads = reference(policy, batch, weight=batch.weight)
    metrics, ours = gradients(policy, batch)
    assert metrics["loss"] == pytest.approx(loss.item(), rel=1e-5)
    for name, grad in grads.items():
        torch.testing.assert_close(ours[name], grad, rtol=1e-4, atol=1e-6)
    assert metrics["priority"].shape == (5,)


def test_padding_changes_nothing(rng, make_random_batch, make_config):
    batch = make_random_batch(rng, LENGTHS, ENDS)
    plain, plain_grads = gradients(make(make_config), batch)
    longer, longer_grads = gradients(make(make_config), padded(batch, 4))
    assert longer["loss"] == pytest.approx(plain["loss"], rel=1e-6)
    for name, grad in plain_grads.items():
        torch.testing.assert_close(longer_grads[name], grad, rtol=1e-5, atol=1e-7)


def test_unavailable_actions_of_the_next_row_do_not_matter(rng, make_random_batch, make_config):
    """Raising a masked action's value everywhere (through the head's bias) leaves the target where it was."""
    batch = make_random_batch(rng, LENGTHS, ENDS)
    batch.action = torch.where(batch.action == 4, batch.obs.action_mask[:, :-1].int().argmax(-1), batch.action)
    batch.obs.action_mask = batch.obs.action_mask.clone()
    batch.obs.action_mask[..., 4] = False
    batch.obs.action_mask[..., 0] |= ~batch.obs.action_mask.any(-1)
    targets = []
    for bias in (0.0, 100.0):
        policy = make(make_config)
        with torch.no_grad():
            for model in (policy.model, policy._target_model):
                model.agent.head.bias[4] += bias
        targets.append(policy.learn_mode.forward(batch)["target_q_tot"])
    assert targets[0] == targets[1]


@pytest.mark.parametrize("lstm_type", ["lstm", "mlp"])
def test_other_agents_learn(rng, make_random_batch, make_config, lstm_type, training_seed, margin):
    policy = make(make_config, seed=training_seed, model__lstm_type=lstm_type, learn__learning_rate=0.01)
    batch = make_random_batch(rng, LENGTHS, ["terminated"] * 5, hidden=policy.model.state_size)
    losses = [policy.learn_mode.forward(batch)["loss"] for _ in range(150)]
    margin.below(losses[-1], 0.2 * losses[0])


def test_priority_is_mean_or_max_error(rng, make_random_batch, make_config):
    batch = make_random_batch(rng, LENGTHS, ENDS)
    mean = make(make_config, priority=True).learn_mode.forward(batch)
    top = make(make_config, priority=True, learn__priority_type="max").learn_mode.forward(batch)
    assert mean["td_error_abs"] == pytest.approx((mean["priority"] * LENGTHS).sum() / sum(LENGTHS), rel=1e-5)
    assert (top["priority"] >= mean["priority"] - 1e-6).all()
    assert top["priority"][3] == pytest.approx(mean["priority"][3])  # an episode of one step


def test_target_network_soft_and_hard(rng, make_random_batch, make_config):
    batch = make_random_batch(rng, LENGTHS, ENDS)
    policy = make(make_config, learn__target_update_theta=0.25)
    before = policy._target_model.agent.head.weight.clone()
    policy.learn_mode.forward(batch)
    moved = before + 0.25 * (policy.model.agent.head.weight - before)
    torch.testing.assert_close(policy._target_model.agent.head.weight, moved)

    policy = make(make_config, learn__target_update_freq=2)
    before = policy._target_model.agent.head.weight.clone()
    policy.learn_mode.forward(batch)
    assert torch.equal(policy._target_model.agent.head.weight, before)
    policy.learn_mode.forward(batch)
    assert torch.equal(policy._target_model.agent.head.weight, policy.model.agent.head.weight)


def test_priority_is_the_return_between_the_extremes_so_far(rng, make_random_batch, make_config):
    policy = make(make_config, priority=True, learn__priority_type="return")
    batch = make_random_batch(rng, [2, 1, 3], ["terminated", "cut", "truncated"])
    batch.reward = torch.tensor([[1.0, 2.0, 99.0], [-1.0, 99.0, 99.0], [0.0, 1.0, 0.0]])  # returns 3, -1, 1
    assert policy.learn_mode.forward(batch)["priority"].tolist() == [1.0, 0.0, 0.5]
    batch.reward = torch.tensor([[3.0, 4.0, 99.0], [1.0, 99.0, 99.0], [0.0, 1.0, 0.0]])  # 7, 1, 1; the smallest was -1
    assert policy.learn_mode.forward(batch)["priority"].tolist() == [1.0, 0.25, 0.25]
    other = make(make_config, priority=True, learn__priority_type="return")
    other.learn_mode.load_state_dict(policy.learn_mode.state_dict())
    batch.reward = torch.tensor([[3.0, 0.0, 99.0], [3.0, 99.0, 99.0], [0.0, 3.0, 0.0]])
    assert other.learn_mode.forward(batch)["priority"].tolist() == [0.5, 0.5, 0.5]


def test_target_network_is_copied_every_so_many_episodes(rng, make_random_batch, make_config):
    batch = make_random_batch(rng, LENGTHS, ENDS)
    policy = make(make_config, learn__target_update_interval=20)

    def copied(policy, episodes):
        policy.learn_mode.see_episodes(episodes)
        policy.learn_mode.forward(batch)
        return torch.equal(policy._target_model.agent.head.weight, policy.model.agent.head.weight)

    assert [copied(policy, n) for n in (8, 16, 24, 24, 32, 43)] == [False, False, True, False, False, False]
    resumed = make(make_config, learn__target_update_interval=20)
    resumed.learn_mode.load_state_dict(policy.learn_mode.state_dict())
    assert [copied(resumed, n) for n in (43, 44)] == [False, True]  # 20 after the 24


def test_gradient_clipping(rng, make_random_batch, make_config):
    batch = make_random_batch(rng, LENGTHS, ENDS)

    def after(**changes):
        policy = make(make_config, **changes)
        return policy.learn_mode.forward(batch)["grads"], torch.cat(
            [p.grad.flatten() for p in policy.model.parameters()]
        )

    free_norm, free = after(learn__clip_type="none")
    norm, clipped = after(learn__clip_value=free_norm / 4)
    assert norm == pytest.approx(free_norm)  # reported before clipping
    torch.testing.assert_close(clipped, free / 4, rtol=1e-4, atol=1e-7)
    limit = free.abs().max().item() / 3
    _, limited = after(learn__clip_type="value", learn__clip_value=limit)
    torch.testing.assert_close(limited, free.clamp(-limit, limit))


def test_learning_rate_schedule_and_optimizer(rng, make_random_batch, make_config):
    batch = make_random_batch(rng, LENGTHS, ENDS)
    policy = make(
        make_config, learn__optimizer="RMSprop", learn__optimizer_kwargs={"alpha": 0.9}, learn__lr_schedule="linear",
        learn__lr_decay=4, learn__learning_rate=0.01,
    )  # fmt: skip
    rates = [policy.learn_mode.forward(batch)["learning_rate"] for _ in range(6)]
    assert rates == pytest.approx([0.01, 0.0075, 0.005, 0.0025, 0.0, 0.0])
    stairs = make(
        make_config, learn__lr_schedule="step", learn__lr_decay=2, learn__learning_rate=0.01, learn__lr_factor=0.1,
        learn__lr_end=0.0005,
    )  # fmt: skip
    rates = [stairs.learn_mode.forward(batch)["learning_rate"] for _ in range(6)]
    assert rates == pytest.approx([0.01, 0.01, 0.001, 0.001, 0.0005, 0.0005])
    assert policy._optimizer.param_groups[0]["alpha"] == 0.9


@pytest.mark.parametrize("name", [n for n, v in vars(torch.optim).items() if isinstance(v, type) and n != "Optimizer"])
def test_every_optimizer_of_torch_trains_or_is_refused(rng, make_random_batch, make_config, name):
    batch = make_random_batch(rng, LENGTHS, ENDS)
    try:
        policy = make(make_config, learn__optimizer=name)
    except ConfigError as error:
        assert re.match(f"policy.learn.optimizer: '{name}' (cannot train these networks|cannot be used): ", str(error))
        assert name in ("LBFGS", "SparseAdam", "Muon")
        return
    before = [p.clone() for p in policy.model.parameters()]
    policy.learn_mode.forward(batch)
    assert type(policy._optimizer).__name__ == name
    assert not all(torch.equal(a, b) for a, b in zip(before, policy.model.parameters(), strict=True))


@pytest.mark.parametrize("where", ["reward", "observation", "weights"])
def test_nan_stops_before_the_weights_change(rng, make_random_batch, make_config, where):
    batch = make_random_batch(rng, LENGTHS, ENDS)
    policy = make(make_config, model__fused=True)
    if where == "reward":
        batch.reward[0, 0] = torch.nan
    elif where == "observation":
        batch.obs.agent_state[0, 0, 0, 0] = torch.inf
    else:
        with torch.no_grad():
            policy._target_model.mixer.value.bias.fill_(torch.nan)
    before = [p.clone() for p in policy.model.parameters()]
    with pytest.raises(TrainingError, match="update 0: loss .* gradient norm .* Both must be finite"):
        policy.learn_mode.forward(batch)
    assert all(torch.equal(a, b) for a, b in zip(before, policy.model.parameters(), strict=True))


def test_hidden_state_of_another_size_is_refused(rng, make_random_batch, make_config):
    batch = make_random_batch(rng, LENGTHS, ENDS, hidden=0)
    with pytest.raises(BatchError, match=r"'hidden_state': shape \(5, 3, 0\). Right is H = 8"):
        make(make_config).learn_mode.forward(batch)


def test_metrics_are_those_announced(rng, make_random_batch, make_config):
    policy = make(make_config)
    metrics = policy.learn_mode.forward(make_random_batch(rng, LENGTHS, ENDS))
    assert sorted(metrics) == sorted(policy.learn_mode.monitor_vars())


def test_checkpoint_goes_on_bit_for_bit(rng, make_random_batch, make_config):
    batch = make_random_batch(rng, LENGTHS, ENDS)
    obs = {"agent_state": rng.standard_normal((4, 3, 7), np.float32), "action_mask": np.ones((4, 3, 5), bool)}
    one = make(make_config)
    for _ in range(3):
        one.learn_mode.forward(batch)
        one.collect_mode.forward(obs, one.init_hidden(4), 0.5)
    file = io.BytesIO()
    torch.save([mode.state_dict() for mode in (one.learn_mode, one.collect_mode, one.eval_mode)], file)
    file.seek(0)
    two = QMIXPolicy(make_config(), seed=99)
    for mode, state in zip(
        (two.learn_mode, two.collect_mode, two.eval_mode), torch.load(file, weights_only=True), strict=True
    ):
        mode.load_state_dict(state)
    for _ in range(3):
        assert one.learn_mode.forward(batch) == two.learn_mode.forward(batch)
        actions = [p.collect_mode.forward(obs, p.init_hidden(4), 0.5)[0] for p in (one, two)]
        assert (actions[0] == actions[1]).all()
    for a, b in zip(one.model.parameters(), two.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_checkpoint_of_other_sizes_is_refused(make_config):
    other = QMIXPolicy(make_config(model__obs_shape=9))
    with pytest.raises(CheckpointError, match="checkpoint does not fit this policy and model: .*encoder"):
        make(make_config).learn_mode.load_state_dict(other.learn_mode.state_dict())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"on_policy": True}, "policy.on_policy: True. QMIX learns from a replay buffer"),
        ({"priority_IS_weight": True}, "policy.priority_IS_weight: True without priorities"),
        ({"learn__target_update_theta": 0.0}, "target_update_theta: 0, .* the target network would never change"),
        ({"learn__optimizer": "adma"}, "policy.learn.optimizer: 'adma' is not in torch.optim. Did you mean|Nearest"),
        ({"learn__optimizer_kwargs": {"momentun": 1}}, "policy.learn.optimizer_kwargs: adam refuses {'momentun': 1}"),
        ({"model__hypernet_layers": 3}, r"policy.model \(type 'qmix'\): hypernet_layers is 3"),
        ({"device": "gpu"}, "policy.device: 'gpu'. Use 'auto', 'cpu', 'cuda' or 'mps'."),
    ],
)
def test_wrong_configs(make_config, changes, message):
    with pytest.raises(ConfigError, match=message):
        QMIXPolicy(make_config(**changes))


def test_cuda_that_is_not_there(make_config):
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(ConfigError, match="policy.device: 'cuda' asked for, but torch .* finds no such device here"):
        QMIXPolicy(make_config(cuda=True))


def test_evaluation_acts_with_averaged_weights(rng, make_random_batch, make_config):
    policy = make(make_config, learn__average_theta=0.25)
    before = policy._averaged_model.agent.head.weight.clone()
    policy.learn_mode.forward(make_random_batch(rng, LENGTHS, ENDS))
    learned = policy.model.agent.head.weight
    first = before + 9 / 10 * (learned - before)  # the average of few updates follows them closely
    torch.testing.assert_close(policy._averaged_model.agent.head.weight, first)
    policy._train_iter = 100
    policy.learn_mode.forward(make_random_batch(rng, LENGTHS, ENDS))
    torch.testing.assert_close(policy._averaged_model.agent.head.weight, first + 0.25 * (learned - first))

    with torch.no_grad():  # the averaged network likes the last action best, the learned one the first
        for model, best in ((policy.model, 0), (policy._averaged_model, -1)):
            model.agent.head.weight.zero_()
            model.agent.head.bias.zero_()[best] = 1.0
    agents, actions = policy.model.agent_num, policy.model.action_shape
    obs = {
        "agent_state": np.zeros((2, agents, policy.model.agent.encoder[0].in_features), np.float32),
        "action_mask": np.ones((2, agents, actions), bool),
    }
    hidden = policy.init_hidden(2)
    assert (policy.eval_mode.forward(obs, hidden)[0] == actions - 1).all()
    assert (policy.collect_mode.forward(obs, hidden, 0.0)[0] == 0).all()

    plain = make(make_config, learn__average_theta=1.0)
    with torch.no_grad():
        plain.model.agent.head.weight.zero_()
        plain.model.agent.head.bias.zero_()[2] = 1.0
    assert (plain.eval_mode.forward(obs, hidden)[0] == 2).all()


def test_without_averaging_the_averaged_weights_are_the_learned_ones(rng, make_random_batch, make_config):
    """They are saved, and may be played with under another setting."""
    policy = make(make_config, learn__average_theta=1.0)
    policy.learn_mode.forward(make_random_batch(rng, LENGTHS, ENDS))
    learned, saved = policy.model.state_dict(), policy.learn_mode.state_dict()["averaged_model"]
    assert all(torch.equal(learned[name], saved[name]) for name in learned)
