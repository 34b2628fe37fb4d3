"""QMIX on 3s_vs_5z with agents that see units as sets: flat ones won nothing in 1.5M steps (benchmark/README.md)."""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="3s_vs_5z"),
    policy=dict(model=dict(equivariant=True)),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
