"""QMIX on 2m_vs_1z: one Marine must run from the Zealot while the other shoots.

Single random steps never discover running away: with the default recipe, teams only ever stand and shoot (500k steps,
no game won). Random actions that last make the difference, and enough of them: with half the exploration, seed 2 won
its first games at 0.8M steps (benchmark/README.md).
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
