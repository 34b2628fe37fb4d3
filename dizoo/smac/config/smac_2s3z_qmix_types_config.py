"""QMIX on 2s3z with one agent network per unit type: stalkers share one, zealots another."""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="2s3z"),
    policy=dict(
        model=dict(parameter_sharing="type"),
    ),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
