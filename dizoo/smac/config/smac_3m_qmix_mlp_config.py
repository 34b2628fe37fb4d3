"""QMIX on 3m in a single environment, with agents without memory: the smallest setup."""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="3m", collector_env_num=1),
    policy=dict(
        model=dict(lstm_type="mlp"),
        learn=dict(update_per_collect=1),
        collect=dict(n_episode=4),  # keeps the default of 8 episodes learned from per episode played
    ),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
