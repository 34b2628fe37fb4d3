"""QMIX on 2s3z, with four parallel environments and two batches after each round (CleanMARL's n_epochs=2)."""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="2s3z", collector_env_num=4),
    policy=dict(
        learn=dict(update_per_collect=2),
        collect=dict(n_episode=4),
    ),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
