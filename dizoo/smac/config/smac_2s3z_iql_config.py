"""Independent Q-learning on 2s3z: each agent learns its own value from the team's reward."""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="2s3z"),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="iql"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
