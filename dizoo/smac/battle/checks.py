"""Checks of what the engine is given: options, battle indices, orders of execution, states."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dizoo.smac.battle.errors import BattleError
from dizoo.smac.battle.kernels.state import (
    ATTACK_MOVE_COMMAND,
    NO_ACTION,
    NO_UNIT,
    OWNER,
    STOP_COMMAND,
    TARGET_COMMAND,
    UNDECIDED,
    Array,
)
from dizoo.smac.battle.maps.generator import STARTS
from dizoo.smac.battle.maps.rules import MOST_LOOKS, OPPONENTS, Profile, get_profile
from dizoo.smac.battle.maps.scenario import Scenario
from dizoo.smac.battle.text import nearest


def profile_with(rules: str | Profile, options: Mapping[str, Any]) -> Profile:
    """Return a profile with some of its options replaced.

    Args:
        rules: name of a profile, or a profile.
        options: new values of ``opponent``, ``prob_obs_enemy``, ``action_mask``, ``num_fov_actions`` and of fields
            whose names start with ``reward_``.

    Raises:
        BattleError: an unknown profile or option, or a value of the wrong kind.
    """
    profile = get_profile(rules)
    rewards = [field.name for field in fields(Profile) if field.name.startswith("reward_")]
    known = ["opponent", "prob_obs_enemy", "action_mask", "num_fov_actions", *rewards]
    for name, value in options.items():
        if name not in known:
            raise BattleError(f"{name}: unknown option of BattleEngine.{nearest(name, known)}")
        if name == "opponent":
            options = {**options, "opponent": _opponents(value)}
        elif name == "num_fov_actions":
            if whole_number(name, value, 0) > MOST_LOOKS:
                raise BattleError(f"{name}: found {value!r}. It is at most {MOST_LOOKS}.")
        elif not isinstance(getattr(profile, name), bool):
            finite_number(name, value, None)
        elif not isinstance(value, bool | np.bool_):
            raise BattleError(f"{name}: found {value!r}. It is True or False.")
    if options.get("reward_scale_rate", 1.0) <= 0:
        raise BattleError(f"reward_scale_rate: found {options['reward_scale_rate']!r}. It is above 0.")
    if not 0.0 <= options.get("prob_obs_enemy", 1.0) <= 1.0:
        raise BattleError(f"prob_obs_enemy: found {options['prob_obs_enemy']!r}. It is from 0 to 1.")
    return replace(profile, **options)


def _opponents(value: Any) -> str | tuple[str, ...]:
    """Return what `Profile.opponent` holds: one of `OPPONENTS`, or several."""
    names = list(value) if isinstance(value, list | tuple) else [value]
    if not names or any(name not in OPPONENTS for name in names):
        known = ", ".join(map(repr, OPPONENTS))
        raise BattleError(f"opponent: found {value!r}. It is one of {known}, or a list of them.")
    return names[0] if len(names) == 1 else tuple(names)


def whole_number(name: str, value: Any, least: int | None) -> int:
    """Return the value as an int.

    Raises:
        BattleError: it is not a whole number of at least `least`.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or (least is not None and value < least):
        at_least = "" if least is None else f" of at least {least}"
        raise BattleError(f"{name}: found {value!r}. It is a whole number{at_least}.")
    return int(value)


def finite_number(name: str, value: Any, least: float | None, most: float = math.inf) -> float:
    """Return the value as a float.

    Raises:
        BattleError: it is not a finite number of at least `least` and at most `most`.
    """
    numeric = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not numeric or not math.isfinite(value) or (least is not None and value < least) or value > most:
        at_least = "" if least is None else f" of at least {least:g}"
        at_most = "" if most == math.inf else f" and at most {most:g}"
        raise BattleError(f"{name}: found {value!r}. It is a finite number{at_least}{at_most}.")
    return float(value)


def battle_ids(ids: ArrayLike | None, num_envs: int) -> Array:
    """Return indices of battles (n,) int64 from indices, a bool mask (E,), or None for all.

    Raises:
        BattleError: anything else, or an index out of range.
    """
    if ids is None:
        return np.arange(num_envs)
    chosen = np.atleast_1d(np.asarray(ids))
    if chosen.dtype == np.bool_ and chosen.shape == (num_envs,):
        return np.flatnonzero(chosen)
    if chosen.size == 0:
        return np.zeros(0, np.int64)
    if chosen.ndim != 1 or not np.issubdtype(chosen.dtype, np.integer):
        raise BattleError(
            f"reset ids: found {chosen.dtype} of shape {chosen.shape}. Give indices of battles or a bool mask of shape "
            f"({num_envs},)."
        )
    bad = chosen[(chosen < 0) | (chosen >= num_envs)]
    if bad.size:
        raise BattleError(f"reset ids: found {bad[0]}. Battles are numbered 0 to {num_envs - 1}.")
    return chosen.astype(np.int64)


def checked_orders(orders: Array, shape: tuple[int, int, int]) -> Array:
    """Return orders of execution (E, ticks, U) in the type that the kernels take.

    Raises:
        BattleError: another shape, not integers, an unknown unit, or a unit that appears twice in a tick.
    """
    if orders.shape != shape or not np.issubdtype(orders.dtype, np.integer):
        raise BattleError(f"order: found {orders.dtype} of shape {orders.shape}. It is integers of shape {shape}.")
    if orders.max() >= shape[2]:
        raise BattleError(f"order: found unit {orders.max()}. The map's units are 0 to {shape[2] - 1}.")
    ascending = np.sort(orders, axis=-1)
    twice = (ascending[..., 1:] == ascending[..., :-1]) & (ascending[..., 1:] >= 0)
    if twice.any():
        raise BattleError(f"order: unit {ascending[..., 1:][twice][0]} appears twice in a tick. Each unit acts once.")
    return np.ascontiguousarray(orders, dtype=np.int16)


def generator_mark(scenario: Scenario) -> np.uint64:
    """Return a number that tells generators apart, for the states of their battles; 0 if the units are fixed."""
    if scenario.generator is None:
        return np.uint64(0)
    text = f"{scenario.generator} {scenario.types} {scenario.width} {scenario.height} {scenario.agent_order}"
    return np.uint64(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little"))


def checked_state(state: Mapping[str, ArrayLike], own: Mapping[str, Array], scenario: Scenario) -> dict[str, Array]:
    """Return the arrays of a state in the engine's types.

    Args:
        state: arrays by name.
        own: the engine's arrays.
        scenario: the engine's.

    Raises:
        BattleError: a missing or unknown name, a wrong shape or type, or an impossible value.
    """
    for name in state:
        if name not in own:
            raise BattleError(f"state['{name}']: unknown.{nearest(name, own)}")
    arrays = {}
    for name, mine in own.items():
        if name not in state:
            raise BattleError(f"state['{name}']: missing. A state has: {', '.join(own)}.")
        value = np.asarray(state[name])
        if value.shape != mine.shape:
            raise BattleError(f"state['{name}']: found shape {value.shape}. This engine's is {mine.shape}.")
        if not np.can_cast(value.dtype, mine.dtype, "same_kind"):
            raise BattleError(f"state['{name}']: found dtype {value.dtype}. It is {mine.dtype}.")
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise BattleError(f"state['{name}']: found a value that is not finite. All of it has to be finite.")
        arrays[name] = value.astype(mine.dtype)
    if "generator" in own and (arrays["generator"] != own["generator"]).any():
        raise BattleError("state['generator']: the battles are of another generator. Use the map that they began on.")
    _check_indices(arrays, scenario)
    return arrays


def _check_indices(arrays: Mapping[str, Array], scenario: Scenario) -> None:
    """Refuse unit ids, commands and actions out of range: the kernels index with them unchecked."""
    last_unit = arrays["target"].shape[1] - 1
    ranges = {
        "target": (NO_UNIT, last_unit),
        "command_unit": (NO_UNIT, last_unit),
        "command": (STOP_COMMAND, ATTACK_MOVE_COMMAND),
        "last_action": (NO_ACTION, scenario.n_actions - 1),
        "look": (0, scenario.profile.num_fov_actions - 1),
        "type": (0, len(scenario.types) - 1),
        "start_kind": (0, len(STARTS) - 1),
        "opponent": (0, len(OPPONENTS) - 1),
        "sightings": (UNDECIDED, OWNER),
    }
    for name, (low, high) in ranges.items():
        value = arrays.get(name)
        if value is None:  # a fixed map has no lineup in its state, full sight no sightings, and so on
            continue
        if value.min() < low or value.max() > high:
            worst = value.min() if value.min() < low else value.max()
            raise BattleError(f"state['{name}']: found {worst}. Values go from {low} to {high}.")
    if ((arrays["command"] == TARGET_COMMAND) & (arrays["command_unit"] == NO_UNIT)).any():
        raise BattleError("state['command_unit']: found -1 for a unit commanded to act on a unit. Name that unit.")
