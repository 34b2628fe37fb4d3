"""QMIX on 2s3z with LSTM agents and an optimizer step every ten time steps (truncated backpropagation)."""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="2s3z"),
    policy=dict(
        model=dict(lstm_type="lstm"),
        learn=dict(tbptt=10, update_per_collect=1),  # about five optimizer steps per update
    ),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
