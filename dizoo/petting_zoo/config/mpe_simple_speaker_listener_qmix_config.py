"""QMIX on MPE's simple_speaker_listener_v4: one agent sees the goal and may speak, the other hears and may move."""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(
        env_family="mpe",
        env_id="simple_speaker_listener_v4",
        collector_env_num=32,
        evaluator_env_num=32,
        n_evaluator_episode=64,
    ),
    policy=dict(
        learn=dict(update_per_collect=8, reward_scale=0.1),  # returns of some -100 would train the mixer's scale alone
        collect=dict(n_episode=32),
    ),
    run=dict(env_step=400_000),
)

create_config = EasyDict(
    env=dict(type="petting_zoo", import_names=["dizoo.petting_zoo.envs.petting_zoo_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
