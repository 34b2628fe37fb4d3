"""One network for teams of any size: also with -o env.map_name=8m_vs_9m, or any map of the same unit columns."""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="5m_vs_6m", obs_agent_id=False),
    policy=dict(model=dict(equivariant=True, any_size=True, mixer="set")),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
