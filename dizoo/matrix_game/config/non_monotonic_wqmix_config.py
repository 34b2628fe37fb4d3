"""WQMIX on the matrix game of the QTRAN and WQMIX papers: finds the return of 8, where QMIX settles for 0.

Policy ``qmix`` in place of ``wqmix`` shows the failure; ``policy.learn.wqmix_ow=False`` is CW-QMIX.
"""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(
        map_name="non_monotonic",
        stop_value=1.0,  # all games won: the return of 8
    ),
    policy=dict(
        learn=dict(update_per_collect=8, learning_rate=0.002, td_lambda=0.0, alpha=0.1),
        collect=dict(n_episode=16),
        # Random play throughout, as in the papers: every joint action keeps being tried.
        other=dict(eps=dict(type="constant", start=1.0, end=1.0), replay_buffer=dict(replay_buffer_size=500)),
    ),
)

create_config = EasyDict(
    env=dict(type="matrix_game", import_names=["dizoo.matrix_game.envs.matrix_game_env"]),
    policy=dict(type="wqmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
