"""The zoo config of the memory game, through the whole pipeline."""

import pytest

from dimix.entry import serial_pipeline
from dizoo.matrix_game.config.cue_qmix_config import create_config, main_config


def train(tmp_path, seed, env_step, **overrides):
    return serial_pipeline(
        (main_config, create_config), seed=seed, exp_name=str(tmp_path / "run"), out=str, env_step=env_step,
        overrides=[f"policy.{branch}={value}" for branch, value in overrides.items()],
    )  # fmt: skip


@pytest.mark.parametrize("lstm_type", ["gru", "lstm"])
def test_agents_with_a_memory_answer_both_cues(tmp_path, training_seed, lstm_type):
    result = train(tmp_path, training_seed, 30_000, **{"model.lstm_type": lstm_type})
    assert result.reason == "stop_value"
    assert result.evaluation["eval/ep_reward"] == 1.0


def test_agents_without_one_earn_what_chance_earns(tmp_path, training_seed):
    result = train(tmp_path, training_seed, 4_000, **{"model.lstm_type": "mlp"})
    assert result.reason == "env_step"
    assert result.evaluation["eval/ep_reward"] == 0.5


@pytest.mark.parametrize(("start_state", "earned"), [("stored", 1.0), ("zero", 0.5)])
def test_windows_behind_the_cue_learn_it_from_the_stored_state_alone(tmp_path, training_seed, start_state, earned):
    windows = {"collect.unroll_len": 2, "collect.start_state": start_state}  # the question lies in the second window
    result = train(tmp_path, training_seed, 20_000 if start_state == "stored" else 5_000, **windows)
    assert result.reason == ("stop_value" if start_state == "stored" else "env_step")
    assert result.evaluation["eval/ep_reward"] == earned
