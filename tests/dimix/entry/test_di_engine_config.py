"""A config file with the keys that DI-engine's SMAC QMIX files use trains here as it stands."""

from __future__ import annotations

import pytest

CONFIG = """
from easydict import EasyDict

agents, train_games, test_games = 3, 16, 8
model = dict(
    agent_num=agents, obs_shape=42, global_obs_shape=48, action_shape=9,
    hidden_size_list=[64], mixer=True, lstm_type="gru", dueling=False,
)
learn = dict(
    update_per_collect=20, batch_size=32, learning_rate=0.0005, clip_value=5, double_q=False,
    target_update_theta=0.005, discount_factor=0.99,
)
other = dict(
    eps=dict(type="linear", start=1, end=0.05, decay=10000),
    replay_buffer=dict(replay_buffer_size=15000, max_reuse=1e+9, max_staleness=1e+9),
)
main_config = EasyDict(dict(
    exp_name="smac_3m_qmix_seed0",
    env=dict(
        map_name="3m", difficulty=7, reward_only_positive=True, mirror_opponent=False, agent_num=agents,
        collector_env_num=train_games, evaluator_env_num=test_games, stop_value=0.999, n_evaluator_episode=32,
        manager=dict(shared_memory=False, reset_timeout=6000),
    ),
    policy=dict(
        model=model,
        learn=learn,
        collect=dict(n_episode=32, unroll_len=10, env_num=train_games),
        eval=dict(env_num=test_games, evaluator=dict(eval_freq=100)),
        other=other,
    ),
))
create_config = EasyDict(dict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    env_manager=dict(type="subprocess"),
    policy=dict(type="qmix"),
    collector=dict(type="episode", get_train_sample=True),
))

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
"""


def test_it_trains_through_the_command_line(tmp_path, dimix, runs):
    (tmp_path / "their_config.py").write_text(CONFIG)
    done = dimix("-m", "serial", "-c", "their_config.py", "-s", 4, "--train-iter", 40)
    assert done.returncode == 0, done.stderr
    notes = [line for line in done.stdout.splitlines() if "note: " in line]
    assert sorted(note.split("note: ")[1].split(":")[0] for note in notes) == [
        "create_config.collector",
        "create_config.env_manager",
        "env.difficulty",
        "env.manager.shared_memory",
        "env.mirror_opponent",
        "policy.other.replay_buffer.max_reuse",
        "policy.other.replay_buffer.max_staleness",
    ]
    # 20 updates of 32 windows for each 32 episodes; of 60 steps at most, half of it is 3 windows of 10
    assert "replay ratio 6.67" in done.stdout
    trained = [row for row in runs.rows(tmp_path / "smac_3m_qmix_seed4") if row["train/loss"]]
    assert len(trained) == 2 and float(trained[-1]["train/num_updates"]) == 40
    assert float(trained[0]["train/learning_rate"]) == pytest.approx(0.0005)
