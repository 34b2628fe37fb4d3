"""HPN-QMIX on 5m_vs_6m: hypernetworks compute the weights that read each unit."""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="5m_vs_6m"),
    policy=dict(model=dict(equivariant=True, entity_net="hypernet")),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
