"""QMIX on Foraging-2s-10x10-4p-2f-v3: four agents that see two cells far; some food needs several of them."""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(
        env_id="Foraging-2s-10x10-4p-2f-v3",
        obs_normalize=True,
        collector_env_num=32,
        evaluator_env_num=32,
        stop_value=0.95,  # mean return; 1 when all food is eaten in every game
    ),
    policy=dict(
        learn=dict(update_per_collect=8, discount_factor=0.95, td_lambda=0.5),
        collect=dict(n_episode=32),
        other=dict(eps=dict(decay=200_000)),
    ),
    run=dict(env_step=500_000),
)

create_config = EasyDict(
    env=dict(type="lbf", import_names=["dizoo.lbf.envs.lbf_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
