"""QMIX on SISL's pursuit_v5, shrunk to four pursuers on ten by ten cells: two of them on one cell catch an evader."""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(
        env_family="sisl",
        env_id="pursuit_v5",
        options=dict(x_size=10, y_size=10, n_pursuers=4, n_evaders=6, max_cycles=100, surround=False),
        team_reward="mean",
        global_state="state",
        n_evaluator_episode=16,
    ),
    policy=dict(
        learn=dict(update_per_collect=4, discount_factor=0.95, td_lambda=0.5, reward_scale=0.1),
    ),
    run=dict(env_step=150_000),
)

create_config = EasyDict(
    env=dict(type="petting_zoo", import_names=["dizoo.petting_zoo.envs.petting_zoo_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
