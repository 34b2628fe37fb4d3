"""The table of columns: sizes by hand, and readers against names."""

import numpy as np
import pytest

from dizoo.smac.battle import BattleEngine
from dizoo.smac.battle.maps.layout import column_names
from dizoo.smac.battle.maps.scenario import load_scenario
from dizoo.smac.battle.teams.scripted import random_actions


def test_blocks_by_hand():
    # MMM: 10 against 10, no shields, three types
    can_move, enemies, others, own = load_scenario("MMM").obs_layout
    assert [(b.first, b.parts, b.size) for b in (can_move, enemies, others, own)] == [
        (0, 1, 4), (4, 10, 8), (84, 9, 8), (156, 1, 4),
    ]  # fmt: skip
    assert enemies.columns[:5] == ("can_target", "distance", "dx", "dy", "hp")
    assert own.columns == ("hp", "is_marauder", "is_marine", "is_medivac") and own.end == 160
    # 2s_vs_1sc: shields of the allies only, no types; 7 actions
    allies, enemies, actions = load_scenario("2s_vs_1sc").state_layout
    assert [(b.first, b.parts, b.size) for b in (allies, enemies, actions)] == [(0, 2, 5), (10, 1, 3), (13, 2, 7)]
    assert allies.columns == ("hp", "cooldown_or_energy", "x", "y", "shield") and "shield" not in enemies.columns


@pytest.mark.parametrize("name", ["MMM", "2s_vs_1sc", "3s5z"])
def test_what_is_read_is_what_is_named(name):
    engine = BattleEngine(name, 3, seed=0, num_threads=1)
    engine.reset()
    rng = np.random.default_rng(0)
    for _ in range(12):
        engine.step(random_actions(engine.action_mask, rng))
    for blocks, rows in (
        (engine.scenario.obs_layout, engine.agent_state),
        (engine.scenario.state_layout, engine.global_state),
    ):
        by_name = dict(zip(column_names(blocks), np.moveaxis(rows, -1, 0), strict=True))
        for block in blocks:
            for column in block.columns:
                named = [by_name[f"{block.label.format(part)}.{column}"] for part in range(block.parts)]
                assert np.array_equal(block.read(rows, column), np.stack(named, axis=-1))
    alive, x = engine.alive, engine.units["x"][:, engine.agent_unit]
    shown = engine.scenario.state_layout.allies.read(engine.global_state, "x")
    # offsets from the centre, in map sizes
    assert np.ptp(x[alive]) > 1 and np.allclose(shown[alive] * 32 + 16, x[alive], atol=1e-4)


def test_a_column_that_is_not_there():
    with pytest.raises(ValueError):
        load_scenario("3m").obs_layout.own.read(np.zeros((1, 30)), "shield")
