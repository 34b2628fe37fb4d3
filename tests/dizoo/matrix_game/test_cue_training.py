"""The zoo config of the memory game, through the whole pipeline."""

import pytest

from dimix.entry import serial_pipeline
from dizoo.matrix_game.config.cue_qmix_config import create_config, main_config


def train(tmp_path, lstm_type, env_step):
    return serial_pipeline(
        (main_config, create_config), seed=0, exp_name=str(tmp_path / "run"), out=str, env_step=env_step,
        overrides=[f"policy.model.lstm_type={lstm_type}"],
    )  # fmt: skip


@pytest.mark.parametrize("lstm_type", ["gru", "lstm"])
def test_agents_with_a_memory_answer_both_cues(tmp_path, lstm_type):
    result = train(tmp_path, lstm_type, env_step=30_000)
    assert result.reason == "stop_value"
    assert result.evaluation["eval/ep_reward"] == 1.0


def test_agents_without_one_earn_what_chance_earns(tmp_path):
    result = train(tmp_path, "mlp", env_step=4_000)
    assert result.reason == "env_step"
    assert result.evaluation["eval/ep_reward"] == 0.5
