"""``python -m benchmark report``: generates `benchmark/results/README.md` and curves from measured figures alone."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import RESULTS, ROOT
from benchmark.markdown import paragraph, percent, table
from benchmark.speed import environments as adapters
from benchmark.speed import simulator, training
from benchmark.win_rate import environments, reliability, smacv2, ways
from benchmark.win_rate.cells import FAMILY, FAMILY_MAPS, RULES, MapCell
from benchmark.win_rate.curves import curve_file, draw_all, save
from benchmark.win_rate.published import DI_ENGINE_MAPS, SOURCES, WIN_RATES
from benchmark.win_rate.rows import read_rows
from benchmark.win_rate.summary import (
    Experiment,
    experiments,
    interquartile_mean,
    main_experiments,
    score_matrix,
)
from dimix.errors import OutputError
from dimix.machine.text import duration, short
from dizoo.smac.battle.maps.scenario import map_names

#: Columns that say what an experiment came to, see `experiment_cells`.
EXPERIMENT = ("seeds", "env steps", "**last ten**", "**moved**", "final greedy", "epsilon", "moved", "distinct")
#: Kinds of QMIX by algorithm, as the tables call them; and those from the map's own start.
QMIX_KINDS = {"qmix": "zoo", "published": "published", "nominal": "nominal"}
AS_PUBLISHED = ("published", "nominal")
LEVELS = (0.5, 0.8, 0.95)

INTRO = """\
# Results

Written whole by `python -m benchmark report`; what the figures say, and how to measure them again, is in
[benchmark/README.md](../README.md)."""
CAVEAT = """\
**Read this first.** These are the engine's rules (`smaclite`, or `smac`, as near to StarCraft II's as public facts
allow), not StarCraft II. Greedy games from the nominal start are nearly one game played many times (*distinct*:
different games among the 128 final ones), so 100 there can be one battle known by heart; the jittered column (starts
moved by up to 0.5 cells) and the open-loop team (acts by the clock, sees nothing) say how much. Where a random team
wins, a map proves nothing. All win rates are in percent. *Last ten*: mean of the last ten evaluations of 32 games, then
mean over seeds. *Final*: 128 games of the policy at the end of training, never of the best checkpoint. *Best single*:
the best evaluation of any seed, only for comparison with tables that report it."""
QMIX_NOTE = """\
*Zoo*: the zoo's config as it is. *Published*: as the literature runs QMIX (`smac_published_qmix_config.py`): agents
that read their observation as one row, every battle from the map's own start, two updates of 32 episodes. *Nominal*:
agents that see units as sets, from the map's own start.

*Moved*: last ten evaluations from starts moved by up to 0.5 cells. *Final*: 128 games each of the trained team, greedy,
with 5 % random actions, and greedy from moved starts; *distinct*: different ones among the greedy (median over seeds).
*Open loop*: last ten evaluations of a team that only knows the time."""
NET_NOTE = """\
SMAC pays the absolute change of the enemies' hit points and shields, so that shields that grow back pay like damage.
These teams were paid the net change (`--algos net_reward`: `env.reward_only_positive=False`,
`env.reward_negative_scale=0`), all else as above. Where no enemy has a shield or a Medivac, and none is a Zerg, both
are the same. Trained from the map's own start; the last two columns are such a team paid as SMAC does.
‡: agents that see units as sets."""
FAMILY_NOTE = """\
All from the map's own start, with flat agents (‡: with agents that see units as sets). Last ten evaluations; in
brackets the final games from moved starts; means over seeds."""
AGGREGATE_NOTE = """\
Interquartile mean of the last ten evaluations over maps and seeds, with its 95 % interval: stratified bootstrap over
the seeds of each map (rliable). Maps with fewer than three seeds are left out."""
SPEED_NOTE = """\
Env steps and wall time (evaluations included) until the fifth evaluation in a row that won as much, each of the five:
median over the seeds that got there, with their number if not all did. One thread a run."""
COMPARISON_NOTE = """\
Theirs were measured **on StarCraft II**, ours on the engine's two rule profiles: the columns do not measure the same
thing. Ours: last ten evaluations from the map's own start: the zoo's QMIX, QMIX as published, and under `smac` also
paid by the net change."""
DI_ENGINE_NOTE = """\
*Best mean reward* is DI-engine's name for the win rate of the best single evaluation; it flatters everybody (at a true
win rate of 0.5 the best of 500 evaluations of 32 games is about 0.76). Rules `smaclite`."""

TASKS_NOTE = """\
Teams and starts are drawn anew for every battle, so nothing can be learned by heart: an open-loop team hardly wins.
Trained and played against `chase`, the maps' own trigger; *on near*: against enemies that choose the nearest target
again and again, which no team here was trained on. In brackets: by kind of start (reflect / surrounded). Scripts:
512 battles. *Last ten*: mean over seeds with its 95 % interval (Student's t). *Final*: 128 fresh battles a seed of the
policy at the end. *Published*: SMACv2's own QMIX on StarCraft II after as many env steps, and after 10M.
Floors: `python -m dizoo.smac.battle.teams.floors --episodes 512 --maps TASK ... --opponent near --json FILE`."""
RELIABILITY_NOTE = """\
Up to ten seeds in two kinds of arithmetic (this processor's, and AVX2's: other sums, other runs). *Won*: five
evaluations in a row with at least 0.95 of 32 games won. Env steps and processor time until then, over all runs: one
that never won counts as never. *Kept*: share of the evaluations after it at 0.95 or more. *Last ten*: mean over runs;
*from moved starts*: the same from starts moved by up to 0.5 cells, and the worst run's."""
WAYS_NOTE = """\
Whether each zoo config of the family learns; not a comparison of methods: one seed, other maps, other lengths. A run
ends when its last five evaluations won 95 % of their games, or after 600k env steps. On a machine with other work."""
ENVIRONMENTS_NOTE = f"""\
Return per game: random play, and greedy play in the last {environments.LAST} evaluations, means with their standard
errors; the margin also in standard errors of the difference. Seed 0, one run each."""
#: Measured speeds: title, file and formatter.
SPEEDS = (
    ("Speed of training", "training", training.as_markdown),
    ("Speed of the simulator", "simulator", simulator.as_markdown),
    ("Speed of the simulator on drawn battles", "simulator_smacv2", simulator.as_markdown),
    ("What an adapter costs", "environments", adapters.as_markdown),
)

README = ROOT / "README.md"
#: Where a table of the README begins, by its name, and ends.
BEGIN, END = "<!-- written by python -m benchmark report: {} -->", "<!-- end -->"

Row = Mapping[str, Any]
Found = Mapping[tuple[str, str, str], Experiment]
#: Win rates of scripted teams by rules, map and team.
Floors = Mapping[tuple[str, str, str], float]


def report(rows: Path, page: Path, curves: Path) -> None:
    """Write the results page and the curves.

    Args:
        rows: folder of rows.
        page: the page; the pictures it links are written next to it.
        curves: folder of all pictures; created if needed.

    Raises:
        OutputError: a file is damaged or cannot be written, or matplotlib is missing.
    """
    measured = read_rows(rows)
    found = main_experiments(experiments(measured))
    draw_all({key: one for key, one in found.items() if key[0] in (*RULES, smacv2.RULES)}, curves)
    for name, draw, part in (
        ("ways", ways.draw, ways.by_way(measured)),
        ("environments", environments.draw, environments.by_name(measured)),
    ):
        if part:
            save(draw(part), curves / f"{name}.png")
    text = "\n\n".join(sections(measured)) + "\n"
    lines = reliability.summary(reliability.runs_by_recipe(measured))
    try:
        page.write_text(text, "utf-8")
        page.with_name("reliability.json").write_text(json.dumps(lines, indent=1) + "\n", "utf-8")
        if page.resolve() == (RESULTS / "README.md").resolve():
            README.write_text(with_tables(README.read_text("utf-8"), readme_tables(lines, found)), "utf-8")
        for picture in sorted(curves.glob("*.png")):
            if f"({picture.name})" in text:
                shutil.copyfile(picture, page.parent / picture.name)
    except OSError as e:
        raise OutputError(f"{page}: cannot be written ({e.strerror}).") from e


def readme_tables(lines: Sequence[Mapping[str, Any]], found: Found) -> dict[str, str]:
    """Return the tables of the README, by the names in its marks, from `reliability.summary` and the experiments."""
    drawn = smacv2.readme_table(found, smacv2.read_floors(RESULTS / "floors_smacv2.json"))
    return {"reliability": reliability.readme_table(lines), "smacv2": drawn}


def with_tables(readme: str, tables: Mapping[str, str]) -> str:
    """Return the README's text with new tables, each between its two marks."""
    for name, text in tables.items():
        begin = BEGIN.format(name)
        before, _, rest = readme.partition(begin)
        readme = f"{before}{begin}\n{text}\n{END}{rest.partition(END)[2]}"
    return readme


def read_floors(path: Path) -> dict[tuple[str, str, str], float]:
    """Read win rates of scripted teams by rules, map and team."""
    return {(f["rules"], f["map"], f["team"]): f["won"] / f["episodes"] for f in json.loads(path.read_text("utf-8"))}


def sections(rows: Sequence[Row]) -> Iterable[str]:
    """Yield the parts of the page: on the rows, on scripted teams, on measured speeds."""
    everything = experiments(rows)
    chosen, floors = main_experiments(everything), read_floors(RESULTS / "floors.json")
    found = {key: one for key, one in chosen.items() if key[0] in RULES}
    yield INTRO
    yield from conditions(everything)
    if sure := reliability.runs_by_recipe(rows):
        yield from ("## How sure is a win?", RELIABILITY_NOTE, reliability.reliability_table(reliability.summary(sure)))
    for rules in RULES:
        yield from rules_sections(found, floors, rules)
    tasks = smacv2.tasks_table(chosen, smacv2.read_floors(RESULTS / "floors_smacv2.json"))
    yield from ("## Battles drawn anew: SMACv2's tasks", TASKS_NOTE, tasks)
    if any(rules == smacv2.RULES for rules, _, _ in chosen):
        yield f"![Win rates on SMACv2's tasks]({curve_file(smacv2.RULES)})"
    yield from ("## Over all maps", AGGREGATE_NOTE, aggregate_table(found))
    yield from ("## How fast", SPEED_NOTE, speed_table(found))
    yield from ("## Beside what others published", comparison_note(), comparison_table(found, floors))
    yield from ("## In the layout of DI-engine's table", DI_ENGINE_NOTE, di_engine_table(found))
    if ablations := [e for e in everything if e.cell.options]:
        yield from ("## Trainings with other settings", ablation_table(ablations, chosen))
    if tried := ways.by_way(rows):
        yield from ("## Ways to train", WAYS_NOTE, ways.ways_table(tried), "![Win rate, each way](ways.png)")
    if learned := environments.by_name(rows):
        yield from ("## Other environments", ENVIRONMENTS_NOTE, environments.learning_table(learned))
        yield "![Greedy play beside random play](environments.png)"
    for title, name, write in SPEEDS:
        yield from (f"## {title}", write(json.loads((RESULTS / f"{name}.json").read_text("utf-8"))).strip())


def rules_sections(found: Found, floors: Floors, rules: str) -> Iterable[str]:
    """Yield the tables of one rule profile."""
    trained = {algo for r, _, algo in found if r == rules}
    yield from (f"## QMIX, rules `{rules}`", QMIX_NOTE, qmix_table(found, floors, rules))
    if trained:
        yield f"![Win rates under the rules {rules}]({curve_file(rules)})"
        yield (
            "*Greedy games from the nominal start, means of five evaluations: median over seeds, band from 25 to 75 %.*"
        )
    if "net_reward" in trained:
        yield from (f"## Paid by the net change, rules `{rules}`", NET_NOTE, net_table(found, rules))
    if trained & set(FAMILY[1:]):
        yield from (f"## The family, rules `{rules}`", FAMILY_NOTE, family_table(found, floors, rules))


# ---- the parts -------------------------------------------------------------------------------------------------------


def conditions(everything: Sequence[Experiment]) -> Iterable[str]:
    """Yield what was run, and on what."""
    rows = [row for e in everything for row in e.rows]
    if not rows:
        yield "No runs yet."
        return
    machines = Counter(f"{r['machine']['cpu']}, {r['machine']['cores']} cores" for r in rows)
    code = sorted({c or "unknown" for r in rows for c in r["code"]})
    hours = sum(r["training"]["seconds"] for r in rows) / 3600
    cpu = sum(r["training"]["cpu_seconds"] for r in rows) / 3600
    runs_on = "; ".join(f"{name} ({count} runs)" for name, count in machines.most_common())
    yield paragraph(
        f"{len(rows)} trainings, {hours:.1f} hours ({cpu:.1f} of processor time, one thread each), on {runs_on}. "
        f"Code: {', '.join(code[:8])}{' and others' if len(code) > 8 else ''} (`+`: changed since that revision); "
        f"torch {', '.join(sorted({r['versions']['torch'] for r in rows}))}. One file per run in `runs/`."
    )
    yield CAVEAT
    if mixed := {f"{e.cell.group} ({', '.join(e.mixed()[:3])})" for e in everything if e.mixed()}:
        yield paragraph(f"† Seeds trained with different settings: {'; '.join(sorted(mixed))}.")


def comparison_note() -> str:
    """Name the sources of the published figures."""
    return paragraph(f"{COMPARISON_NOTE} {'; '.join(f'{name}: {what}' for name, what in SOURCES.items())}.")


def qmix_table(found: Found, floors: Floors, rules: str) -> str:
    """Format the main table: a line for each kind of QMIX that was run on a map, beside the map's floors."""
    lines = []
    for name in map_names():
        ones = [(kind, found.get((rules, name, algo))) for algo, kind in QMIX_KINDS.items()]
        for kind, one in ((kind, one) for kind, one in ones if one is not None):
            blind = beside(found.get((rules, name, "open_loop")), one)
            lines.append([name, kind, *floor_cells(floors, rules, name), blind, *experiment_cells(one)])
    return table(("map", "kind", "random", "attack nearest", "open loop", *EXPERIMENT), lines, left=2)


def net_table(found: Found, rules: str) -> str:
    """Compare teams that are not paid for regenerating shields with those that are."""
    lines = []
    for name in map_names():
        one = found.get((rules, name, "net_reward"))
        paid = next((found[key] for algo in AS_PUBLISHED[::-1] if (key := (rules, name, algo)) in found), None)
        if one is not None:
            lines.append([name + sets(one), *experiment_cells(one), beside(paid, one), moved(paid)])
    return table(("map", *EXPERIMENT, "last ten, SMAC's reward", "moved, SMAC's"), lines)


def experiment_cells(one: Experiment) -> list[str]:
    """Return the cells of the columns `EXPERIMENT`."""
    shares = [percent(one.final(kind).mean()) for kind in ("greedy", "epsilon", "jitter")]
    counted = [seeds_of(one), short(one.cell.env_steps), last_ten(one), last_ten(one, jitter=True)]
    return [*counted, *shares, f"{np.median(one.distinct('greedy')):g}"]


def family_table(found: Found, floors: Floors, rules: str) -> str:
    """Format last ten evaluations and final games from moved starts of every algorithm."""
    lines = []
    for name in map_names():
        ones = [found.get((rules, name, algo)) for algo in FAMILY]
        if name not in FAMILY_MAPS and not any(ones[1:]):
            continue
        cells = [
            "" if one is None else f"{percent(one.last_ten().mean())} ({moved(one)}){sets(one)}{unlike(one, ones[0])}"
            for one in ones
        ]
        lines.append([name, *floor_cells(floors, rules, name), *cells])
    return table(("map", "random", "attack nearest", *FAMILY), lines)


def aggregate_table(found: Found) -> str:
    """Format the IQM over maps by rules and algorithm, and over the maps of the whole family."""
    lines: list[list[str]] = []
    for rules in RULES:
        shared = shared_maps(found, rules)
        for algo in sorted({algo for r, _, algo in found if r == rules}):
            mine = [e for (r, _, a), e in found.items() if (r, a) == (rules, algo)]
            lines += aggregate_line(mine, "")
            if shared and len(mine) > len(shared) and algo in FAMILY:
                lines += aggregate_line([e for e in mine if e.cell.map in shared], ", the family's")
    return table(("rules", "algorithm", "maps", "seeds", "nominal start", "moved starts"), lines, left=2)


def aggregate_line(mine: Sequence[Experiment], note: str) -> list[list[str]]:
    """Return one line of the table over maps; none if too little was run."""
    matrix, seeds, maps = score_matrix(mine)
    if not len(maps) or not len(seeds):
        return []
    jitter = score_matrix(mine, jitter=True)[0]
    cells = [mine[0].cell.rules, mine[0].cell.algo, f"{len(maps)}{note}", str(len(seeds))]
    return [[*cells, with_interval(matrix), with_interval(jitter) if np.isfinite(jitter).all() else ""]]


def shared_maps(found: Found, rules: str) -> set[str]:
    """Return the maps on which every algorithm of the family that was run at all has three seeds."""
    by_algo: dict[str, set[str]] = {}
    for (r, name, algo), one in found.items():
        if r == rules and algo in FAMILY and len(one.rows) >= 3:
            by_algo.setdefault(algo, set()).add(name)
    return set.intersection(*by_algo.values()) if len(by_algo) > 1 else set()


def speed_table(found: Found) -> str:
    """Format env steps and wall time to the levels."""
    lines = []
    for (rules, name, algo), one in ordered(found):
        if algo != "open_loop":
            training = [row["training"] for row in one.rows]
            speeds, ratios = ([t[key] for t in training] for key in ("env_steps_per_s", "replay_ratio"))
            cells = [cell for level in LEVELS for cell in level_cells(one, level)]
            lines.append([rules, name, algo, *cells, f"{np.median(speeds):,.0f}", f"{np.median(ratios):.2g}"])
    columns = [f"{kind} to {level:.0%}" for level in LEVELS for kind in ("steps", "time")]
    return table(("rules", "map", "algorithm", *columns, "env steps/s", "replay ratio"), lines, left=3)


def level_cells(one: Experiment, level: float) -> tuple[str, str]:
    """Env steps and time to a level: medians of the seeds that reached it."""
    times = [t for t in one.reached(level) if t is not None]
    if not times:
        return "never", ""
    some = "" if len(times) == len(one.rows) else f" ({len(times)} of {len(one.rows)})"
    steps, seconds = np.median(times, axis=0)
    return short(steps) + some, duration(seconds)


def comparison_table(found: Found, floors: Floors) -> str:
    """Compare ours with published figures."""
    lines = []
    for name, published in WIN_RATES.items():
        cells = [name]
        for rules, algos in (("smaclite", ("qmix", "published")), ("smac", ("published", "net_reward"))):
            ones = [found.get((rules, name, algo)) for algo in algos]
            cells += ["" if one is None else percent(one.last_ten().mean()) for one in ones]
            cells.append(floor_cells(floors, rules, name)[0])
        lines.append([*cells, *published])
    theirs = [f"{name} (StarCraft II)" for name in SOURCES]
    ours = ("ours, `smaclite`", "as published", "random there", "as published, `smac`", "paid net", "random there")
    return table(("map", *ours, *theirs), lines)


def di_engine_table(found: Found) -> str:
    """Format DI-engine's own columns, for its six maps."""
    lines = []
    for name in DI_ENGINE_MAPS:
        one = found.get(("smaclite", name, "qmix")) or found.get(("smaclite", name, "published"))
        file = MapCell(map=name, env_steps=1).sources()[0][0]
        di_engine, pymarl = (f"{float(text) / 100:g}" for text in WIN_RATES[name][:2])
        cells = [name, "", "", ""]
        if one is not None:
            picture = f"![{name}]({curve_file('smaclite', name)})"
            cells = [name, f"{one.best_single():.3g}", f"{one.last_ten().mean():.3g}", picture]
        link = f"[{Path(file).name}]({os.path.relpath(ROOT / file, RESULTS)})"
        lines.append([*cells, link, f"StarCraft II: DI-engine {di_engine}, PyMARL {pymarl}"])
    names = ("environment", "best mean reward", "last ten", "evaluation results", "config link", "comparison")
    return table(names, lines)


def ablation_table(ablations: Sequence[Experiment], found: Found) -> str:
    """Compare experiments with ``-o`` options with those without."""
    lines = []
    for one in sorted(ablations, key=lambda e: e.cell.name):
        cell = one.cell
        zoo = found.get((cell.rules, cell.map, cell.algo))
        cells = [cell.rules, cell.map, cell.algo, short(cell.env_steps), f"`{' '.join(cell.options)}`", seeds_of(one)]
        lines.append([*cells, percent(one.last_ten().mean()), beside(zoo, one)])
    names = ("rules", "map", "algorithm", "env steps", "changed", "seeds", "last ten", "without")
    return table(names, lines, left=5)


# ---- words and cells -------------------------------------------------------------------------------------------------


def last_ten(one: Experiment, jitter: bool = False) -> str:
    """Mean of an experiment's last ten evaluations, the figure of its line; empty if it played no such games."""
    mean = one.last_ten(jitter).mean()
    return f"**{percent(mean)}**" if np.isfinite(mean) else ""


def with_interval(matrix: np.ndarray) -> str:
    """IQM and its interval."""
    estimate, low, high = interquartile_mean(matrix)
    return f"{percent(estimate)} ({percent(low)}-{percent(high)})"


def floor_cells(floors: Floors, rules: str, name: str) -> list[str]:
    """Win rates of the scripted teams ``random`` and ``attack_nearest``, empty if not measured."""
    keys = [(rules, name, team) for team in ("random", "attack_nearest")]
    return [percent(floors[key]) if key in floors else "" for key in keys]


def seeds_of(one: Experiment | None) -> str:
    """Number of seeds, empty without an experiment; a dagger if their settings differ."""
    return "" if one is None else f"{len(one.rows)}{'†' * bool(one.mixed())}"


def unlike(one: Experiment, reference: Experiment | None) -> str:
    """Length and seeds of an experiment where they differ from those in the map's row."""
    steps, seeds = (reference.cell.env_steps, len(reference.rows)) if reference else (None, None)
    said = [short(one.cell.env_steps)] * (one.cell.env_steps != steps)
    said += [f"{len(one.rows)} seed{'s' * (len(one.rows) > 1)}"] * (len(one.rows) != seeds)
    return f" ({', '.join(said)})" if said else ""


def beside(one: Experiment | None, reference: Experiment | None) -> str:
    """Last ten evaluations of an experiment in another's row, see `unlike`; empty without one."""
    return "" if one is None else percent(one.last_ten().mean()) + unlike(one, reference)


def sets(one: Experiment) -> str:
    """Mark agents that see units as sets, in a table of flat ones."""
    return " ‡" * any(row["config"].get("policy.model.equivariant", False) for row in one.rows)


def moved(one: Experiment | None) -> str:
    """Final games won from moved starts, empty without an experiment."""
    return "" if one is None else percent(one.final("jitter").mean())


def ordered(found: Found) -> list[tuple[tuple[str, str, str], Experiment]]:
    """Sort experiments by rules, map and algorithm (QMIX first), as in the tables."""
    names = map_names()

    def place(key: tuple[str, str, str]) -> tuple[int, int, bool, str]:
        rules, name, algo = key
        return RULES.index(rules), names.index(name), algo != "qmix", algo

    return sorted(found.items(), key=lambda item: place(item[0]))
