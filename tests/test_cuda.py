"""What a CUDA device computes is what the CPU computes."""

from __future__ import annotations

import copy
import re

import pytest
import torch

from dimix.check.updates import FAMILY, distance, small_batch, small_policy, update, with_other_target
from dimix.entry import serial_pipeline
from dimix.errors import ConfigError
from dimix.machine.checkpoint_file import load_checkpoint
from dimix.machine.device import resolve_device

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def on_cuda(algorithm):
    """The policy of `small_policy` on the device, with the same weights."""
    like = small_policy(algorithm)
    torch.manual_seed(0)
    policy = type(like)(copy.deepcopy(like._cfg), device="cuda", seed=0)
    with_other_target(policy, torch.float64)
    policy.learn_mode.load_state_dict(like.learn_mode.state_dict())
    return policy


def on_cpu(found):
    loss, grads = found
    return loss, {name: grad.cpu() for name, grad in grads.items()}


@pytest.mark.parametrize("algorithm", FAMILY)
def test_every_policy_has_the_loss_and_gradient_of_the_cpu(algorithm):
    batch = small_batch()
    assert distance(on_cpu(update(on_cuda(algorithm), batch)), update(small_policy(algorithm), batch)) < 1e-9


@pytest.mark.parametrize("algorithm", FAMILY)
def test_a_state_goes_from_device_to_device(algorithm):
    policy, other = on_cuda(algorithm), small_policy(algorithm)
    update(policy, small_batch())
    other.learn_mode.load_state_dict(policy.learn_mode.state_dict())
    for _ in range(2):
        found, right = update(policy, small_batch(seed=8)), update(other, small_batch(seed=8))
        assert distance(on_cpu(found), right) < 1e-9


def test_training_and_resume_end_to_end(game_config, tmp_path):
    def say(text):
        """Print nothing."""

    folder = str(tmp_path / "run")
    serial_pipeline(game_config(), exp_name=folder, env_step=200, device="cuda", explain=False, out=say)
    result = serial_pipeline(None, resume=folder, env_step=400, explain=False, out=say)
    assert result.env_step >= 400 and result.train_iter > 0
    moved = serial_pipeline(game_config(), exp_name=f"{folder}_cpu", load_path=folder, env_step=50, out=say)
    assert moved.reason == "env_step"
    saved = load_checkpoint(tmp_path / "run/ckpt/latest.pth.tar")["rooms"]["policy"]["learn"]["model"]
    assert all(x.device.type == "cpu" and torch.isfinite(x).all() for x in saved.values())


def test_a_device_that_is_not_there_is_named():
    count = torch.cuda.device_count()
    with pytest.raises(ConfigError, match=re.escape(f"'cuda:{count}', but there are {count} CUDA devices")):
        resolve_device(f"cuda:{count}")
