"""The ``dimix`` command."""

from __future__ import annotations

import io
import re
import shlex
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dimix import __version__
from dimix.errors import ConfigError, DimixError, first_line

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from dimix.envs.family import EnvFamily

MODES = ("serial", "tune", "eval", "watch", "check", "replay", "plot", "report", "export")
QUERIES = ("policy", "model", "mixer", "env", "callback", "map", "config", "zoo")
EXAMPLE = "dimix -m serial -c dizoo/smac/config/smac_MMM_qmix_config.py -s 0"
USAGE = {
    None: "dimix -m MODE [OPTIONS] [FILE]...",
    "serial": "dimix -m serial -c FILE [-s SEED]... [-o KEY=VALUE]... [--env-step N]",
    "tune": "dimix -m tune -c FILE --space KEY=LOW:HIGH... [--trials N] [--env-step N] [--sampler tpe|random] "
    "[--pruner median|none] [--ray [ADDRESS]]",
    "eval": "dimix -m eval --load-path CKPT [-n GAMES] [--replay-path FOLDER]",
    "watch": "dimix -m watch CKPT [-o FILE | --text]",
    "check": "dimix -m check",
    "replay": "dimix -m replay GAME.replay... (-o FILE | --text)",
    "plot": "dimix -m plot RUN_FOLDER... -o FILE",
    "report": "dimix -m report RUN_FOLDER... [-o FILE]",
    "export": "dimix -m export CKPT -o FILE",
}
#: What a mode reads besides options, and what it writes with -o; one without files takes none.
FILES = {
    "watch": "CKPT (a checkpoint, a run folder, or zoo:NAME)",
    "replay": "FILE (recorded games)",
    "plot": "FOLDER (run folders)",
    "report": "FOLDER (run folders)",
    "export": "CKPT (a checkpoint, a run folder, or zoo:NAME)",
}
WRITES = {
    "replay": "-o FILE (what to write: .html, .png, .gif or .mp4) or --text (play in the terminal)",
    "plot": "-o FILE (what to write: .png, .pdf, .svg, .html; .csv, .md or .tex for a table)",
    "export": "-o FILE (what to write: .onnx, or .npz to play with numpy alone)",
}


class Count(click.ParamType):
    """A whole number of at least 1; ``2e6`` and ``2_000_000`` are fine too."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse the number; fails on anything but a whole number of at least 1."""
        try:
            number = float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number.", param, ctx)
        if number != int(number) or number < 1:
            self.fail(f"{value!r}: use a whole number of at least 1.", param, ctx)
        return int(number)


class Workers(Count):
    """As `Count`, or ``auto``."""

    name = "integer or auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse the number; fails on other words than ``auto``."""
        return value if value == "auto" else super().convert(value, param, ctx)


class Seeds(click.ParamType):
    """Seeds: one (``3``), several (``0,1,2``), an inclusive range (``0-9``), or a mix (``0,4-6``)."""

    name = "seeds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Parse the seeds, keeping their order; fails on a range that ends before it starts."""
        seeds: list[int] = []
        for part in str(value).split(","):
            match = re.fullmatch(r"\s*([0-9]+)(?:-([0-9]+))?\s*", part)
            if match is None:
                self.fail(f"{value!r} is no list of seeds. Use whole numbers: 0, 0,1,2 or 0-9.", param, ctx)
            first, last = int(match[1]), int(match[2] or match[1])
            if last < first:
                self.fail(f"{part.strip()!r} ends below its start. Use {last}-{first}.", param, ctx)
            seeds += range(first, last + 1)
        return tuple(seeds)


def _all_seeds(ctx: click.Context, param: click.Parameter, value: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    """Join the seeds of all ``-s`` options into one list; fails if a seed is given twice."""
    seeds = [seed for given in value for seed in given]
    twice = [str(seed) for seed, count in Counter(seeds).items() if count > 1]
    if twice:
        raise click.BadParameter(f"{', '.join(twice)} named more than once. Give each seed once.", ctx, param)
    return tuple(seeds)


def _complete_config(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the zoo's configs, and files."""
    from click.shell_completion import CompletionItem

    from dimix.config.file import zoo_docs

    return [
        *(CompletionItem(n) for n in zoo_docs() if n.startswith(incomplete)),
        CompletionItem(incomplete, type="file"),
    ]


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "-m",
    "--mode",
    type=click.Choice(MODES),
    help="serial: train; tune: search settings; eval: play games with a checkpoint; watch: one, in the browser; "
    "check: test this installation; replay, plot, report: show games, curves, runs; export: a team to ONNX or numpy.",
)
@click.option(
    "-c",
    "--config",
    metavar="FILE",
    shell_complete=_complete_config,
    help="Config file; a zoo path works from anywhere.",
)
@click.option(
    "-s",
    "--seed",
    multiple=True,
    type=Seeds(),
    callback=_all_seeds,
    help="Seed; several: 0,1,2 or 0-9; repeatable.",
)
@click.option(
    "-o",
    "--override",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a config key, dotted; repeatable. With replay, plot, ...: the file to write.",
)
@click.option("--exp-name", metavar="FOLDER", help="Run folder.  [default: <config>_result/seed<seed>]")
@click.option("--env-step", type=Count(), help="Stop after this many env steps.")
@click.option("--train-iter", type=Count(), help="Stop after this many updates.")
@click.option("--load-path", metavar="CKPT", help="Start from or play with it; or a run folder.")
@click.option(
    "--resume", is_flag=False, flag_value="", metavar="[FOLDER]", help="Resume a run (the config's last one)."
)
@click.option("-n", "--games", type=Count(), default=100, show_default=True, help="Games to play with -m eval.")
@click.option("--replay-path", metavar="FOLDER", help="Record the first games of -m eval there.")
@click.option("--replay-games", type=Count(), default=8, show_default=True, help="How many, per kind of start.")
@click.option("--text", is_flag=True, help="Play -m replay or watch in the terminal.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Plot a column of metrics.csv; repeatable.")
@click.option("--title", metavar="TEXT", help="Title of the plot.")
@click.option("--band", metavar="KIND", help="Of seeds: minmax (default), ci, quartiles, none.")
@click.option("--smooth", type=Count(), help="Plot means of this many evaluations.")
@click.option("--x-axis", metavar="KIND", help="env_step, time or both (default).")
@click.option("--device", metavar="NAME", help="cpu, cuda, mps or auto.")
@click.option("--workers", type=Workers(), metavar="N", help="Processes that share one training, or auto.")
@click.option("--ray", is_flag=False, flag_value="auto", metavar="[ADDRESS]", help="Train on a Ray cluster.")
@click.option("--jobs", type=Count(), help="Seeds at a time.  [default: one per core]")
@click.option("--space", "spaces", multiple=True, hidden=True)
@click.option("--trials", type=Count(), default=50, hidden=True)
@click.option("--sampler", type=click.Choice(["tpe", "random"]), default="tpe", hidden=True)
@click.option("--pruner", type=click.Choice(["median", "none"]), default="median", hidden=True)
@click.option("-q", "--query", type=click.Choice(QUERIES), help="List the available names.")
@click.option("-v", "--verbose", is_flag=True, help="Show tracebacks of errors.")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.version_option(__version__, "--version", prog_name="dimix")
@click.pass_context
def command(ctx: click.Context, **options: Any) -> None:
    """Train and evaluate teams with QMIX and its relatives.

    \b
    dimix -m serial -c dizoo/smac/config/smac_MMM_qmix_config.py -s 0
    dimix -m eval --load-path smac_MMM_qmix_result/seed0/ckpt/best.pth.tar -n 100
    dimix -m replay GAME.replay -o game.html
    dimix -m watch zoo:3m
    """  # noqa: D301
    try:
        if options["query"]:
            click.echo("\n".join(_names(options["query"])))
            return
        _check_complete(ctx, options)
        ctx.exit(RUN[options["mode"]](options))
    except DimixError as error:
        if options["verbose"]:
            traceback.print_exc()
        click.echo(f"{type(error).__name__}: {error}", err=True)
        ctx.exit(1)


def main() -> None:
    """Entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # do not fail on a character that the terminal lacks
    command(prog_name="dimix")


def _check_complete(ctx: click.Context, options: dict[str, Any]) -> None:
    """Check that the mode has the arguments that it needs; print its usage if not.

    Raises:
        ConfigError: files for a mode that takes none, or two ways of showing games.
        click.exceptions.Exit: something is missing.
    """
    mode = options["mode"]
    if mode and mode not in FILES and options["files"]:
        raise ConfigError(f"{options['files'][0]}: -m {mode} takes no files. A config file is given with -c.")
    if mode in ("replay", "watch") and options["text"] and options["override"]:
        raise ConfigError(f"-o {options['override'][0]} --text: games are written or played. Leave one of the two out.")
    missing = _missing(options)
    if missing:
        click.echo(f"Usage: {USAGE[mode]}    (all options: dimix -h)", err=True)
        click.echo(f"Missing: {' and '.join(missing)}. For example:\n{_example(options)}", err=True)
        ctx.exit(2)


def _missing(options: dict[str, Any]) -> list[str]:
    """Required arguments that were not given."""
    missing = []
    mode = options["mode"]
    if not mode:
        missing.append(f"-m MODE ({', '.join(MODES[:-1])} or {MODES[-1]})")
    if mode == "eval" and not options["load_path"]:
        missing.append("--load-path CKPT (what to evaluate)")
    if mode in ("serial", "tune", None) and not options["config"] and not options["resume"]:
        missing.append("-c FILE (a config file)")
    if mode == "tune" and not options["spaces"]:
        missing.append("--space KEY=LOW:HIGH (what to search; log:LOW:HIGH and A,B,C work too)")
    if mode in FILES and not options["files"]:
        missing.append(FILES[mode])
    if mode in WRITES and not options["override"] and not (mode == "replay" and options["text"]):
        missing.append(WRITES[mode])
    return missing


def _example(options: dict[str, Any]) -> str:
    """An example command for the mode, using the names that were given."""
    mode, files, given = options["mode"], options["files"], options["override"]
    if mode == "eval":
        return "dimix -m eval --load-path smac_MMM_qmix_result/seed0/ckpt/best.pth.tar -n 100"
    if mode in ("watch", "report", "export"):
        default = "zoo:3m" if mode in ("watch", "export") else "smac_MMM_qmix_result"
        target = given[0] if given else "team.onnx" if mode == "export" else ""
        return f"dimix -m {mode} {shlex.join(files) or default}" + (f" -o {shlex.quote(target)}" if target else "")
    if mode == "replay":
        out = given[0] if given else f"{Path(files[0]).stem}.html" if len(files) == 1 else "games.html"
        return f"dimix -m replay {shlex.join(files) or 'games/*.replay'} -o {shlex.quote(out)}"
    if mode == "plot":
        out = given[0] if given else "curves.png"
        return f"dimix -m plot {shlex.join(files) or 'smac_MMM_qmix_result/seed0'} -o {shlex.quote(out)}"
    if mode == "tune":
        config = shlex.quote(options["config"] or "dizoo/smac/config/smac_3m_qmix_config.py")
        return f"dimix -m tune -c {config} --space policy.learn.learning_rate=log:1e-4:3e-3 --trials 50 --env-step 2e5"
    return f"dimix -m serial -c {shlex.quote(options['config'])} -s 0" if options["config"] else EXAMPLE


def _serial(options: dict[str, Any]) -> int:
    """Train; returns the exit status, 128 + the signal number after a signal, as shells do."""
    from dimix.entry import run_seeds, serial_pipeline

    seeds = options["seed"]
    same = dict(
        exp_name=options["exp_name"],
        env_step=options["env_step"],
        train_iter=options["train_iter"],
        load_path=options["load_path"],
        resume=options["resume"],
        overrides=options["override"],
        device=options["device"],
        workers=options["workers"],
    )
    if len(seeds) > 1 or (seeds and options["ray"]):
        return run_seeds(options["config"], seeds, jobs=options["jobs"], ray=options["ray"], **same)
    if options["ray"]:
        raise ConfigError("--ray: no seeds. Name them, for example -s 0-9; each is a training on some node.")
    result = serial_pipeline(options["config"], seeds[0] if seeds else None, **same)
    return 128 + signal.Signals[result.reason] if result.interrupted else 0


def _tune(options: dict[str, Any]) -> int:
    from dimix.entry.tune import tune

    seeds = options["seed"]
    if len(seeds) > 1:
        raise ConfigError(f"-s: {len(seeds)} seeds. A search trains with one; test its best settings on others.")
    same = ("trials", "sampler", "pruner", "jobs", "ray", "exp_name", "env_step", "train_iter", "device", "workers")
    return tune(
        options["config"],
        options["spaces"],
        seed=seeds[0] if seeds else None,
        overrides=options["override"],
        **{name: options[name] for name in same},
    )


def _eval(options: dict[str, Any]) -> int:
    from dimix.entry import eval_pipeline

    seeds = options["seed"]
    if len(seeds) > 1:
        raise ConfigError(f"-s: {len(seeds)} seeds. An evaluation takes one; -n sets the number of games.")
    eval_pipeline(
        options["config"],
        load_path=options["load_path"],
        n_episode=options["games"],
        seed=seeds[0] if seeds else None,
        overrides=options["override"],
        device=options["device"],
        replay_path=options["replay_path"],
        replay_games=options["replay_games"],
    )
    return 0


def _watch(options: dict[str, Any]) -> int:
    from dimix.entry import watch_pipeline

    if len(options["seed"]) > 1:
        raise ConfigError(f"-s: {len(options['seed'])} seeds. One game is watched; give one.")
    watch_pipeline(
        _file(options),
        _output(options) if options["override"] else None,
        text=options["text"],
        seed=options["seed"][0] if options["seed"] else None,
        device=options["device"],
    )
    return 0


def _export(options: dict[str, Any]) -> int:
    from dimix.entry import export_pipeline

    export_pipeline(_file(options), _output(options))
    return 0


def _report(options: dict[str, Any]) -> int:
    from dimix.report import report

    report(options["files"], _output(options) if options["override"] else "report.html", out=click.echo)
    return 0


def _check(options: dict[str, Any]) -> int:
    """Run the checks; returns 1 if one fails."""
    import torch

    from dimix.check import run_checks, table

    torch.set_num_threads(1)
    outcomes = []
    for outcome in run_checks():
        click.echo(f"{'pass' if outcome.passed else 'FAIL'}  {outcome.check.name}: {outcome.measured}")
        outcomes.append(outcome)
    click.echo("\n" + table(outcomes))
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def _replay(options: dict[str, Any]) -> int:
    from dimix.entry import replay_pipeline

    replay_pipeline(options["files"], None if options["text"] else _output(options))
    return 0


def _plot(options: dict[str, Any]) -> int:
    from dimix.plot import Look, plot

    look = Look(**{name: options[name] for name in Look.__dataclass_fields__ if options[name]})
    plot(options["files"], _output(options), look, out=click.echo)
    return 0


#: What each mode calls; returns the exit status.
RUN: dict[str, Callable[[dict[str, Any]], int]] = {
    "serial": _serial,
    "tune": _tune,
    "eval": _eval,
    "watch": _watch,
    "check": _check,
    "replay": _replay,
    "plot": _plot,
    "report": _report,
    "export": _export,
}


def _file(options: dict[str, Any]) -> str:
    """The one file named; a ConfigError if there are more."""
    if len(options["files"]) > 1:
        raise ConfigError(f"{' '.join(options['files'])}: -m {options['mode']} takes one team.")
    return options["files"][0]


def _output(options: dict[str, Any]) -> str:
    """The file given by ``-o``; a ConfigError if there is more than one."""
    if len(options["override"]) > 1:
        raise ConfigError(f"-o: {' '.join(options['override'])}. -m {options['mode']} writes one file.")
    return options["override"][0]


def _names(kind: str) -> list[str]:
    """What ``-q`` prints: one name per line with the first line of its docstring, or a map's environment."""
    from dimix.config.classes import import_known
    from dimix.config.file import zoo_docs
    from dimix.registry import CALLBACK_REGISTRY, ENV_REGISTRY, MIXER_REGISTRY, MODEL_REGISTRY, POLICY_REGISTRY

    if kind == "config":
        docs = zoo_docs()
        return [f"{name:<{max(map(len, docs))}} {doc}" for name, doc in docs.items()]
    if kind == "zoo":
        from dimix.team.files import ZOO, zoo_teams

        teams = zoo_teams()
        return [f"{ZOO}{name:<{max(map(len, teams))}} {team}" for name, team in teams.items()]
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    import_known()
    if kind == "map":
        return [f"{name:<18} {env}" for env in ENV_REGISTRY.names() for name in ENV_REGISTRY.get(env).map_names()]
    if kind == "env":
        return [line for name in ENV_REGISTRY.names() for line in _env_lines(name, ENV_REGISTRY.get(name))]
    registries = (POLICY_REGISTRY, MODEL_REGISTRY, MIXER_REGISTRY, CALLBACK_REGISTRY)
    registry = next(each for each in registries if each.kind == kind)
    return [f"{name:<18} {first_line(registry.get(name).__doc__)}" for name in registry.names()]


def _env_lines(name: str, env: type[EnvFamily]) -> list[str]:
    """An environment, followed by each package it can use: installed, or the command that installs it."""
    lines = [f"{name:<18} {first_line(env.__doc__)}"]
    for package in env.packages:
        use = f"{package.choice}: {package.module}" if package.choice else package.module
        state = "installed" if package.installed else f"not installed; {package.install}"
        lines.append(f"{name:<18} - {use}: {state}")
    return lines


if __name__ == "__main__":
    main()
