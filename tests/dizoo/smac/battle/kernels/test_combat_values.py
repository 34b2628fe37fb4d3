"""Weapons, shields, heals and explosions by hand: the arithmetic stands in the comments."""

import numpy as np
import pytest

from dizoo.smac.battle import BattleEngine
from dizoo.smac.battle.kernels.state import ATTACK_MOVE_COMMAND, STOP_COMMAND, TARGET_COMMAND


def arena(allies, enemies, rules="smaclite", **options):
    """An engine with one battle between two groups, every unit commanded to stop, on open ground."""

    def group(faction, units, x):
        return {"x": x, "y": 16, "faction": faction, "units": units}

    types = sorted(set(allies) | set(enemies))
    return BattleEngine(
        {
            "name": "arena",
            "num_allied_units": sum(allies.values()),
            "num_enemy_units": sum(enemies.values()),
            "groups": [group("ALLY", allies, 9), group("ENEMY", enemies, 23)],
            "attack_point": [9, 16],
            "terrain_preset": "SIMPLE",
            "num_unit_types": len(types),
            "unit_type_ids": {t: i for i, t in enumerate(types)},
            "ally_has_shields": True,
            "enemy_has_shields": True,
        },
        1,
        rules=rules,
        num_threads=1,
        **options,
    )


def put(engine, **fields):
    """Set unit fields: each value is a mapping from unit id to the new value, or one value for all."""
    state = engine.get_state()
    for name, value in fields.items():
        if isinstance(value, dict):
            for unit, v in value.items():
                state[name][0, unit] = v
        else:
            state[name][...] = value
    engine.set_state(state)


def fire(engine, shooter, aim, /, **fields):
    """One tick in which only `shooter` acts, on `aim`; returns the unscaled reward of the tick."""
    put(engine, command=STOP_COMMAND, **fields)
    order = np.full((1, engine.units.shape[1]), -1)
    order[0, 0] = shooter
    put(
        engine, command={shooter: TARGET_COMMAND}, command_unit={shooter: aim}, attacking={shooter: True}, tick_reward=0
    )
    engine.run_tick(order)
    return engine.battles["tick_reward"][0]


def field(engine, name, unit):
    return engine.units[name][0, unit]


def test_armor_counts_once_per_hit_against_what_passes_the_shield():
    # A Zealot hits twice for 8. The Stalker has shield 5, armor 1: 8 - 5 = 3 pass, 3 - 1 = 2 wound; then 8 - 1 = 7.
    engine = arena({"ZEALOT": 1}, {"STALKER": 1})
    reward = fire(engine, 0, 1, shield={1: 5.0}, x={1: 10.0}, y={1: 16.0})
    assert (field(engine, "shield", 1), field(engine, "hp", 1)) == (0, 80 - 2 - 7)
    assert reward == 5 + 2 + 7
    assert field(engine, "shield_cooldown", 1) == 10


def test_a_bonus_counts_against_its_attribute_and_a_kill_pays_10():
    # A Stalker does 13, +5 against ARMORED. Marine (no armor): 13. Marauder (ARMORED, armor 1): 17.
    engine = arena({"STALKER": 1}, {"MARINE": 1, "MARAUDER": 1})
    assert fire(engine, 0, 1, hp={1: 45.0}) == 13
    assert fire(engine, 0, 2, cooldown=0.0) == 17
    assert fire(engine, 0, 1, hp={1: 12.0}, cooldown=0.0) == 12 + 10
    assert not field(engine, "in_play", 1)


def test_damage_to_allies_pays_nothing():
    engine = arena({"MARINE": 1}, {"MARINE": 1})
    put(engine, command=STOP_COMMAND)
    put(engine, command={1: ATTACK_MOVE_COMMAND}, target={1: 0}, x={1: 12.0}, y={1: 16.0})
    engine.run_tick(np.array([[1, -1]]))
    assert field(engine, "hp", 0) == 39 and engine.battles["tick_reward"][0] == 0
    assert field(engine, "cooldown", 1) == 0.61


def test_shields_recover_after_ten_seconds_two_a_second():
    engine = arena({"STALKER": 1}, {"MARINE": 1})
    put(engine, shield={0: 10.0}, shield_cooldown={0: 2 / 16}, command=STOP_COMMAND)
    shields = []
    for _ in range(4):
        engine.run_tick(np.array([[0, -1]]))
        shields.append(field(engine, "shield", 0))
    # the tick in which the delay runs out already recovers
    assert shields == [10, 10.125, 10.25, 10.375]


def test_healing_costs_a_third_of_an_energy_per_hit_point():
    # A Medivac heals 9 a second, 0.5625 a tick. One energy buys 3 hp, of which 2.4375 stay in hand.
    engine = arena({"MEDIVAC": 1, "MARINE": 1}, {"MARINE": 1})
    fire(engine, 0, 1, hp={1: 20.0}, target={0: 1}, energy={0: 40.0})
    assert field(engine, "hp", 1) == 20.5625
    assert field(engine, "energy", 0) == 40 + 0.03515625 - 1 and field(engine, "healing", 0) == 3 - 0.5625


def test_a_medivac_starts_on_a_new_patient_with_5_energy_and_goes_on_with_less():
    engine = arena({"MEDIVAC": 1, "MARINE": 1}, {"MARINE": 1})
    fire(engine, 0, 1, hp={1: 20.0}, target={0: -1}, energy={0: 4.9})
    assert field(engine, "hp", 1) == 20 and field(engine, "target", 0) == -1
    fire(engine, 0, 1, target={0: 1}, energy={0: 4.9})
    assert field(engine, "hp", 1) == 20.5625 and field(engine, "target", 0) == 1


@pytest.mark.parametrize(("rules", "hp"), [("smaclite", 0.5625), ("smac", 0.0)])
def test_a_heal_on_the_dead_revives_under_smaclite_rules_only(rules, hp):
    # The Marine is shot dead before the Medivac's turn; the Medivac is out of the shooter's sight.
    engine = arena({"MEDIVAC": 1, "MARINE": 1}, {"MARINE": 1}, rules)
    put(engine, command=STOP_COMMAND)
    put(engine, command={0: TARGET_COMMAND, 2: ATTACK_MOVE_COMMAND}, command_unit={0: 1})
    put(engine, hp={1: 1.0}, target={0: 1, 2: 1}, x={0: 6.8, 1: 10.0, 2: 14.0}, y=16.0)
    engine.run_tick(np.array([[2, 0, 1]]))
    assert field(engine, "hp", 1) == hp and field(engine, "in_play", 1) == (hp > 0)


def test_a_baneling_hits_what_is_within_its_blast_and_dies():
    # Blast 2.2 + radius 0.375 of a Marine: 2.57 away is hit (80 damage), 2.58 away is not.
    engine = arena({"BANELING": 1}, {"MARINE": 2})
    put(engine, x={0: 10.0, 1: 12.57, 2: 10.0}, y={0: 16.0, 1: 16.0, 2: 18.58})
    reward = fire(engine, 0, 1)
    assert [field(engine, "hp", u) for u in (0, 1, 2)] == [0, 0, 45]
    assert reward == 45 + 10
    # an enemy Baneling pays its own hp, without the 10; it has recovered 0.38 / 16 at the beginning of its turn
    engine = arena({"MARINE": 1}, {"BANELING": 1})
    put(engine, x={0: 10.0, 1: 11.0}, y={0: 16.0, 1: 16.0}, hp={1: 21.0})
    put(engine, command={0: STOP_COMMAND, 1: ATTACK_MOVE_COMMAND}, target={1: 0}, attacking={1: True})
    engine.run_tick(np.array([[1, -1]]))
    assert engine.battles["tick_reward"][0] == 21 + 0.38 / 16 and field(engine, "hp", 0) == 0


def test_a_beam_hits_across_the_line_of_fire():
    # Beam 2.8 across, 0.3 along the line; the Colossus fires east at (14, 16), so its bar is y = 14.6 to 17.4.
    # Marines (radius 0.375): 1.3 to the north is hit, 0.6 behind the target is not (0.6 - 0.15 > 0.375).
    engine = arena({"COLOSSUS": 1}, {"MARINE": 3})
    put(engine, x={0: 9.0, 1: 14.0, 2: 14.0, 3: 14.6}, y={0: 16.0, 1: 16.0, 2: 17.3, 3: 16.0})
    reward = fire(engine, 0, 1)
    # 10, +5 against LIGHT, twice
    assert [field(engine, "hp", u) for u in (1, 2, 3)] == [15, 15, 45] and reward == 60


def test_a_beam_at_the_own_place_hits_nothing():
    engine = arena({"COLOSSUS": 1}, {"MARINE": 1})
    put(engine, x={0: 9.0, 1: 9.0}, y={0: 16.0, 1: 16.0})
    assert fire(engine, 0, 1) == 0 and field(engine, "hp", 1) == 45


def test_a_dead_unit_does_nothing_in_the_tick_of_its_death():
    engine = arena({"MARINE": 1}, {"MARINE": 1})
    put(engine, x={0: 12.0, 1: 14.0}, y={0: 16.0, 1: 16.0}, hp={0: 6.0, 1: 45.0}, target={0: 1, 1: 0})
    put(engine, command={0: TARGET_COMMAND}, command_unit={0: 1})
    engine.run_tick(np.array([[1, 0]]))
    assert field(engine, "hp", 1) == 45 and not field(engine, "in_play", 0)


def test_two_units_at_one_point_do_not_break_the_numbers():
    engine = arena({"ZEALOT": 2}, {"ZEALOT": 2})
    put(engine, x={0: 10.0, 1: 10.0}, y={0: 16.0, 1: 16.0})
    for _ in range(5):
        engine.step(np.array([[4, 4]]))
    assert np.isfinite(engine.units["x"]).all() and np.isfinite(engine.agent_state).all()


def test_wall_corners_do_not_break_the_numbers():
    # SIMPLE's lower wall ends at y = 8; stand on its edge and on its corner, moving at it.
    for x, y in ((5.0, 8.0), (0.0, 8.0), (0.25, 8.25), (31.99, 8.0), (5.0, 7.5)):
        engine = arena({"ZEALOT": 1}, {"ZEALOT": 1})
        put(engine, x={0: x}, y={0: y}, vy={0: -3.15}, vx={0: 0.0})
        for _ in range(3):
            mask = engine.action_mask[0, 0]
            engine.step(np.array([[int(np.flatnonzero(mask[:6])[-1])]]))
        assert np.isfinite(engine.units["x"]).all() and np.isfinite(engine.units["vx"]).all()
