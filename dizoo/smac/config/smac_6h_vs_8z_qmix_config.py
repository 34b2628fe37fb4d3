"""QMIX on 6h_vs_8z: most training battles begin in the middle of won games, which a search finds first.

One or two Hydralisks have to draw the Zealots away while the others shoot: each of the two alone makes things worse,
and exploration ends in a shoot-out that is lost. So the win is learned from its end backwards (`env.backplay`), by
agents that see units as sets, with a discount that still sees the end of sixty steps. The shorter the games, the sooner
the start is reached: the search plays 144 rounds, three to eight minutes of one core. A random action may cost the
bait: few are played, and none ten steps after the team plays on. Ablations: benchmark/README.md.
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
