"""QMIX on 2s3z with little memory.

The buffer always stores each observation once, packed, without padding or copies of the next step, so only the number
of games it holds remains to be chosen.
"""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="2s3z"),
    policy=dict(
        other=dict(replay_buffer=dict(replay_buffer_size=500)),
    ),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
