"""Config files of DI-engine's WQMIX and QTRAN on SMAC, key for key, compile and train here."""

from __future__ import annotations

import pytest

CONFIG = """
from easydict import EasyDict

agents, train_games, test_games = 3, 16, 8
main_config = EasyDict(dict(
    exp_name="smac_3m_{policy}_seed0",
    env=dict(
        map_name="3m", difficulty=7, reward_only_positive=True, mirror_opponent=False, agent_num=agents,
        collector_env_num=train_games, evaluator_env_num=test_games, stop_value=0.999, n_evaluator_episode=32,
        manager=dict(shared_memory=False, reset_timeout=6000),
    ),
    policy=dict(
        model=dict(
            agent_num=agents, obs_shape=42, global_obs_shape=48, action_shape=9,
            hidden_size_list=[64], {model}lstm_type="gru", dueling=False,
        ),
        learn=dict(
            update_per_collect=20, batch_size=32, learning_rate=0.0005, target_update_theta=0.008,
            discount_factor=0.95, {learn}
        ),
        collect=dict(n_episode=32, unroll_len=10, env_num=train_games),
        eval=dict(env_num=test_games, evaluator=dict(eval_freq=100)),
        other=dict(
            eps=dict(type="linear", start=1, end=0.05, decay=1000000),
            replay_buffer=dict(replay_buffer_size=15000, max_reuse=1e+9, max_staleness=1e+9),
        ),
    ),
))
create_config = EasyDict(dict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    env_manager=dict(type="subprocess"),
    policy=dict(type="{policy}"),
    collector=dict(type="episode", get_train_sample=True),
))
"""
KEYS = {
    "wqmix": {"model": "", "learn": "clip_value=5, wqmix_ow={ow}, alpha={alpha},"},
    "qtran": {
        "model": "embedding_size=64, ",
        "learn": "double_q=True, td_weight=1, opt_weight=0.01, nopt_min_weight=0.0001,",
    },
}


@pytest.mark.parametrize(
    ("policy", "options", "columns"),
    [
        ("wqmix", {"ow": True, "alpha": 0.5}, ["train/central_loss", "train/loss_weight"]),
        ("wqmix", {"ow": False, "alpha": 0.75}, ["train/central_loss", "train/loss_weight"]),
        ("qtran", {}, ["train/td_loss", "train/opt_loss", "train/nopt_loss"]),
    ],
    ids=["OW", "CW", "QTRAN"],
)
def test_it_trains_through_the_command_line(tmp_path, dimix, runs, policy, options, columns):
    keys = KEYS[policy]
    text = CONFIG.format(policy=policy, model=keys["model"], learn=keys["learn"].format(**options))
    (tmp_path / "their_config.py").write_text(text)
    done = dimix("-m", "serial", "-c", "their_config.py", "-s", 4, "--train-iter", 20)
    assert done.returncode == 0, done.stderr
    trained = [row for row in runs.rows(tmp_path / f"smac_3m_{policy}_seed4") if row["train/loss"]]
    assert float(trained[-1]["train/num_updates"]) == 20
    assert float(trained[-1]["train/learning_rate"]) == pytest.approx(0.0005)
    assert all(float(trained[-1][column]) > 0 for column in columns)
    if policy == "wqmix":  # both kinds of steps occur
        assert options["alpha"] < float(trained[-1]["train/loss_weight"]) < 1
