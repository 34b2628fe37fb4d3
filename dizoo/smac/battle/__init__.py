"""The compiled battle engine: SMAC's 23 maps, many battles at once, with only numpy and numba."""

from dizoo.smac.battle.engine import BattleEngine, keeps_compiled, needs_compile, warm_up
from dizoo.smac.battle.errors import ActionError, BattleError, MapError
from dizoo.smac.battle.maps.scenario import Scenario, load_scenario, map_names

__all__ = [
    "ActionError",
    "BattleEngine",
    "BattleError",
    "MapError",
    "Scenario",
    "keeps_compiled",
    "load_scenario",
    "map_names",
    "needs_compile",
    "warm_up",
]
