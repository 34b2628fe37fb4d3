"""QMIX as published, on MMM or any map (``-o env.map_name=3s5z``).

Every battle begins from the map's own start, and agents read their observation as one row: the team learns one battle.
"""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="MMM"),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
