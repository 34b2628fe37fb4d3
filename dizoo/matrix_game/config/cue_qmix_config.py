"""QMIX with GRU agents on the memory game: they earn a return of 1; agents without memory stay at 0.5.

``policy.model.lstm_type="lstm"`` learns it too, ``"mlp"`` cannot; ``env.delay`` makes it harder.
"""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(
        map_name="cue",
        delay=3,  # steps from the cue to the question
        stop_value=1.0,  # all games won: the return of 1
    ),
    policy=dict(
        model=dict(hidden_size_list=[32]),
        learn=dict(update_per_collect=8, learning_rate=0.002, td_lambda=0.0),
        collect=dict(n_episode=16),
        # Random play throughout: every joint answer keeps being tried.
        other=dict(eps=dict(type="constant", start=1.0, end=1.0), replay_buffer=dict(replay_buffer_size=500)),
    ),
)

create_config = EasyDict(
    env=dict(type="matrix_game", import_names=["dizoo.matrix_game.envs.matrix_game_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
