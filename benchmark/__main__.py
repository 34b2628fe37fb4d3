"""The benchmark's command line."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmark import RESULTS, WORK
from benchmark.win_rate import environments, reliability, ways
from benchmark.win_rate.cells import Cell, ConfigCell, make_cells, table_cells, task_cells
from benchmark.win_rate.marl_eval import marl_eval
from benchmark.win_rate.queue import compare_rows, run_cells
from benchmark.win_rate.rows import RUNS, path_of, read_rows
from dimix.errors import ConfigError, DimixError, EnvError
from dizoo.smac.battle.maps.rules import PROFILES

#: The cells of the results page.
LISTS: dict[str, Callable[[], Iterable[Cell]]] = {
    "tables": table_cells,
    "smacv2": task_cells,
    "reliability": lambda: reliability.CELLS,
    "ways": lambda: ways.WAYS.values(),
    "environments": lambda: environments.CELLS.values(),
}


def count(text: str) -> int:
    """Parse a whole number of at least 1, such as ``2e6``."""
    number = float(text)
    if number != int(number) or number < 1:
        raise argparse.ArgumentTypeError(f"{text}: a whole number of at least 1")
    return int(number)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmark", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("run", help="train every cell that has no row yet; stop it and start it again at will")
    what = train.add_mutually_exclusive_group()
    what.add_argument("--cells", nargs="+", default=list(LISTS), choices=LISTS, help="of the results; default: all")
    what.add_argument("--maps", nargs="+", metavar="MAP", help="SMAC's and SMACv2's, by --algos and --rules")
    what.add_argument("--configs", nargs="+", metavar="FILE", help="any configs of the zoo")
    train.add_argument("--only", nargs="+", metavar="TEXT", help="cells whose name holds one of these")
    train.add_argument("--algos", nargs="+", default=["qmix"], metavar="ALGO", help="default: qmix")
    train.add_argument("--seeds", nargs="+", type=int, metavar="SEED", help="default: 0 1 2; of --cells: theirs")
    train.add_argument("--rules", nargs="+", default=[None], choices=PROFILES, help="default: each map's own")
    train.add_argument("--env-steps", type=count, metavar="STEPS", help="default: what each map takes (cells.py)")
    train.add_argument("--until-won", action="store_true", help="stop as the config's env.stop_value says")
    train.add_argument("-o", "--option", action="append", default=[], metavar="KEY=VALUE", help="for every cell")
    train.add_argument("--jobs", type=count, metavar="N", help="runs at a time; default: one per core")
    train.add_argument("--ray", nargs="?", const="auto", metavar="ADDRESS", help="train on a Ray cluster")
    train.add_argument("--final-games", type=count, default=128, metavar="N", help="of each kind; default: 128")
    train.add_argument("--work", type=Path, default=WORK, metavar="FOLDER", help="run folders")
    train.add_argument("--rows", type=Path, default=RUNS, metavar="FOLDER", help="default: benchmark/results/runs")
    train.add_argument("--again", action="store_true", help="also what has its row; new rows: WORK/again/rows")
    train.add_argument("--list", action="store_true", help="say what has its row and what lacks it, and train nothing")
    report = commands.add_parser("report", help="tables and curves from the rows")
    report.add_argument("--rows", type=Path, default=RUNS, metavar="FOLDER", help="default: benchmark/results/runs")
    report.add_argument("--page", type=Path, default=RESULTS / "README.md", metavar="FILE")
    report.add_argument("--curves", type=Path, default=WORK / "curves", metavar="FOLDER", help="PNG and SVG")
    other = commands.add_parser("marl-eval", help="the rows as JSON for the package marl-eval")
    other.add_argument("--rows", type=Path, default=RUNS, metavar="FOLDER", help="default: benchmark/results/runs")
    other.add_argument("-o", "--out", type=Path, required=True, metavar="FILE")
    return parser.parse_args(argv)


def cells_of(args: argparse.Namespace) -> list[Cell]:
    """Return the cells named on the command line.

    Raises:
        ConfigError: no such map or algorithm, or options for cells that have their own.
    """
    same, seeds = dict(options=tuple(args.option), until_won=args.until_won), args.seeds or [0, 1, 2]
    cells: Iterable[Cell]
    if args.maps:
        cells = make_cells(args.maps, args.algos, seeds, args.rules, args.env_steps, **same)
    elif args.configs:
        files = itertools.product(seeds, args.configs)
        cells = [ConfigCell(config=file, seed=seed, env_steps=args.env_steps, **same) for seed, file in files]
    elif args.option or args.until_won or args.env_steps:
        raise ConfigError("-o, --until-won and --env-steps are for cells of your own. Name --maps or --configs.")
    else:
        listed = dict.fromkeys(cell for name in args.cells for cell in LISTS[name]())  # some lists share cells
        cells = [cell for cell in listed if not args.seeds or cell.seed in args.seeds]
    return [cell for cell in cells if not args.only or any(text in cell.name for text in args.only)]


def checked(cells: Sequence[Cell], lists: bool) -> list[Cell]:
    """Compile the first cell of each experiment; drops listed cells whose packages are missing.

    Raises:
        DimixError: a cell that was named explicitly has an invalid config.
    """
    missing = set()
    for cell in {cell.group: cell for cell in reversed(cells)}.values():
        try:
            cell.compile()
        except (ConfigError, EnvError) as error:
            if not lists:
                raise
            missing.add(cell.group)
            print(f"{cell.group} is left out: {error}")
    return [cell for cell in cells if cell.group not in missing]


def list_cells(cells: Sequence[Cell], rows: Path) -> None:
    """Print a line per experiment: seeds that have a row, and seeds that do not."""
    seeds: dict[str, tuple[list[str], list[str]]] = {}
    for cell in cells:
        done, missing = seeds.setdefault(cell.group, ([], []))
        (done if path_of(cell, rows).exists() else missing).append(str(cell.seed))
    for group, (done, missing) in seeds.items():
        print(f"{group}: seeds {' '.join(done) or '-'} done, {' '.join(missing) or '-'} missing")


def run(args: argparse.Namespace) -> int:
    """Run the command ``run``; returns its exit status."""
    cells = cells_of(args)
    work, rows, anew = args.work, args.rows, "--again trains them anew, beside these"
    if args.again:
        work, rows = work / "again", work / "again" / "rows"
        anew = f"without {rows}/ they are trained once more"
    if args.list:
        list_cells(cells, rows)
        return 0
    cells = checked(cells, lists=not (args.maps or args.configs))
    same = dict(jobs=args.jobs, ray=args.ray, final_games=args.final_games)
    status = run_cells(cells, work=work, rows=rows, anew=anew, **same)
    if args.again:
        print("\n".join(compare_rows(cells, args.rows, rows)))
    return status


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    args = parse_args(argv)
    try:
        if args.command == "report":
            from benchmark.win_rate.report import report  # needs packages that training does not

            report(args.rows, args.page, args.curves)
            return 0
        if args.command == "marl-eval":
            args.out.write_text(json.dumps(marl_eval(read_rows(args.rows))), "utf-8")
            return 0
        return run(args)
    except DimixError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
