"""PQN: targets from the network in training, nothing kept between rounds, and runs that resume exactly."""

import pytest
import torch

from dimix.check import references
from dimix.check.updates import small_batch, small_policy, update
from dimix.config.compile import compile_all
from dimix.entry import serial_pipeline
from dimix.errors import ConfigError
from dimix.model import SumMixer

CREATE = dict(env=dict(type="matrix_game"), policy=dict(type="pqn"))


def config(**policy):
    branches = dict(
        model=dict(hidden_size_list=[16]),
        learn=dict(update_per_collect=8, batch_size=8, learning_rate=0.005),
        collect=dict(unroll_len=4, burnin_len=1),
        eval=dict(evaluator=dict(eval_freq=80)),
        other=dict(eps=dict(type="constant", start=1.0, end=1.0)),
    )
    main = dict(env=dict(map_name="cue", delay=2, collector_env_num=16), policy=branches, run=dict(tensorboard=False))
    for key, value in policy.items():
        *path, name = key.split("__")
        branch = branches
        for part in path:
            branch = branch.setdefault(part, {})
        branch[name] = value
    return main, CREATE


def test_targets_follow_every_update():
    """The second update's loss is that of the weights after the first: no older copy has a say."""
    policy, batch = small_policy("PQN"), small_batch()
    assert type(policy.model.mixer) is SumMixer and policy.model.agent.encoder_norms and policy.model.agent.norm
    update(policy, batch)
    right = references.qmix(policy.model, policy.model, batch)
    loss, grads = update(policy, batch)
    assert loss == pytest.approx(right.loss.item(), rel=1e-12)
    for name, grad in grads.items():
        torch.testing.assert_close(grad, right.grads[name], rtol=1e-9, atol=1e-12)


def test_learns_to_remember(tmp_path, training_seed, margin):
    """The cue's game, in windows that cut its episodes of 3 steps anywhere: both cues answered, twice in a row."""
    main, create = config()
    main["env"].update(stop_value=1.0)
    main["run"].update(stop_window=2)
    result = serial_pipeline(
        (main, create), training_seed, exp_name=tmp_path / "run", env_step=64 * 300, out=lambda text: None
    )
    assert result.reason == "stop_value"
    margin.below(result.env_step, 64 * 300)


@pytest.mark.parametrize("mixer", ["sum", "qmix"])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, runs, mixer):
    cfg, quiet = config(model__mixer=mixer), dict(out=lambda text: None)
    serial_pipeline(cfg, 0, exp_name=tmp_path / "whole", env_step=640, **quiet)
    serial_pipeline(cfg, 0, exp_name=tmp_path / "cut", env_step=320, **quiet)
    serial_pipeline(None, resume=tmp_path / "cut", env_step=640, **quiet)
    runs.assert_same(runs.state_of(tmp_path / "cut"), runs.state_of(tmp_path / "whole"))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (dict(learn__batch_size=5), "policy.learn.batch_size .*: 5 does not divide env.collector_env_num = 16."),
        (dict(on_policy=False), "policy.on_policy .*: False. PQN learns from what it has just played; use True."),
        (dict(collect__unroll_len=None), "policy.collect.unroll_len .*: None is not set. Use an int >= 1."),
        (dict(collect__n_episode=4), "policy.collect.n_episode .*: 4, but PQN collects collect.unroll_len steps"),
        (dict(learn__target_update_freq=200), "target_update_freq .*: 200, but PQN has no target network."),
        (dict(learn__double_q=False), "policy.learn.double_q .*: False, but PQN has no target network. Leave it out."),
        (dict(priority=True), "policy.priority .*: True, but PQN keeps no episodes to sample from. Leave it out."),
    ],
)
def test_what_means_nothing_without_replay_is_refused(changes, line):
    with pytest.raises(ConfigError, match=line):
        compile_all(config(**changes))


def test_qmix_stays_off_policy():
    main, _ = config()
    main["policy"]["on_policy"] = True
    with pytest.raises(ConfigError, match="policy.on_policy .*: True. QMIX learns from a replay buffer; use False."):
        compile_all((main, dict(env=dict(type="matrix_game"), policy=dict(type="qmix"))))
