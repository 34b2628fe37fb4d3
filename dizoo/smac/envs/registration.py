"""Registers Gymnasium environments; a separate module so that this imports no simulator."""

from __future__ import annotations

import json
from pathlib import Path

ENTRY_POINT = "dizoo.smac.envs.dropin.gymnasium_env:BattleEnv"
_DATA = Path(__file__).resolve().parent.parent / "battle" / "maps" / "data"


def register_envs() -> None:
    """Register ``dimix/<map>-v0`` for every shipped map, and ``dimix/custom-v0``, which takes ``map_file=PATH``.

    Registering twice does nothing. The function can be used as an entry point in the group ``gymnasium.envs``.

    Raises:
        ModuleNotFoundError: gymnasium is not installed.
    """
    from gymnasium.envs.registration import register, registry

    maps, tasks = (json.loads((_DATA / file).read_text(encoding="utf-8")) for file in ("maps.json", "smacv2.json"))
    names = [name for name in maps if name != "schema"]
    names += [f"{race}_{agents}_vs_{enemies}" for race in tasks["races"] for agents, enemies in tasks["sizes"]]
    for name in names:
        if f"dimix/{name}-v0" not in registry:
            register(f"dimix/{name}-v0", entry_point=ENTRY_POINT, kwargs={"map_name": name})
    if "dimix/custom-v0" not in registry:
        register("dimix/custom-v0", entry_point=ENTRY_POINT)
