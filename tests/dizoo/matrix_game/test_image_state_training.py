"""The two-step game with a picture for a global state, through the whole pipeline."""

import pytest

from dimix.entry import serial_pipeline
from dimix.errors import ConfigError
from dizoo.matrix_game.config import non_monotonic_qtran_config, non_monotonic_wqmix_config, two_step_qmix_config

SMALL = ("channels=[8]", "kernel_size=[2]", "stride=[2]", "embed_dim=16")
ENCODER = [f"policy.model.state_encoder.{key}" for key in SMALL]


def train(tmp_path, seed, config, *overrides, env_step):
    return serial_pipeline(
        (config.main_config, config.create_config), seed, exp_name=str(tmp_path / "run"), out=str, env_step=env_step,
        overrides=["env.image_state=True", *ENCODER, *overrides],
    )  # fmt: skip


def test_qmix_finds_the_best_return(tmp_path, training_seed):
    result = train(tmp_path, training_seed, two_step_qmix_config, env_step=12_000)
    assert result.reason == "stop_value"
    assert result.evaluation["eval/ep_reward"] == 8.0


@pytest.mark.parametrize("config", [non_monotonic_wqmix_config, non_monotonic_qtran_config], ids=["WQMIX", "QTRAN"])
def test_the_others_learn_from_pictures_too(tmp_path, training_seed, config):
    result = train(tmp_path, training_seed, config, env_step=4_000)
    assert result.reason == "stop_value"
    assert result.evaluation["eval/ep_reward"] == 8.0


def test_an_encoder_that_does_not_fit_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"convolution 1 \(channels 8, kernel_size 7, stride 2\) reads 6 x 6 cells"):
        train(tmp_path, 0, two_step_qmix_config, "policy.model.state_encoder.kernel_size=[7]", env_step=100)
