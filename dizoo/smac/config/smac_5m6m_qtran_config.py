"""QTRAN on 5m_vs_6m: QMIX's recipe, with small and equal weights of the two conditions.

DI-engine's SMAC runs give the second a hundredth of the first's (0.0001). Values of good actions that are not yet
greedy then hardly rise: on 2s3z the team stayed at a return of 13 (600k steps, no game won); with 0.01 it won at 0.21M.
"""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="5m_vs_6m"),
    policy=dict(
        model=dict(embedding_size=64),
        learn=dict(qtran="base", td_weight=1.0, opt_weight=0.01, nopt_min_weight=0.01),
    ),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="qtran"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
