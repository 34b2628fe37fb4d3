"""Every combination of the family's switches trains, or is refused by a line that names one of them."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from dimix.config.compile import compile_all
from dimix.entry.rooms import Rooms
from dimix.errors import ConfigError

SMALL_ENCODER = {"channels": [2], "kernel_size": [2], "stride": [2], "embed_dim": 4}

#: Dotted key (``policy.`` left out) -> values other than the default.
SWITCHES = {
    "type": ["vdn", "iql", "wqmix", "qtran", "qplex", "pqn"],
    "env.image_state": [True],
    "priority": [True],
    "priority_IS_weight": [True],
    "model.mixer": [True, False, "sum", "central", "qplex", "qatten", "set"],
    "model.lstm_type": ["lstm", "mlp"],
    "model.rnn_layers": [2],
    "model.dueling": [True],
    "model.layer_norm": [True],
    "model.encoder_norm": [True],
    "model.orthogonal_init": [True],
    "model.hypernet_layers": [1],
    "model.fused": [False],
    "model.hidden_size_list": [[], [6, 4]],
    "model.parameter_sharing": ["type", "groups", "none"],
    "model.agent_groups": [[[0], [1]], [[0]]],
    "model.state_encoder": [SMALL_ENCODER, {**SMALL_ENCODER, "kernel_size": [7]}, {**SMALL_ENCODER, "stride": []}],
    "learn.tbptt": [2],
    "learn.target": ["q_lambda", "n_step"],
    "learn.n_step": [2],
    "learn.double_q": [False],
    "learn.mask_dead_agents": [True, False],
    "learn.wqmix_ow": [False],
    "learn.qtran": ["alt"],
    "learn.priority_type": ["max", "return"],
    "learn.reward_normalize": [True],
    "learn.reward_standardise": [True],
    "learn.reward_clip": [0.5],
    "learn.clip_type": ["value", "none"],
    "learn.optimizer": ["rmsprop", "sgd", "lbfgs", "sparseadam"],
    "learn.lr_schedule": ["linear", "step"],
    "learn.target_update_theta": [0.0],
    "learn.target_update_freq": [2],
    "learn.target_update_interval": [3],
    "collect.unroll_len": [2],
    "collect.start_state": ["zero"],
    "collect.burnin_len": [1],
    "other.replay_buffer.anneal_step": [5],
    "other.eps.hold": [3.0],
    "random_collect_size": [4],
}
OF_ONE_POLICY = {"learn.wqmix_ow": "wqmix", "learn.qtran": "qtran"}


def build(chosen):
    """Main and create config of a tiny training with the chosen values."""
    env = dict(map_name="cue", delay=2, collector_env_num=2, evaluator_env_num=2, n_evaluator_episode=2)
    policy = dict(
        model=dict(hidden_size_list=[4]),
        learn=dict(batch_size=3),
        other=dict(replay_buffer=dict(replay_buffer_size=50)),
    )
    if chosen.get("type") == "pqn":
        policy.update(learn=dict(batch_size=2), other={})  # as many windows as games, and nothing to replay
    if chosen.get("type") != "qtran":
        policy["model"].update(mixer_embed_dim=4, hypernet_embed_dim=4)
    if chosen.get("env.image_state"):
        policy["model"].update(state_encoder=SMALL_ENCODER)
    main, create = dict(env=env, policy=policy), dict(env=dict(type="matrix_game"), policy=dict(type="qmix"))
    for key, value in chosen.items():
        if key == "type":
            create["policy"]["type"] = value
            continue
        *path, name = key.split(".") if key.startswith("env.") else ["policy", *key.split(".")]
        branch = main
        for part in path:
            branch = branch.setdefault(part, {})
        branch[name] = value
    return main, create


def blamed(error, chosen):
    """The chosen switches that a refusal names; every line has to name one, and say what would be right."""
    lines = [line.strip() for line in str(error).splitlines() if "problems with this config" not in line]
    names = []
    for line in lines:
        key, text = re.fullmatch(r"(\S+) \(in \S+\): (.+)", line).groups()
        assert re.search(r"\b([Uu]se|Set|Right|Leave|Give)\b", text), line
        name = key.removeprefix("policy.")
        assert name in chosen, f"{line}\nnames none of {chosen}"
        names.append(name)
    return names


def train(compiled):
    """Two updates on what a few games gave; every number has to be one."""
    rooms = Rooms(compiled)
    rooms.collector.collect(4, 1.0)
    before = [p.clone() for p in rooms.policy.model.parameters()]
    metrics = rooms.learner.train(2, episode_count=4)
    assert metrics and all(np.isfinite(value) for value in metrics.values())
    moved = [not torch.equal(a, b) for a, b in zip(before, rooms.policy.model.parameters(), strict=True)]
    assert any(moved)
    rooms.evaluator.evaluate(2)


def settle(chosen):
    """Train with the chosen values once those are taken back that a refusal names."""
    for _ in range(len(SWITCHES)):
        try:
            compiled = compile_all(build(chosen))
            break
        except ConfigError as error:
            for name in blamed(error, chosen):
                chosen.pop(name, None)
    train(compiled)


@pytest.mark.parametrize("policy", ["qmix", *SWITCHES["type"]])
def test_every_switch_alone(policy):
    for key, values in SWITCHES.items():
        if key != "type" and OF_ONE_POLICY.get(key, policy) == policy:
            for value in values:
                settle({"type": policy, key: value})


@pytest.mark.parametrize("seed", range(10))
def test_random_combinations(seed):
    rng = np.random.default_rng(seed)
    for _ in range(12):
        chosen = {"type": rng.choice(["qmix", *SWITCHES["type"]])}
        for key, values in SWITCHES.items():
            if key != "type" and rng.random() < 0.3 and OF_ONE_POLICY.get(key, chosen["type"]) == chosen["type"]:
                chosen[key] = values[rng.integers(len(values))]
        settle(chosen)
