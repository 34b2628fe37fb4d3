"""QMIX on 8m_vs_9m: every other setting is the default recipe."""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="8m_vs_9m"),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
