"""PQN on MMM: no replay and no target network, 128 battles side by side; ``model.mixer="qmix"`` for QMIX's mixer."""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="MMM", collector_env_num=128),
    policy=dict(
        # Four passes over 32 steps of each battle, 16 battles at a time. A lambda near 1 keeps values of running away,
        # which earns nothing until the time limit, from growing on themselves.
        learn=dict(update_per_collect=32, batch_size=16, learning_rate=0.0003, td_lambda=0.95),
        collect=dict(unroll_len=32),
        eval=dict(evaluator=dict(eval_freq=320)),  # every 40,960 env steps
        other=dict(eps=dict(decay=100_000)),
    ),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="pqn"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
