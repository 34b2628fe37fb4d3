"""HPN-QMIX on SMACv2's terran_5_vs_5: the sum's config next door with hypernetworks in its place."""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="terran_5_vs_5", n_evaluator_episode=128),
    policy=dict(model=dict(equivariant=True, entity_net="hypernet")),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
