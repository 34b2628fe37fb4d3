"""QMIX on 27m_vs_30m, with a learning rate that drops to a tenth at about 0.6M steps.

At a constant one, single evaluations are lost up to the end of 0.5M steps (83 % of the last ten, seed 0); one that
decays from the start learns more slowly (benchmark/README.md).
"""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="27m_vs_30m"),
    policy=dict(learn=dict(lr_schedule="step", lr_decay=2_800, lr_factor=0.1)),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
