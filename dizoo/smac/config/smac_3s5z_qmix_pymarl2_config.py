"""QMIX on 3s5z with all learning settings of PyMARL2's general recipe (Hu et al. 2021)."""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="3s5z", collector_env_num=8),
    policy=dict(
        model=dict(hidden_size_list=[64], mixer_embed_dim=32, hypernet_embed_dim=64),
        learn=dict(
            optimizer="adam",
            learning_rate=0.001,
            batch_size=128,
            update_per_collect=1,
            td_lambda=0.6,
            discount_factor=0.99,
            clip_value=10.0,
            target_update_freq=25,  # updates: 200 episodes
            mask_dead_agents=False,
            average_theta=1.0,  # evaluation plays with the last update's weights
        ),
        collect=dict(n_episode=8),
        other=dict(
            eps=dict(type="linear", start=1.0, end=0.05, decay=100_000),
            replay_buffer=dict(replay_buffer_size=5000),
        ),
    ),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
