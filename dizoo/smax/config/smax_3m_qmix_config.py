"""QMIX on SMAX's 3m; needs jaxmarl: pip install 'dimix[smax]'."""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(
        map_name="3m",
        state_normalize=True,  # else the mixer sees cooldowns of -30, and values grow without bound
    ),
    policy=dict(learn=dict(reward_scale=10.0)),  # a won battle counts 20, as in SMAC
    run=dict(env_step=600_000),
)

create_config = EasyDict(
    env=dict(type="smax", import_names=["dizoo.smax.envs.smax_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
