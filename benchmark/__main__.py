"""The benchmark's command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmark.win_rate.cells import make_cells
from benchmark.win_rate.queue import compare_rows, run_cells
from benchmark.win_rate.rows import RESULTS, RUNS, path_of
from dimix.errors import DimixError

HERE = Path(__file__).resolve().parent


def count(text: str) -> int:
    """A whole number of at least 1; ``2e6`` is fine too."""
    number = float(text)
    if number != int(number) or number < 1:
        raise argparse.ArgumentTypeError(f"{text}: a whole number of at least 1")
    return int(number)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmark", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("run", help="train every cell that has no row yet; stop it and start it again at will")
    train.add_argument("--maps", nargs="+", required=True, metavar="MAP")
    train.add_argument("--algos", nargs="+", default=["qmix"], metavar="ALGO", help="default: qmix")
    train.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="SEED", help="default: 0 1 2")
    train.add_argument("--rules", nargs="+", default=["smaclite"], choices=["smaclite", "smac"])
    train.add_argument("--train-jitter", nargs="+", type=float, default=[0.0], metavar="CELLS", help="default: 0")
    train.add_argument("--env-steps", type=count, metavar="STEPS", help="default: what each map takes (cells.py)")
    train.add_argument("--until-won", action="store_true", help="stop as the config's env.stop_value says")
    train.add_argument("-o", "--option", action="append", default=[], metavar="KEY=VALUE", help="for every cell")
    train.add_argument("--jobs", type=count, metavar="N", help="runs at a time; default: one per core")
    train.add_argument("--final-games", type=count, default=128, metavar="N", help="of each kind; default: 128")
    train.add_argument("--work", type=Path, default=HERE / "work", metavar="FOLDER", help="run folders")
    train.add_argument("--rows", type=Path, default=RUNS, metavar="FOLDER", help="default: benchmark/results/runs")
    train.add_argument("--again", action="store_true", help="also what has its row; new rows: WORK/again/rows")
    train.add_argument("--list", action="store_true", help="say which cells have their row, and train nothing")
    report = commands.add_parser("report", help="tables and curves from the rows")
    report.add_argument("--rows", type=Path, default=RUNS, metavar="FOLDER", help="default: benchmark/results/runs")
    report.add_argument("--readme", type=Path, default=HERE / "README.md", metavar="FILE")
    report.add_argument("--curves", type=Path, default=RESULTS / "curves", metavar="FOLDER")
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> int:
    """The command ``run``; returns its exit status."""
    cells = make_cells(
        args.maps, args.algos, args.seeds, args.rules, args.train_jitter, args.env_steps, args.option, args.until_won
    )
    work, rows, anew = args.work, args.rows, "--again trains them anew, beside these"
    if args.again:
        work, rows = work / "again", work / "again" / "rows"
        anew = f"without {rows}/ they are trained once more"
    if args.list:
        for cell in cells:
            print("done  " if path_of(cell, rows).exists() else "to do ", cell.name)
        return 0
    status = run_cells(cells, work=work, rows=rows, jobs=args.jobs, final_games=args.final_games, anew=anew)
    if args.again:
        print("\n".join(compare_rows(cells, args.rows, rows)))
    return status


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    args = parse_args(argv)
    try:
        if args.command == "report":
            from benchmark.win_rate.report import report  # needs packages that a training does not

            report(args.rows, args.readme, args.curves)
            return 0
        return run(args)
    except DimixError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
