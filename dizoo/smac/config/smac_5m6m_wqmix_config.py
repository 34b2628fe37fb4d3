"""OW-QMIX on 5m_vs_6m: QMIX's recipe, with a lower weight of errors where q_tot is too high, and longer exploration."""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="5m_vs_6m"),
    policy=dict(
        learn=dict(wqmix_ow=True, alpha=0.5),  # CW-QMIX: wqmix_ow=False, alpha=0.75
        other=dict(eps=dict(decay=100_000)),  # the central value must be learned where the greedy team does not go
    ),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="wqmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
