"""QMIX on 6h_vs_8z: most training battles begin in the middle of won games, which a search finds first.

To win, one or two Hydralisks draw the Zealots away while the others shoot. Either part alone makes things worse, so
exploration ends in a lost shoot-out. The win is therefore learned backwards from its end (`env.backplay`), by agents
that see units as sets, with a discount that still reaches the end of sixty steps. Shorter games lead to the start
sooner, so the search plays 144 rounds, three to eight minutes of one core. A random action may kill the bait, so there
are few, and none from ten steps after the team takes over. Ablations: benchmark/README.md.
"""

from easydict import EasyDict

main_config = EasyDict(
    env=dict(map_name="6h_vs_8z", backplay=dict(share=0.85, explore=10, rounds=144)),
    policy=dict(
        model=dict(equivariant=True),
        learn=dict(discount_factor=0.995),
        other=dict(eps=dict(end=0.01)),
    ),
)

create_config = EasyDict(
    env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]),
    policy=dict(type="qmix"),
)

if __name__ == "__main__":
    from dimix.entry import serial_pipeline

    serial_pipeline((main_config, create_config), seed=0)
