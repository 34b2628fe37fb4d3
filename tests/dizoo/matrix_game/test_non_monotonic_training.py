"""The zoo configs of the non-monotonic game, through the whole pipeline."""

import pytest

from dimix.entry import serial_pipeline
from dimix.plot import read_run
from dizoo.matrix_game.config import non_monotonic_qtran_config, non_monotonic_wqmix_config


def train(tmp_path, seed, *overrides, env_step, config=non_monotonic_wqmix_config):
    return serial_pipeline(
        (config.main_config, config.create_config), seed, exp_name=str(tmp_path / "run"), out=str, env_step=env_step,
        overrides=list(overrides),
    )  # fmt: skip


@pytest.mark.parametrize("ow", [True, False], ids=["OW", "CW"])
def test_wqmix_finds_the_best_return(tmp_path, training_seed, ow):
    result = train(tmp_path, training_seed, f"policy.learn.wqmix_ow={ow}", env_step=4_000)
    assert result.reason == "stop_value"
    assert result.evaluation["eval/ep_reward"] == 8.0


@pytest.mark.parametrize(("alpha", "all_equal"), [(1.0, True), (0.1, False)])
def test_alpha_reaches_the_weights(tmp_path, alpha, all_equal):
    """With equal weights it is QMIX, which cannot hold the game: tests/dimix/check/test_games.py."""
    train(tmp_path, 0, f"policy.learn.alpha={alpha}", env_step=400)
    _, _, weights = read_run(tmp_path / "run").curve("train/loss_weight")
    assert len(weights) and (weights == 1.0).all() == all_equal


@pytest.mark.parametrize("form", ["base", "alt"])
def test_qtran_finds_the_best_return(tmp_path, training_seed, form):
    wanted = f"policy.learn.qtran={form}"
    result = train(tmp_path, training_seed, wanted, env_step=4_000, config=non_monotonic_qtran_config)
    assert result.reason == "stop_value"
    assert result.evaluation["eval/ep_reward"] == 8.0
