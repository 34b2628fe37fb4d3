"""QMIX on 27m_vs_30m with agents that see units as sets, and a learning rate that falls.

The 30 enemies are 30 times the same. Flat agents won 83 % of the last ten evaluations at 0.5M steps, seed 0, and single
ones were lost to the end, at a falling learning rate as well (benchmark/README.md).
"""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="27m_vs_30m"),
    policy=dict(
        model=dict(equivariant=True),
        learn=dict(lr_schedule="linear", lr_end=0.00005, lr_decay=2_300),
    ),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
