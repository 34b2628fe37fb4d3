"""Maps on the command line: ``python -m dizoo.smac.battle.maps list | show NAME | check FILE``."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from dizoo.smac.battle.errors import BattleError
from dizoo.smac.battle.maps.mapcheck import find_doubts, find_errors, unit_table
from dizoo.smac.battle.maps.rules import PROFILES
from dizoo.smac.battle.maps.scenario import GROUND, Scenario, load_map, load_scenario, map_names
from dizoo.smac.battle.maps.units import PLANES, WEAPONS, UnitType


def list_maps(rules: str = "smaclite") -> str:
    """Return a table of the shipped maps: units, episode limit and sizes."""
    head = f"{'map':<17}{'agents':>7}{'enemies':>8}{'limit':>6}{'actions':>8}{'obs':>5}{'state':>6}  units"
    lines = [head]
    for name in map_names():
        s = load_scenario(name, rules)
        lines.append(
            f"{name:<17}{s.n_agents:>7}{s.n_enemies:>8}{s.episode_limit:>6}{s.n_actions:>8}{s.obs_size:>5}"
            f"{s.state_size:>6}  {_army(s, True)} vs {_army(s, False)}"
        )
    return "\n".join(lines)


def draw(scenario: Scenario, pos: np.ndarray | None = None, in_play: np.ndarray | None = None) -> str:
    """Draw the map as text, top row first: ``#`` blocked, ``.`` open, ``*`` attack point, allies in upper case.

    If several units are in one cell, the one placed first is drawn; units outside the map are left out. ``pos`` (U, 2)
    replaces the starts, in placement order; ``in_play`` (U,) bool selects the units to draw.
    """
    pos = scenario.start_pos if pos is None else pos
    letters = unit_letters([t.name for t in scenario.types])
    grid = [["." if cell else "#" for cell in row] for row in scenario.open_cells.tolist()]
    x, y = scenario.attack_point.astype(int)
    grid[y][x] = "*"
    for unit in reversed(range(len(scenario.unit_type))):
        letter = letters[scenario.types[scenario.unit_type[unit]].name]
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


def show(map_name: str, rules: str) -> str:
    """Return everything about one map as text: sizes, drawing, unit stats."""
    s = load_scenario(map_name, rules)
    lines = [
        f"{s.name} ({s.profile.name} rules, {s.width} x {s.height} cells): {_army(s, True)} vs {_army(s, False)}",
        f"episode limit {s.episode_limit}, actions {s.n_actions}, observation {s.obs_size}, state {s.state_size}, "
        f"max reward {s.max_reward:g}, attack point ({s.attack_point[0]:g}, {s.attack_point[1]:g})",
        "",
        draw(s),
        "",
        legend(unit_letters([t.name for t in s.types])),
        "",
        f"{'type':<15}{'hp':>5}{'shield':>7}{'armor':>6}{'damage':>8}{'period':>8}{'range':>6}{'speed':>7}"
        f"{'radius':>7}  notes",
        *(_stats(t) for t in s.types),
    ]
    return "\n".join(lines)


def check(path: str, rules: str) -> list[str]:
    """List the errors of a map file, one line each; empty if there are none."""
    try:
        spec = load_map(path, rules)
    except BattleError as e:
        return [str(e)]
    table = unit_table(spec, rules)
    errors = find_errors(spec, table)
    return [f"{spec.source}: {line}" for line in errors or find_doubts(spec, table)]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0 fine, 1 if the map has errors."""
    parser = argparse.ArgumentParser(prog="python -m dizoo.smac.battle.maps", description="SMAC maps as data.")
    parser.add_argument("--rules", choices=sorted(PROFILES), default="smaclite", help="rule profile (default smaclite)")
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
    count = Counter(s.types[t].name.lower() for t in s.unit_type[s.is_ally == ally])
    return ", ".join(f"{n} {name}" for name, n in count.items())


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
