"""QTRAN on 2s3z: QMIX's recipe under the weights of errors that this method's SMAC runs use."""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="2s3z"),
    policy=dict(
        model=dict(embedding_size=64),
        learn=dict(qtran="base", td_weight=1.0, opt_weight=0.01, nopt_min_weight=0.0001),
    ),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="qtran"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
