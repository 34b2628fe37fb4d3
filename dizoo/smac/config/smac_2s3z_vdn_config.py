"""VDN on 2s3z: QMIX with a sum in place of the mixing network."""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="2s3z"),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="vdn"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
