"""QMIX on 2s_vs_1sc: shooting it out loses by three shots, so Stalkers must step out of reach in time.

With the default recipe, teams only ever stand and shoot (500k steps, no game won). Random actions that last make the
difference (benchmark/README.md).
"""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="2s_vs_1sc"),
    policy=dict(other=dict(eps=dict(decay=200_000, hold=8))),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
