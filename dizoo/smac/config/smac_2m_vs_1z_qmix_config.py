"""QMIX on 2m_vs_1z: one Marine has to run from the Zealot while the other shoots.

Nobody stumbles on a flight by single random steps: with the default recipe the shoot-out is all that is ever played
(500k steps, no game won). Random actions that last make the difference, and enough of them: with half the exploration
seed 2 won its first games at 0.8M steps (benchmark/README.md).
"""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="2m_vs_1z"),
    policy=dict(
        learn=dict(td_lambda=0.5),
        other=dict(eps=dict(decay=400_000, hold=8)),
    ),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
