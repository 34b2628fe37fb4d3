"""QMIX on SISL's pursuit_v5: eight pursuers and thirty evaders on 16 by 16 cells; two pursuers on one cell catch.

The package's own rule is that evaders must be surrounded on all four sides (``surround=True``). Random play does this
once in a hundred steps, too rarely to learn from within some 100k steps: set ``env.options`` and use a longer run.
"""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(
        env_family="sisl",
        env_id="pursuit_v5",
        options=dict(surround=False),
        team_reward="mean",
        global_state="state",  # the whole grid, 16 x 16 x 3
        collector_env_num=4,
        evaluator_env_num=8,
        n_evaluator_episode=8,  # an episode has 500 steps of 3 ms
    ),
    policy=dict(
        learn=dict(update_per_collect=20, discount_factor=0.95),
        collect=dict(n_episode=4, unroll_len=50),  # windows: an update from whole episodes would take ten times as long
        eval=dict(evaluator=dict(eval_freq=100)),
        other=dict(eps=dict(decay=30_000)),
    ),
    run=dict(env_step=60_000),
)

create_config = EasyDict(
    env=dict(type="petting_zoo", import_names=["dizoo.petting_zoo.envs.petting_zoo_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
