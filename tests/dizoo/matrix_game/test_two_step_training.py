"""The zoo config of the two-step game, through the whole pipeline: QMIX finds 8, VDN cannot (QMIX paper, section 5)."""

from dimix.entry import serial_pipeline
from dizoo.matrix_game.config.two_step_qmix_config import create_config, main_config


def train(tmp_path, seed, **options):
    return serial_pipeline((main_config, create_config), seed=seed, exp_name=str(tmp_path / "run"), out=str, **options)


def test_qmix_finds_the_best_return(tmp_path, training_seed):
    result = train(tmp_path, training_seed, env_step=12_000)
    assert result.reason == "stop_value"
    assert result.evaluation["eval/ep_reward"] == 8.0
    assert result.evaluation["eval/games_won"] == result.evaluation["eval/games_played"] == 4


def test_vdn_settles_for_the_safe_one(tmp_path, training_seed):
    result = train(tmp_path, training_seed, env_step=3_000, overrides=["policy.model.mixer=False"])
    assert result.reason == "env_step"
    assert result.evaluation["eval/ep_reward"] == 7.0
    assert result.score == 0.0
