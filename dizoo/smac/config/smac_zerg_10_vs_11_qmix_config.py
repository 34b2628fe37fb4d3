"""QMIX on SMACv2's zerg_10_vs_11: teams and starts are drawn for every battle, so agents read units as sets."""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="zerg_10_vs_11", n_evaluator_episode=128),
    policy=dict(
        model=dict(equivariant=True, layer_norm=True),
        learn=dict(batch_size=16, update_per_collect=4),
        eval=dict(evaluator=dict(eval_freq=200)),
    ),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
