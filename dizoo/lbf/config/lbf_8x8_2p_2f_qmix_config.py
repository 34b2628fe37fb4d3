"""QMIX on a small foraging game: two agents, two foods, some of which need both; learned in minutes."""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(
        env_id="Foraging-8x8-2p-2f-v3",
        obs_normalize=True,
        collector_env_num=32,
        evaluator_env_num=32,
        stop_value=0.95,  # mean return; 1 when all food is eaten in every game
        manager=dict(type="base"),  # a step takes less time than the trip to another process and back
    ),
    policy=dict(
        learn=dict(update_per_collect=8, discount_factor=0.95, td_lambda=0.5),
        collect=dict(n_episode=32),
        other=dict(eps=dict(decay=100_000)),
    ),
    run=dict(env_step=300_000),
)

create_config = EasyDict(
    env=dict(type="lbf", import_names=["dizoo.lbf.envs.lbf_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
