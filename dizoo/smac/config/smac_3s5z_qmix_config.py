"""QMIX on 3s5z: a team that wins from moved starts too; its agents read units as sets."""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="3s5z", start_jitter=0.5, jitter_eval=dict(stop_value=0.9)),
    policy=dict(
        model=dict(equivariant=True, layer_norm=True),
        learn=dict(batch_size=16, update_per_collect=4),
        eval=dict(evaluator=dict(eval_freq=100)),
    ),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
