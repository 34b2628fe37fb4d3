"""Where the profile ``smac`` differs: rewards, ends, order, type bits, scales, explosions."""

import numpy as np
import pytest

from dizoo.smac.battle import BattleEngine, load_scenario


def engine_with(name, change, rules="smac", **options):
    """One battle, its state changed by `change(units)` on the records."""
    engine = BattleEngine(name, 1, rules=rules, num_threads=1, **options)
    state = engine.get_state()
    change(state)
    engine.set_state(state)
    return engine


def stop(engine):
    engine.step(np.where(engine.alive, 1, 0))


def kill(units):
    def change(state):
        state["hp"][0, units] = 0.0
        state["in_play"][0, units] = False

    return change


def test_reward_is_net_of_regeneration_and_absolute():
    # A Zealot without its shield recovers 0.125 a tick; over 8 ticks the enemy gains 1: SMAC's reward is |-1|, scaled.
    def hurt(state):
        state["shield"][0, 3:] = 10.0

    engine = engine_with("3s_vs_3z", hurt)
    stop(engine)
    scale = engine.scenario.max_reward / 20
    assert engine.reward[0] == pytest.approx(3 * 8 * 0.125 / scale)
    signed = engine_with("3s_vs_3z", hurt, reward_only_positive=False)
    stop(signed)
    assert signed.reward[0] == pytest.approx(-3 * 8 * 0.125 / scale)
    unscaled = engine_with("3s_vs_3z", hurt, reward_scale=False)
    stop(unscaled)
    assert unscaled.reward[0] == pytest.approx(3.0)


def contact(state):
    """2m_vs_1z: the Zealot beside the first Marine, which has 1 hp left."""
    state["x"][0], state["y"][0] = [15.0, 22.0, 15.9], [16.0, 16.0, 16.0]
    state["hp"][0, 0] = 1.0


def test_own_losses_count_when_asked_to():
    engine = engine_with(
        "2m_vs_1z", contact, reward_only_positive=False, reward_scale=False, reward_negative_scale=0.25
    )
    agents = engine.agent_unit
    stop(engine)
    lost = agents[~engine.alive[0]]
    assert len(lost) == 1
    # the Marine's last hit point and its death, at a quarter: 0.25 * (1 + 10)
    enemy = engine.units[0][engine.enemy_unit[0]]
    dealt = 150.0 - (enemy["hp"] + enemy["shield"])
    assert engine.reward[0] == pytest.approx(dealt - 0.25 * 11)


def test_own_losses_count_under_smaclite_rules_too():
    paid = {}
    for only_positive in (True, False):
        options = dict(reward_only_positive=only_positive, reward_scale=False, reward_negative_scale=0.25)
        engine = engine_with("2m_vs_1z", contact, rules="smaclite", **options)
        stop(engine)
        assert engine.alive[0].sum() == 1
        paid[only_positive] = engine.reward[0]
    assert paid[False] == pytest.approx(paid[True] - 0.25 * (1 + 10))


def test_win_death_and_defeat_rewards_are_options():
    options = {"reward_win": 50.0, "reward_death_value": 3.0, "reward_scale": False}

    def dying(state):
        state["x"][0], state["y"][0] = [15.0, 15.0, 16.0], [16.0, 17.0, 16.0]
        state["hp"][0, 2], state["shield"][0, 2] = 0.5, 0.0
        state["command"][0, 2] = 0

    engine = engine_with("2m_vs_1z", dying, **options)
    engine.step(np.array([[6, 6]]))
    assert engine.battle_won[0] and engine.terminated[0]
    assert engine.reward[0] == pytest.approx(0.5 + 3 + 50)

    lost = engine_with("2m_vs_1z", contact, reward_defeat=-7.0, reward_scale=False)
    lost.set_state(lost.get_state() | {"hp": np.array([[1.0, 0.0, 100.0]]), "in_play": np.array([[True, False, True]])})
    lost.step(np.array([[1, 0]]))
    enemy = lost.units[0][lost.enemy_unit[0]]
    assert lost.terminated[0] and not lost.battle_won[0]
    assert lost.reward[0] == pytest.approx(abs(150 - enemy["hp"] - enemy["shield"]) - 7)


@pytest.mark.parametrize(("rules", "over"), [("smac", True), ("smaclite", False)])
def test_a_side_of_medivacs_only_is_beaten_in_smac(rules, over):
    scenario = load_scenario("MMM", rules)
    fighters = [i for i in range(20) if not scenario.types[scenario.unit_type[i]].is_healer]
    enemies = [i for i in fighters if not scenario.is_ally[i]]
    engine = engine_with("MMM", kill(enemies), rules)
    stop(engine)
    assert engine.terminated[0] == over and engine.battle_won[0] == over
    engine = engine_with("MMM", kill([i for i in fighters if scenario.is_ally[i]]), rules)
    stop(engine)
    assert engine.terminated[0] == over and not engine.battle_won[0]


@pytest.mark.parametrize(("rules", "won"), [("smac", False), ("smaclite", True)])
def test_a_win_needs_a_living_ally_in_smac(rules, won):
    engine = engine_with("3m", kill(list(range(6))), rules)
    engine.step(np.zeros((1, 3), int))
    assert engine.terminated[0] and engine.battle_won[0] == won


def test_agents_are_ordered_and_typed_as_in_smac():
    engine = BattleEngine("MMM", 1, rules="smac", num_threads=1)
    s = engine.scenario
    assert [s.types[s.unit_type[u]].name for u in engine.agent_unit] == ["MARAUDER"] * 2 + ["MARINE"] * 7 + ["MEDIVAC"]
    assert engine.agent_state[0, 9, -3:].tolist() == [0, 0, 1]
    # 2s3z: an allied Stalker has bit 0, an enemy Stalker bit 1
    engine = BattleEngine("2s3z", 1, rules="smac", num_threads=1)
    s, state = engine.scenario, dict(zip(engine.state_names, engine.global_state[0], strict=True))
    assert (
        s.types[s.unit_type[engine.agent_unit[0]]].name == s.types[s.unit_type[engine.enemy_unit[0]]].name == "STALKER"
    )
    assert (state["ally0.is_stalker"], state["enemy0.is_stalker"]) == (1, 1)
    names = engine.state_names
    assert names.index("ally0.is_stalker") < names.index("ally0.is_zealot")
    assert names.index("enemy0.is_zealot") < names.index("enemy0.is_stalker")


def test_cooldowns_in_the_state_are_scaled_by_smacs_table():
    # Stalker: 35 game loops; 0.5 s are 8 loops
    def shot(state):
        state["cooldown"][0, :3] = 0.5

    engine = engine_with("3s_vs_3z", shot)
    assert dict(zip(engine.state_names, engine.global_state[0], strict=True))[
        "ally0.cooldown_or_energy"
    ] == pytest.approx(8 / 35)
    engine = engine_with("3s_vs_3z", shot, "smaclite")
    assert dict(zip(engine.state_names, engine.global_state[0], strict=True))[
        "ally0.cooldown_or_energy"
    ] == pytest.approx(0.5 / 1.34)


def test_marines_move_at_normal_speed():
    # 2.25 cells a second: 1.125 in a step
    engine = BattleEngine("2m_vs_1z", 1, rules="smac", num_threads=1)
    before = engine.units["y"][0].copy()
    engine.step(np.array([[2, 1]]))
    assert engine.units["y"][0][engine.agent_unit[0]] - before[engine.agent_unit[0]] == pytest.approx(1.125, abs=1e-5)


@pytest.mark.parametrize(("rules", "hurt"), [("smac", True), ("smaclite", False)])
def test_a_killed_baneling_explodes_in_smac(rules, hurt):
    # Two enemy Banelings beside a Zealot, one of them dies: in SMAC it explodes, and hurts the Zealot only.
    scenario = load_scenario("so_many_baneling", rules)
    zealots, banelings = np.flatnonzero(scenario.is_ally), np.flatnonzero(~scenario.is_ally)
    attacker, victim, near = zealots[0], banelings[0], banelings[1]

    def beside(state):
        state["command"][0, banelings] = 0
        state["x"][0, [attacker, victim, near]] = [16.0, 16.9, 17.4]
        state["y"][0, [attacker, victim, near]] = 16.0
        state["x"][0, banelings[2:]] = 30.0
        state["x"][0, zealots[1:]] = 2.0
        state["hp"][0, victim] = 3.0

    engine = engine_with("so_many_baneling", beside, rules)
    actions = np.ones((1, 7), int)
    agent = int(scenario.index[attacker])
    actions[0, agent] = 6 + int(scenario.index[victim])
    engine.step(actions)
    units = engine.units[0]
    assert not units["in_play"][victim]
    # 20, +15 against LIGHT, from a shield of 50
    assert (units["shield"][attacker] == 50 - 35) == hurt
    assert units["hp"][near] == scenario.types[scenario.unit_type[near]].hp


def test_allies_stop_attacking_a_target_that_died_in_smac():
    for rules, stands in (("smac", True), ("smaclite", False)):
        scenario = load_scenario("3m", rules)
        agent, enemy = np.flatnonzero(scenario.is_ally)[0], np.flatnonzero(~scenario.is_ally)[0]

        def far(state, agent=agent, enemy=enemy):
            state["command"][0] = 0
            state["command"][0, agent], state["command_unit"][0, agent] = 2, enemy
            state["hp"][0, enemy], state["in_play"][0, enemy] = 0.0, False

        engine = engine_with("3m", far, rules)
        before = engine.units["x"][0, agent]
        engine.run_tick()
        assert (engine.units["x"][0, agent] == before) == stands, rules
