"""The ``dimix`` command."""

from __future__ import annotations

import io
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import click

from dimix import __version__
from dimix.errors import ConfigError, DimixError

MODES = ("serial", "eval", "check", "replay", "plot")
QUERIES = ("policy", "model", "env", "callback", "map")
EXAMPLE = "dimix -m serial -c dizoo/smac/config/smac_MMM_qmix_config.py -s 0"


class Count(click.ParamType):
    """A whole number of at least 1; ``2e6`` and ``2_000_000`` are fine too."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number.

        Raises:
            click.BadParameter: not a whole number, or less than 1.
        """
        try:
            number = float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number.", param, ctx)
        if number != int(number) or number < 1:
            self.fail(f"{value!r}: use a whole number of at least 1.", param, ctx)
        return int(number)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "-m",
    "--mode",
    type=click.Choice(MODES),
    help="serial: train; eval: play games with a checkpoint; check: prove this installation right; replay: show "
    "recorded games; plot: draw runs' curves.",
)
@click.option("-c", "--config", metavar="FILE", help="Config file; a zoo path (dizoo/...) works from any folder.")
@click.option(
    "-s", "--seed", multiple=True, type=click.IntRange(min=0), help="Seed; repeat it to train several at once."
)
@click.option(
    "-o",
    "--override",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set one config key, dotted; repeatable. With replay and plot: the file to write.",
)
@click.option("--exp-name", metavar="FOLDER", help="Run folder.  [default: <config>_result/seed<seed>]")
@click.option("--env-step", type=Count(), help="Stop after this many env steps.")
@click.option("--train-iter", type=Count(), help="Stop after this many updates.")
@click.option("--load-path", metavar="CKPT", help="Start from (serial) or play with (eval) it, or a run folder's best.")
@click.option(
    "--resume", is_flag=False, flag_value="", metavar="[FOLDER]", help="Go on with a run (the config's last one)."
)
@click.option("-n", "--games", type=Count(), default=100, show_default=True, help="Games to play with -m eval.")
@click.option("--replay-path", metavar="FOLDER", help="Record the first games of -m eval there.")
@click.option("--replay-games", type=Count(), default=8, show_default=True, help="How many, per kind of start.")
@click.option("--text", is_flag=True, help="Play -m replay in the terminal.")
@click.option("--device", metavar="NAME", help="cpu, cuda, mps or auto.")
@click.option("--jobs", type=Count(), help="Seeds trained at the same time.  [default: one per core]")
@click.option("-q", "--query", type=click.Choice(QUERIES), help="List what there is.")
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
    dimix -m plot RUN_FOLDER... -o curves.png
    """  # noqa: D301
    try:
        if options["query"]:
            click.echo("\n".join(_names(options["query"])))
            return
        _check_complete(ctx, options)
        run = {"serial": _serial, "eval": _eval, "check": _check, "replay": _replay, "plot": _plot}[options["mode"]]
        ctx.exit(run(options))
    except DimixError as error:
        if options["verbose"]:
            traceback.print_exc()
        click.echo(f"{type(error).__name__}: {error}", err=True)
        ctx.exit(1)


def main() -> None:
    """Entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a character that the terminal lacks is no reason to end
    command(prog_name="dimix")


def _check_complete(ctx: click.Context, options: dict[str, Any]) -> None:
    """Show the help and say what is missing.

    Raises:
        ConfigError: files for a mode that takes none.
        click.exceptions.Exit: something is.
    """
    missing = []
    mode = options["mode"]
    if not mode:
        missing.append(f"-m MODE ({', '.join(MODES[:-1])} or {MODES[-1]})")
    if mode == "eval" and not options["load_path"]:
        missing.append("--load-path CKPT (what to evaluate)")
    if mode in ("serial", None) and not options["config"] and not options["resume"]:
        missing.append("-c FILE (a config file)")
    if mode in ("replay", "plot") and not options["files"]:
        missing.append("FILE (recorded games)" if mode == "replay" else "FOLDER (run folders)")
    if mode == "plot" and not options["override"] or mode == "replay" and not (options["override"] or options["text"]):
        missing.append("-o FILE (what to write)" + (" or --text" if mode == "replay" else ""))
    if mode in ("serial", "eval", "check") and options["files"]:
        raise ConfigError(f"{options['files'][0]}: -m {mode} takes no files. A config file is given with -c.")
    if missing:
        click.echo(ctx.get_help(), err=True)
        click.echo(f"\nMissing: {' and '.join(missing)}. For example: {EXAMPLE}", err=True)
        ctx.exit(2)


def _serial(options: dict[str, Any]) -> int:
    """Train; returns the exit status, 128 + the signal's number after a signal, as shells do."""
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
    )
    if len(seeds) != len(set(seeds)):
        raise ConfigError(f"-s: {' '.join(map(str, seeds))} names a seed twice. Give each seed once.")
    if len(seeds) > 1:
        return run_seeds(options["config"], seeds, jobs=options["jobs"], **same)
    result = serial_pipeline(options["config"], seeds[0] if seeds else None, **same)
    return 128 + signal.Signals[result.reason] if result.interrupted else 0


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


def _check(options: dict[str, Any]) -> int:
    """Run the checks; returns 1 when one fails."""
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
    from dimix.plot import plot

    out = _output(options)
    plot(options["files"], out)
    click.echo(f"{out}: curves of {len(options['files'])} run{'s' if len(options['files']) > 1 else ''}")
    return 0


def _output(options: dict[str, Any]) -> str:
    """The file that ``-o`` names.

    Raises:
        ConfigError: more than one.
    """
    if len(options["override"]) > 1:
        raise ConfigError(f"-o: {' '.join(options['override'])}. -m {options['mode']} writes one file.")
    return options["override"][0]


def _names(kind: str) -> list[str]:
    """What ``-q`` prints, one name a line with the first sentence of its class or map."""
    from dimix.config import import_known
    from dimix.registry import CALLBACK_REGISTRY, ENV_REGISTRY, MODEL_REGISTRY, POLICY_REGISTRY

    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    import_known()
    if kind == "map":
        return [
            f"{name:<18} {env}"
            for env in ENV_REGISTRY.names()
            for name in getattr(ENV_REGISTRY.get(env), "map_names", list)()
        ]
    if kind == "env":
        return [line for name in ENV_REGISTRY.names() for line in _env_lines(name, ENV_REGISTRY.get(name))]
    registry = {"policy": POLICY_REGISTRY, "model": MODEL_REGISTRY, "callback": CALLBACK_REGISTRY}[kind]
    return [f"{name:<18} {(registry.get(name).__doc__ or '').strip().splitlines()[0]}" for name in registry.names()]


def _env_lines(name: str, env: type) -> list[str]:
    """An environment, and below it each package that it can be played with: there, or what installs it."""
    lines = [f"{name:<18} {(env.__doc__ or '').strip().splitlines()[0]}"]
    for package in getattr(env, "packages", ()):
        use = f"{package.choice}: {package.module}" if package.choice else package.module
        state = "installed" if package.installed else f"not installed; {package.install}"
        lines.append(f"{name:<18} - {use}: {state}")
    return lines


if __name__ == "__main__":
    main()
