"""QMIX on MPE's simple_spread_v3: three agents cover three landmarks without running into each other."""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(
        env_family="mpe",
        env_id="simple_spread_v3",
        collector_env_num=32,
        evaluator_env_num=32,
        manager=dict(type="base"),  # a step takes less time than the trip to another process and back
    ),
    policy=dict(
        learn=dict(
            update_per_collect=16,
            learning_rate=0.0005,
            discount_factor=0.8,  # with a larger one, values of an unbounded world drift
            td_lambda=0.5,
            reward_scale=0.1,
        ),
        collect=dict(n_episode=32),
        eval=dict(evaluator=dict(eval_freq=80)),
        other=dict(eps=dict(end=0.1, decay=30_000)),
    ),
    run=dict(env_step=200_000),
)

create_config = EasyDict(
    env=dict(type="petting_zoo", import_names=["dizoo.petting_zoo.envs.petting_zoo_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
