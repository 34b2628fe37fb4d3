"""Maps on the command line: ``python -m dizoo.smac.battle.maps list | show NAME | check FILE``."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from dizoo.smac.battle.errors import BattleError
from dizoo.smac.battle.maps.generator import STARTS
from dizoo.smac.battle.maps.mapcheck import find_doubts, find_errors, unit_table
from dizoo.smac.battle.maps.rules import PROFILES, get_profile
from dizoo.smac.battle.maps.scenario import (
    GROUND,
    Scenario,
    load_map,
    load_scenario,
    map_names,
    own_rules,
    task_names,
)
from dizoo.smac.battle.maps.units import PLANES, WEAPONS, UnitType

SAMPLES = 3  # battles of a generator that `show` draws


def list_maps(rules: str | None = None) -> str:
    """Return a table of the shipped maps: units, episode limit and sizes; default: each under its own rules."""
    head = f"{'map':<17}{'agents':>7}{'enemies':>8}{'limit':>6}{'actions':>8}{'obs':>5}{'state':>6}  units"
    lines = [head]
    for name in (*map_names(), *task_names()):
        s = load_scenario(name, rules)
        lines.append(
            f"{name:<17}{s.n_agents:>7}{s.n_enemies:>8}{s.episode_limit:>6}{s.n_actions:>8}{s.obs_size:>5}"
            f"{s.state_size:>6}  {_army(s, True)} vs {_army(s, False)}"
        )
    return "\n".join(lines)


def draw(scenario: Scenario, types: Sequence[UnitType], pos: np.ndarray, in_play: np.ndarray | None = None) -> str:
    """Draw units on the map, top row first: ``#`` blocked, ``.`` open, ``*`` attack point, allies in upper case.

    If several units are in one cell, the one with the lowest id is drawn; units outside the map are left out.

    Args:
        scenario: the map.
        types: of the units (U).
        pos: (U, 2) cells.
        in_play: (U,) bool, the units to draw; default: all.
    """
    letters = unit_letters([t.name for t in scenario.types])
    grid = [["." if cell else "#" for cell in row] for row in scenario.open_cells.tolist()]
    x, y = scenario.attack_point.astype(int)
    grid[y][x] = "*"
    for unit in reversed(range(len(types))):
        letter = letters[types[unit].name]
        x, y = np.floor(pos[unit]).astype(int)
        if (in_play is None or in_play[unit]) and 0 <= x < scenario.width and 0 <= y < scenario.height:
            grid[y][x] = letter if scenario.is_ally[unit] else letter.lower()
    return "\n".join(f"{y:>3} {''.join(row)}" for y, row in reversed(list(enumerate(grid))))


def unit_letters(names: Sequence[str]) -> dict[str, str]:
    """Assign each type a capital letter: the first free one of its name, else one of the alphabet."""
    letters: dict[str, str] = {}
    for name in names:
        free = [c for c in name.upper() + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c.isalpha() and c not in letters.values()]
        letters[name] = free[0] if free else "?"
    return letters


def legend(letters: Mapping[str, str]) -> str:
    """Explain the marks of a drawn map in one line; for ``letters`` see `unit_letters`."""
    types = ", ".join(f"{letter} {name.lower().replace('_', ' ')}" for name, letter in letters.items())
    return f"{types}; allies in capitals, enemies in small letters; # blocked, * attack point"


def show(map_name: str, rules: str | None = None) -> str:
    """Return everything about one map as text: sizes, drawing (of drawn battles: some samples), unit stats."""
    s = load_scenario(map_name, rules)
    lines = [
        f"{s.name} ({s.profile.name} rules, {s.width} x {s.height} cells): {_army(s, True)} vs {_army(s, False)}",
        f"episode limit {s.episode_limit}, actions {s.n_actions}, observation {s.obs_size}, state {s.state_size}, "
        f"max reward {s.max_reward:g}, attack point ({s.attack_point[0]:g}, {s.attack_point[1]:g})",
        *_drawings(s),
        "",
        legend(unit_letters([t.name for t in s.types])),
        "",
        f"{'type':<15}{'hp':>5}{'shield':>7}{'armor':>6}{'damage':>8}{'period':>8}{'range':>6}{'speed':>7}"
        f"{'radius':>7}  notes",
        *(_stats(t) for t in s.types),
    ]
    return "\n".join(lines)


def _drawings(s: Scenario) -> list[str]:
    if s.lineup is not None:
        return ["", draw(s, [s.types[t] for t in s.unit_type], s.start_pos)]
    from dizoo.smac.battle.engine import BattleEngine  # compiled code draws the battles

    engine = BattleEngine(s, SAMPLES, num_threads=1)
    lines = [_generator(s)]
    for e in range(SAMPLES):
        units, types = engine.units[e], engine.lineup(e)
        teams = " vs ".join(
            _count(t.name for t, ally in zip(types, s.is_ally, strict=True) if ally == side) for side in (True, False)
        )
        lines += ["", f"sample {e + 1}, {STARTS[engine.start_kind[e]]}: {teams}"]
        lines.append(draw(s, types, np.stack([units["x"], units["y"]], axis=1)))
    return lines


def _generator(s: Scenario) -> str:
    g = s.generator
    assert g is not None
    starts = ", ".join(f"{start} {share:g}" for start, share in g.starts.items() if share)
    again = f"; a team of {' and '.join(g.exceptions).lower()} alone is drawn again" if g.exceptions else ""
    enemies = "enemies copy the allies" if g.enemies_copy_allies else "enemies are drawn like the allies"
    return f"starts {starts}; {enemies}{again}"


def check(path: str, rules: str | None = None) -> list[str]:
    """List the errors of a map file, one line each; empty if there are none."""
    try:
        data = get_profile(own_rules(path) if rules is None else rules).data
        spec = load_map(path, data)
    except BattleError as e:
        return [str(e)]
    table = unit_table(spec, data)
    errors = find_errors(spec, table)
    return [f"{spec.source}: {line}" for line in errors or find_doubts(spec, table)]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0 fine, 1 if the map has errors."""
    parser = argparse.ArgumentParser(prog="python -m dizoo.smac.battle.maps", description="SMAC maps as data.")
    parser.add_argument("--rules", choices=sorted(PROFILES), help="rule profile (default: the map's own)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="table of the shipped maps")
    commands.add_parser("show", help="draw a map and its units").add_argument("map", metavar="NAME|FILE")
    commands.add_parser("check", help="say what is wrong with a map").add_argument("map", metavar="FILE|NAME")
    args = parser.parse_args(argv)
    try:
        if args.command == "list":
            print(list_maps(args.rules))
        elif args.command == "show":
            print(show(args.map, args.rules))
        else:
            problems = check(args.map, args.rules)
            print("\n".join(problems) or f"{args.map}: fine.")
            return int(bool(problems))
    except BattleError as e:
        print(e, file=sys.stderr)
        return 1
    return 0


def _army(s: Scenario, ally: bool) -> str:
    if s.generator is not None:
        weights = ", ".join(f"{name.lower()} {weight:g}" for name, weight in s.generator.weights.items())
        return f"{s.n_agents if ally else s.n_enemies} of {weights}"
    return _count(s.types[t].name for t in s.unit_type[s.is_ally == ally])


def _count(names: Iterable[str]) -> str:
    return ", ".join(f"{n} {name.lower()}" for name, n in Counter(names).items())


def _stats(t: UnitType) -> str:
    weapon = {code: name for name, code in WEAPONS.items()}[t.weapon]
    notes = [weapon] if weapon != "direct" else []
    notes += [f"+{extra:g} vs {attribute.lower()}" for attribute, extra in t.bonus.items()]
    if t.plane != GROUND:
        notes.append("on plane " + {code: name for name, code in PLANES.items()}[t.plane].lower())
    damage = f"{t.attacks} x {t.damage:g}" if t.attacks > 1 else f"{t.damage:g}"
    return (
        f"{t.name:<15}{t.hp:>5g}{t.shield:>7g}{t.armor:>6g}{damage:>8}{t.cooldown:>8g}{t.attack_range:>6g}{t.speed:>7g}"
        f"{t.radius:>7g}  {', '.join(notes)}"
    ).rstrip()
