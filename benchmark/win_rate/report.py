"""``python -m benchmark report``: tables into ``benchmark/README.md`` and curves, from the rows alone."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from benchmark.win_rate.cells import OTHER_TASKS, QMIX_ALONE, ROOT, Cell, own_env_steps
from benchmark.win_rate.curves import curve_file, draw_all
from benchmark.win_rate.published import DI_ENGINE_MAPS, SOURCES, WIN_RATES
from benchmark.win_rate.rows import RESULTS, read_rows
from benchmark.win_rate.summary import (
    Experiment,
    experiments,
    interquartile_mean,
    main_experiments,
    score_matrix,
    spread,
)
from dimix.errors import OutputError
from dimix.machine.text import duration, short
from dizoo.smac.battle.maps.scenario import load_scenario, map_names

START, END = "<!-- results: python -m benchmark report -->", "<!-- end of results -->"
RULES = ("smaclite", "smac")
JITTER = 0.5  # cells, of the trainings with moved starts
FAMILY = ("equivariant", "vdn", "ow_qmix", "cw_qmix", "qtran")
FAMILY_MAPS = (*DI_ENGINE_MAPS, "2s3z", "corridor")
FINAL_KINDS = ("greedy", "epsilon 0.05", "jittered", "distinct")
LEVELS = (0.5, 0.8, 0.95)

CAVEAT = """\
**Read this first.** These are the engine's rules (`smaclite`, or `smac`, as near to StarCraft II's as public facts
allow), not StarCraft II. Greedy games from the nominal start are nearly one game played many times (*distinct*:
different games among the 128 final ones), so 100 there can be one battle known by heart; the jittered column (starts
moved by up to 0.5 cells) and the open-loop team (acts by the clock, sees nothing) say how much. Where a random team
wins, a map proves nothing. All win rates are in percent. *Last ten*: mean of the last ten evaluations of 32 games, then
mean over seeds. *Final*: 128 games of the policy at the end of training, never of the best checkpoint. *Best single*:
the best evaluation of any seed, only for comparison with tables that report it."""
GAMES_NOTE = """\
The final 128 games of each kind: greedy and with 5 % random actions from the nominal start, greedy from starts moved by
up to 0.5 cells; *distinct*: different games among the greedy ones (median over seeds)."""
MOVED_NOTE = """\
Every battle of these trainings began from starts moved by up to 0.5 cells. *Equivariant*: agents that see units as sets
(`policy.model.equivariant=True`; on {maps} the zoo's QMIX is that already). The last column is the map's QMIX team of
the table above: where every battle of a training begins alike, one battle is what is learned."""
NET_NOTE = """\
SMAC pays the absolute change of the enemies' hit points and shields, so that shields that grow back pay like damage.
These teams were paid the net change (`--algos net_reward`: `env.reward_only_positive=False`,
`env.reward_negative_scale=0`), all else as above. Where no enemy has a shield or a Medivac, and none is a Zerg, both
are the same. The last two columns are the map's QMIX team of the tables above."""
FAMILY_NOTE = "Last ten evaluations, nominal start; in brackets the final jittered games; means over seeds."
AGGREGATE_NOTE = """\
Interquartile mean of the last ten evaluations over maps and seeds, with its 95 % interval: stratified bootstrap over
the seeds of each map (rliable). Maps with fewer than three seeds are left out."""
SPEED_NOTE = """\
Env steps and wall time (evaluations included) until five evaluations in a row average the level: median over the seeds
that got there, with their number if not all did. Trained from the nominal start, one thread a run."""
COMPARISON_NOTE = """\
Theirs were measured **on StarCraft II**, ours on the engine's two rule profiles: the columns do not measure the same
thing. Ours: last ten evaluations, QMIX, nominal start; *paid net*: of the teams paid by the net change under `smac`."""
DI_ENGINE_NOTE = """\
*Best mean reward* is DI-engine's name for the win rate of the best single evaluation; it flatters everybody (at a true
win rate of 0.5 the best of 500 evaluations of 32 games is about 0.76). Rules `smaclite`."""

Found = Mapping[tuple[str, str, str, float], Experiment]
#: Win rates of scripted teams by rules, map and team.
Floors = Mapping[tuple[str, str, str], float]


def report(rows: Path, readme: Path, curves: Path, floors: Path = RESULTS / "floors.json") -> None:
    """Write the tables between the markers of a page, and the curves.

    Args:
        rows: folder of rows.
        readme: the page.
        curves: folder of pictures; made if it is not there.
        floors: win rates of scripted teams, as ``python -m dizoo.smac.battle.teams.floors --json`` writes them.

    Raises:
        OutputError: the page has no markers, a file is damaged or cannot be written, or matplotlib is missing.
    """
    page = readme.read_text("utf-8") if readme.exists() else ""
    if page.count(START) != 1 or page.count(END) != 1:
        raise OutputError(f"{readme}: not exactly one line '{START}' and one '{END}' after it.")
    everything = experiments(read_rows(rows))
    found = main_experiments(everything)
    draw_all(found, curves)
    before, rest = page.split(START)
    after = rest.split(END)[1]
    text = "\n".join(sections(found, everything, read_floors(floors), curves, readme.parent))
    try:
        readme.write_text(f"{before}{START}\n\n{text}\n\n{END}{after}", "utf-8")
    except OSError as e:
        raise OutputError(f"{readme}: cannot be written ({e.strerror}).") from e


def read_floors(path: Path) -> dict[tuple[str, str, str], float]:
    """Win rates of scripted teams by rules, map and team."""
    return {(f["rules"], f["map"], f["team"]): f["won"] / f["episodes"] for f in json.loads(path.read_text("utf-8"))}


def sections(found: Found, everything: Sequence[Experiment], floors: Floors, curves: Path, base: Path) -> Iterable[str]:
    """The report's Markdown, line by line."""
    yield from conditions(everything)
    for rules in RULES:
        yield from ["", f"### QMIX, rules `{rules}`", ""]
        yield from qmix_table(found, floors, rules)
        if any(key[0] == rules for key in found):
            picture = (curves / curve_file(rules)).relative_to(base)
            yield from ["", f"![Win rates under the rules {rules}]({picture})", ""]
            yield (
                "*Greedy games from the nominal start, means of five evaluations: median over seeds, band from 25 to "
                f"75 %. [SVG]({picture.with_suffix('.svg')})*"
            )
            yield from ["", f"### QMIX in other games, rules `{rules}`", ""]
            yield from games_table(found, rules)
        if any((key[0], key[2]) == (rules, "net_reward") for key in found):
            yield from ["", f"### Paid by the net change, rules `{rules}`", ""]
            yield from net_table(found, rules)
        if any((key[0], key[3]) == (rules, JITTER) for key in found):
            yield from ["", f"### Trained on moved starts, rules `{rules}`", ""]
            yield from moved_table(found, rules)
        if any(key[0] == rules and key[2] not in QMIX_ALONE and not key[3] for key in found):
            yield from ["", f"### The family, rules `{rules}`", ""]
            yield from family_table(found, floors, rules)
    yield from ["", "### Over all maps", ""]
    yield from aggregate_table(found)
    yield from ["", "### How fast", ""]
    yield from speed_table(found)
    yield from ["", "### Beside what others published", ""]
    yield from comparison_table(found, floors)
    yield from ["", "### In the layout of DI-engine's table", ""]
    yield from di_engine_table(found, curves, base)
    ablations = [e for e in everything if e.cell.options]
    if ablations:
        yield from ["", "### Trainings with other settings", ""]
        yield from ablation_table(ablations, found)
    yield from ["", "### Not yet run", ""]
    yield from missing_commands(found)


# ---- the parts -------------------------------------------------------------------------------------------------------


def conditions(everything: Sequence[Experiment]) -> Iterable[str]:
    """What was run on what."""
    rows = [row for e in everything for row in e.rows]
    if not rows:
        yield "No runs yet."
        return
    machines = Counter(f"{r['machine']['cpu']}, {r['machine']['cores']} cores" for r in rows)
    code = sorted({c or "unknown" for r in rows for c in r["code"]})
    hours = sum(r["training"]["seconds"] for r in rows) / 3600
    cpu = sum(r["training"]["cpu_seconds"] for r in rows) / 3600
    runs_on = "; ".join(f"{name} ({count} runs)" for name, count in machines.most_common())
    yield from paragraph(
        f"{len(rows)} trainings, {hours:.1f} hours ({cpu:.1f} of processor time, one thread each), on {runs_on}. "
        f"Code: {', '.join(code[:8])}{' and others' if len(code) > 8 else ''} (`+`: changed since that revision); "
        f"torch {', '.join(sorted({r['versions']['torch'] for r in rows}))}. "
        "Every figure comes from `benchmark/results/runs/`."
    )
    yield from ["", *CAVEAT.splitlines()]
    mixed = {f"{e.cell.group} ({', '.join(e.mixed()[:3])})" for e in everything if e.mixed()}
    if mixed:
        yield from ["", *paragraph(f"† Seeds trained with different settings: {'; '.join(sorted(mixed))}.")]


def qmix_table(found: Found, floors: Floors, rules: str) -> Iterable[str]:
    """The main table: all maps with floors and the literature's measure, greedy games from the nominal start."""
    yield from header(
        ("map", "seeds", "env steps", "random", "attack nearest", "open loop")
        + ("**last ten**", "median (25-75 %)", "best single"),
        left=1,
    )
    for name in map_names():
        one = found.get((rules, name, "qmix", 0.0))
        blind = found.get((rules, name, "open_loop", 0.0))
        cells = [name, seeds_of(one), "" if one is None else short(one.cell.env_steps)]
        cells += [floor(floors, rules, name, team) for team in ("random", "attack_nearest")]
        cells.append(beside(blind, one))
        if one is None:
            cells += ["", "", ""]
        else:
            median, low, high = spread(one.last_ten())
            cells += [f"**{percent(one.last_ten().mean())}**", f"{percent(median)} ({percent(low)}-{percent(high)})"]
            cells.append(percent(one.best_single()))
        yield table_line(cells)


def games_table(found: Found, rules: str) -> Iterable[str]:
    """Three kinds of games for teams trained from the nominal start."""
    yield from GAMES_NOTE.splitlines()
    yield ""
    yield from header(("map", *FINAL_KINDS), left=1)
    for name in map_names():
        one = found.get((rules, name, "qmix", 0.0))
        if one is not None:
            yield table_line([name, *final_cells(one)])


def net_table(found: Found, rules: str) -> Iterable[str]:
    """Teams that are not paid for shields that grow back, beside those that are."""
    yield from NET_NOTE.splitlines()
    yield ""
    yield from header(
        ("map", "seeds", "env steps", "**last ten**", *FINAL_KINDS, "last ten, SMAC's reward", "jittered, SMAC's"),
        left=1,
    )
    for name in map_names():
        one, paid = (found.get((rules, name, algo, 0.0)) for algo in ("net_reward", "qmix"))
        if one is None:
            continue
        cells = [name, seeds_of(one), short(one.cell.env_steps), f"**{percent(one.last_ten().mean())}**"]
        yield table_line([*cells, *final_cells(one), beside(paid, one), jittered(paid)])


def moved_table(found: Found, rules: str) -> Iterable[str]:
    """The same for teams trained with jitter: a line for each algorithm that was run."""
    yield from paragraph(MOVED_NOTE.format(maps=", ".join(name for name in map_names() if not is_flat(name))))
    yield ""
    names = (
        "map",
        "algorithm",
        "seeds",
        "env steps",
        "**last ten, jittered**",
        *FINAL_KINDS,
        "jittered, nominal training",
    )
    yield from header(names, left=2)
    for (r, name, algo, jitter), one in ordered(found):
        if (r, jitter) != (rules, JITTER):
            continue
        known = jittered(found.get((rules, name, "qmix", 0.0)))
        last = f"**{percent(one.last_ten(jitter=True).mean())}**"
        yield table_line([name, algo, seeds_of(one), short(one.cell.env_steps), last, *final_cells(one), known])


@cache
def is_flat(name: str) -> bool:
    """Whether the zoo's QMIX agents of a map read rows as they stand, so that equivariant ones are another cell."""
    main, _ = Cell(name, "qmix", RULES[0], JITTER, own_env_steps(name, RULES[0], JITTER), 0).config()[1]
    return not main.get("policy", {}).get("model", {}).get("equivariant", False)


def final_cells(one: Experiment) -> list[str]:
    """Win rates of the final games: greedy, epsilon, jittered; and how many of the greedy ones differ."""
    shares = [percent(one.final(kind).mean()) for kind in ("greedy", "epsilon", "jitter")]
    return [*shares, f"{np.median(one.distinct('greedy')):g}"]


def family_table(found: Found, floors: Floors, rules: str) -> Iterable[str]:
    """Last ten evaluations, and final jittered games, of every algorithm."""
    algos = ["qmix", *FAMILY, *sorted({k[2] for k in found if k[0] == rules} - {*QMIX_ALONE, *FAMILY})]
    trained = {key[1] for key in found if key[0] == rules and key[2] not in QMIX_ALONE}
    names = [name for name in map_names() if name in {*FAMILY_MAPS, *trained}]
    yield FAMILY_NOTE
    yield ""
    yield from header(("map", "random", "attack nearest", *algos), left=1)
    for name in names:
        cells = [name, *(floor(floors, rules, name, team) for team in ("random", "attack_nearest"))]
        for algo in algos:
            one = found.get((rules, name, algo, 0.0))
            if one is None:
                cells.append("")
                continue
            won, moved = (percent(share.mean()) for share in (one.last_ten(), one.final("jitter")))
            cells.append(f"{won} ({moved}){unlike(one, found.get((rules, name, 'qmix', 0.0)))}")
        yield table_line(cells)


def aggregate_table(found: Found) -> Iterable[str]:
    """IQM over maps by rules, algorithm and training jitter; and over the maps that all algorithms share."""
    yield from AGGREGATE_NOTE.splitlines()
    yield ""
    yield from header(("rules", "algorithm", "trained", "maps", "seeds", "nominal start", "jittered starts"), left=3)
    for rules in RULES:
        combinations = sorted({(algo, jitter) for r, _, algo, jitter in found if r == rules})
        shared = shared_maps(found, rules)
        for algo, jitter in combinations:
            mine = [e for (r, _, a, j), e in found.items() if (r, a, j) == (rules, algo, jitter)]
            yield from aggregate_line(mine, "")
            if shared and len(mine) > len(shared) and jitter == 0:
                yield from aggregate_line([e for e in mine if e.cell.map in shared], ", those of all algorithms")


def aggregate_line(mine: Sequence[Experiment], note: str) -> Iterable[str]:
    """One line of the table over maps; none when too little was run."""
    matrix, seeds, maps = score_matrix(mine)
    if not len(maps) or not len(seeds):
        return
    cell = mine[0].cell
    moved = score_matrix(mine, jitter=True)[0]
    trained = f"starts moved by {cell.train_jitter:g}" if cell.train_jitter else "nominal start"
    cells = [cell.rules, cell.algo, trained, f"{len(maps)}{note}", str(len(seeds))]
    yield table_line([*cells, with_interval(matrix), with_interval(moved) if np.isfinite(moved).all() else ""])


def shared_maps(found: Found, rules: str) -> set[str]:
    """Maps on which every algorithm of the family that was run at all has three seeds."""
    by_algo: dict[str, set[str]] = {}
    for (r, name, algo, jitter), one in found.items():
        if r == rules and jitter == 0 and algo not in OTHER_TASKS and len(one.rows) >= 3:
            by_algo.setdefault(algo, set()).add(name)
    return set.intersection(*by_algo.values()) if len(by_algo) > 1 else set()


def speed_table(found: Found) -> Iterable[str]:
    """Env steps and wall time to the levels."""
    levels = [f"{level:.0%}" for level in LEVELS]
    yield from SPEED_NOTE.splitlines()
    yield ""
    columns = [f"{kind} to {level}" for level in levels for kind in ("steps", "time")]
    yield from header(("rules", "map", "algorithm", *columns, "env steps/s", "replay ratio"), left=3)
    for (rules, name, algo, jitter), one in ordered(found):
        if jitter or algo == "open_loop":
            continue
        cells = [rules, name, algo]
        for level in LEVELS:
            times = [t for t in one.reached(level) if t is not None]
            if not times:
                cells += ["never", ""]
                continue
            some = "" if len(times) == len(one.rows) else f" ({len(times)} of {len(one.rows)})"
            steps, seconds = np.median(times, axis=0)
            cells += [short(steps) + some, duration(seconds)]
        training = [row["training"] for row in one.rows]
        cells.append(f"{np.median([t['env_steps_per_s'] for t in training]):,.0f}")
        yield table_line([*cells, f"{np.median([t['replay_ratio'] for t in training]):.2g}"])


def comparison_table(found: Found, floors: Floors) -> Iterable[str]:
    """Ours beside published figures."""
    sources = "; ".join(f"{name}: {what}" for name, what in SOURCES.items())
    yield from paragraph(f"{COMPARISON_NOTE} {sources}.")
    yield ""
    theirs = [f"{name} (StarCraft II)" for name in SOURCES]
    ours = ("ours, `smaclite`", "random there", "ours, `smac`", "paid net", "random there")
    yield from header(("map", *ours, *theirs), left=1)
    for name, published in WIN_RATES.items():
        cells = [name]
        for rules, algos in (("smaclite", ("qmix",)), ("smac", ("qmix", "net_reward"))):
            ones = [found.get((rules, name, algo, 0.0)) for algo in algos]
            cells += ["" if one is None else percent(one.last_ten().mean()) for one in ones]
            cells.append(floor(floors, rules, name, "random"))
        yield table_line([*cells, *published])


def di_engine_table(found: Found, curves: Path, base: Path) -> Iterable[str]:
    """DI-engine's own columns, six maps."""
    yield from DI_ENGINE_NOTE.splitlines()
    yield ""
    yield from header(
        ("environment", "best mean reward", "last ten", "evaluation results", "config link", "comparison"), left=1
    )
    up = "../" * len(base.resolve().relative_to(ROOT).parts) if base.resolve().is_relative_to(ROOT) else f"{ROOT}/"
    for name in DI_ENGINE_MAPS:
        one = found.get(("smaclite", name, "qmix", 0.0))
        file = Cell(name, "qmix", "smaclite", 0.0, 1, 0).config()[0][0]
        di_engine, pymarl = (f"{float(text) / 100:g}" for text in WIN_RATES[name][:2])
        cells = [name, "", "", ""]
        if one is not None:
            picture = (curves / curve_file("smaclite", name)).relative_to(base)
            cells = [name, f"{one.best_single():.3g}", f"{one.last_ten().mean():.3g}", f"![{name}]({picture})"]
        link = f"[{Path(file).name}]({up}{file})"
        yield table_line([*cells, link, f"StarCraft II: DI-engine {di_engine}, PyMARL {pymarl}"])


def ablation_table(ablations: Sequence[Experiment], found: Found) -> Iterable[str]:
    """Experiments with ``-o`` options, beside the zoo's setting."""
    yield from header(("rules", "map", "algorithm", "trained", "changed", "seeds", "last ten", "zoo's setting"), left=5)
    for one in sorted(ablations, key=lambda e: e.cell.name):
        cell = one.cell
        zoo = found.get((cell.rules, cell.map, cell.algo, cell.train_jitter))
        trained = f"{short(cell.env_steps)}, jitter {cell.train_jitter:g}"
        cells = [cell.rules, cell.map, cell.algo, trained, f"`{' '.join(cell.options)}`", seeds_of(one)]
        yield table_line([*cells, percent(one.last_ten().mean()), beside(zoo, one)])


def missing_commands(found: Found) -> Iterable[str]:
    """The commands that fill the empty cells; algorithms that lack the same share one."""
    flat = tuple(name for name in map_names() if is_flat(name))
    wanted = {"qmix": tuple(map_names()), "open_loop": tuple(map_names())}
    wanted |= {algo: tuple(n for n in FAMILY_MAPS if algo != "equivariant" or n in flat) for algo in FAMILY}
    moved = {"qmix": tuple(map_names()), "equivariant": flat}
    paid = {"net_reward": tuple(name for name in map_names() if load_scenario(name, "smac").enemy_recovers)}
    commands: dict[str, list[str]] = {}  # what comes behind the algorithms: these
    for rules in RULES:
        for jitter, plan in ((0.0, wanted | paid if rules == "smac" else wanted), (JITTER, moved)):
            for algo, maps in plan.items():
                for rest in _lacking(found, rules, algo, jitter, maps):
                    commands.setdefault(f"--rules {rules}{rest}", []).append(algo)
    if not commands:
        yield "Nothing: every cell of the tables above has its three seeds."
        return
    yield from ["Each command fills empty cells; then `python -m benchmark report`.", "", "```"]
    for rest, algos in commands.items():
        yield f"python -m benchmark run --algos {' '.join(algos)} {rest}"
    yield "```"


def _lacking(found: Found, rules: str, algo: str, jitter: float, maps: Sequence[str]) -> Iterable[str]:
    """Options for the seeds that an algorithm has not been trained with: a set for all maps that lack the same ones."""
    lack: dict[tuple[tuple[int, ...], int | None], list[str]] = {}
    for name in maps:
        one = found.get((rules, name, algo, jitter))
        seeds = tuple(s for s in (0, 1, 2) if one is None or s not in one.seeds)
        other = one and one.cell.env_steps != own_env_steps(name, rules, jitter)
        if seeds:
            lack.setdefault((seeds, one.cell.env_steps if one and other else None), []).append(name)
    for (seeds, steps), names in lack.items():
        length = f" --env-steps {steps}" if steps else ""
        moved = f" --train-jitter {jitter:g}" if jitter else ""
        yield f"{moved} --seeds {' '.join(map(str, seeds))}{length} --maps {' '.join(names)}"


# ---- words and cells -------------------------------------------------------------------------------------------------


def paragraph(text: str) -> list[str]:
    """Text in lines of at most 120 characters."""
    return textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False)


def header(names: Sequence[str], left: int) -> list[str]:
    """Head of a Markdown table, the first columns aligned left."""
    return [table_line(names), "|" + " --- |" * left + " ---: |" * (len(names) - left)]


def table_line(cells: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def percent(share: float) -> str:
    """A share in percent; one decimal where it is needed, so that 99.7 does not become 100."""
    return f"{100 * share:.1f}".removesuffix(".0")


def with_interval(matrix: np.ndarray) -> str:
    """IQM and its interval."""
    estimate, low, high = interquartile_mean(matrix)
    return f"{percent(estimate)} ({percent(low)}-{percent(high)})"


def floor(floors: Floors, rules: str, name: str, team: str) -> str:
    """Win rate of a scripted team, empty where it was not measured."""
    return percent(floors[rules, name, team]) if (rules, name, team) in floors else ""


def seeds_of(one: Experiment | None) -> str:
    """Number of seeds, empty without an experiment; a dagger where their settings differ."""
    return "" if one is None else f"{len(one.rows)}{'†' * bool(one.mixed())}"


def unlike(one: Experiment, reference: Experiment | None) -> str:
    """Length and seeds of an experiment where they differ from those that stand in the map's row."""
    steps, seeds = (reference.cell.env_steps, len(reference.rows)) if reference else (None, None)
    said = [short(one.cell.env_steps)] * (one.cell.env_steps != steps)
    said += [f"{len(one.rows)} seed{'s' * (len(one.rows) > 1)}"] * (len(one.rows) != seeds)
    return f" ({', '.join(said)})" if said else ""


def beside(one: Experiment | None, reference: Experiment | None) -> str:
    """Last ten evaluations of an experiment in another's row, see `unlike`; empty without one."""
    return "" if one is None else percent(one.last_ten().mean()) + unlike(one, reference)


def jittered(one: Experiment | None) -> str:
    """Final games won from moved starts, empty without an experiment."""
    return "" if one is None else percent(one.final("jitter").mean())


def ordered(found: Found) -> list[tuple[tuple[str, str, str, float], Experiment]]:
    """Experiments by rules, map, algorithm (QMIX first), jitter, in the order of the tables."""
    names = map_names()

    def place(key: tuple[str, str, str, float]) -> tuple[int, int, bool, str, float]:
        rules, name, algo, jitter = key
        return RULES.index(rules), names.index(name), algo != "qmix", algo, jitter

    return sorted(found.items(), key=lambda item: place(item[0]))
