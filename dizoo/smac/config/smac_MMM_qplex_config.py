"""QPLEX on MMM: a mixer that can hold any team value whose best joint action is each agent's own best."""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="MMM"),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="qplex"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
