"""Train several seeds of one config at once, with one process and one thread each and a shared display."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from dimix.config.compile import compile_all
from dimix.entry.checkpoints import find_checkpoint, load_weights
from dimix.entry.rooms import compile_once, make_callbacks, make_policy
from dimix.entry.run_folder import RunFolder, quote
from dimix.entry.serial_pipeline import serial_pipeline
from dimix.errors import CheckpointError, ConfigError, first_line
from dimix.machine.cores import usable_cores
from dimix.machine.plain import plain
from dimix.machine.processes import Child, Job, Watcher, run_jobs
from dimix.machine.ranks import torchrun_place
from dimix.machine.signals import say
from dimix.machine.text import aligned, duration, short


def run_seeds(
    input_cfg: str | Path | tuple[Mapping[str, Any], Mapping[str, Any]] | None,
    seeds: Sequence[int],
    *,
    jobs: int | None = None,
    exp_name: str | None = None,
    resume: str | bool | None = None,
    out: Callable[[str], None] = say,
    **options: Any,
) -> int:
    """Train several seeds, as many at a time as there are cores. A failure does not stop the others.

    Args:
        input_cfg: see `serial_pipeline`.
        seeds: each trains in ``<exp_name>/seed<seed>``.
        jobs: seeds at a time; None uses the number of cores, divided by ``run.workers``.
        exp_name: folder of all runs; None makes ``<config>_result``.
        resume: True or an empty string: resume the seeds that have a checkpoint, start the others.
        out: called with each line of output.
        options: further options of `serial_pipeline`.

    Returns:
        Exit status: 0 if all runs ended as planned, 1 if one failed, 130 if a signal stopped them.

    Raises:
        ConfigError: the config is invalid; raised before any process starts.
    """
    if input_cfg is None:
        raise ConfigError("-s: several seeds need a config. Give it with -c; --resume alone goes on with one run.")
    if resume:
        raise ConfigError(
            f"--resume {resume}: names one run, but there are {len(seeds)} seeds. Use --resume without a folder."
        )
    if torchrun_place() is not None:
        raise ConfigError(f"-s: {len(seeds)} seeds under torchrun, which shares out one training. Give one.")
    seeds, load_path = plain(seeds), options.get("load_path")
    checked = {k: v for k, v in options.items() if k != "load_path"}
    compiled = compile_all(input_cfg, seed=seeds[0], exp_name=exp_name, **checked)
    make_callbacks(compiled)  # report a missing requirement once, here
    if load_path is not None:
        load_weights(make_policy(compiled), find_checkpoint(load_path), compiled)
    base = exp_name or f"{compiled.source.stem}_result"
    jobs = min(jobs or max(usable_cores() // compiled.cfg.run.workers, 1), len(seeds))
    out(f"training seeds {', '.join(map(str, seeds))}, {jobs} at a time, in {base}/seed<seed>/")
    compile_once(compiled, out)
    resumed = resume is not None and resume is not False
    queue = []
    for seed in seeds:
        folder = f"{base}/seed{seed}"
        more = {**options, "input_cfg": input_cfg, "seed": seed, "exp_name": folder, "announce": seed == seeds[0]}
        queue.append(Job(f"seed {seed}", train_seed, {**more, "resume": _resumable(folder) if resumed else None}))
    children = run_jobs(queue, jobs, _Printer(out))
    out(_table(children))
    out(f"curves  dimix -m plot {quote(Path(base))} -o curves.png, or tensorboard --logdir {quote(Path(base))}")
    if any(c.error for c in children):
        return 1
    return 0 if len(children) == len(seeds) and not any(c.signalled for c in children) else 130


def train_seed(out: Callable[[str], None], **options: Any) -> dict[str, Any]:
    """Main function of a child process: runs `serial_pipeline` and returns its result as a dict."""
    return asdict(serial_pipeline(explain=False, out=out, **options))


class _Printer(Watcher):
    """Prints every line, prefixed with its seed."""

    def __init__(self, out: Callable[[str], None]) -> None:
        self._out = out

    def line(self, child: Child, text: str) -> None:
        self._out("\n".join(f"{child.job.name}: {line}" for line in text.splitlines()))

    def ended(self, child: Child) -> None:
        if child.error:
            self._out(f"{child.job.name}: {child.error}")


#: Columns of a finished seed: heading, its value in a result, its format.
_FIGURES: tuple[tuple[str, Callable[[Mapping[str, Any]], float | None], Callable[[float], str]], ...] = (
    ("score", lambda result: result["score"], "{:.3f}".format),
    ("jitter", lambda result: result["evaluation"].get("eval/battle_won_jitter"), "{:.2f}".format),
    ("env steps", lambda result: result["env_step"], short),
    ("time", lambda result: result["seconds"], duration),
)


def _table(children: Sequence[Child]) -> str:
    """The outcome of each seed; if two or more finished, also mean, standard deviation and range."""
    rows = [("seed", *(heading for heading, _, _ in _FIGURES), "ended by", "run folder")]
    rows += [_row(child) for child in sorted(children, key=lambda c: c.job.options["seed"])]
    results = [child.result for child in children if child.result is not None]
    if len(results) > 1:
        columns = [([x for r in results if (x := read(r)) is not None], write) for _, read, write in _FIGURES]
        rows.append(("mean ± sd", *(_mean_sd(*column) for column in columns), "", ""))
        rows.append(("range", *(_range(*column) for column in columns), "", ""))
    return aligned(rows)


def _row(child: Child) -> tuple[str, ...]:
    seed, result = str(child.job.options["seed"]), child.result
    if result is None:
        ended = "failed" if child.error is not None else "stopped"
        return seed, *("-" for _ in _FIGURES), ended, first_line(child.error)[:60]
    values = [(read(result), write) for _, read, write in _FIGURES]
    cells = ("-" if value is None else write(value) for value, write in values)
    return seed, *cells, result["reason"], result["run_folder"]


def _mean_sd(values: Sequence[float], write: Callable[[float], str]) -> str:
    return f"{write(mean(values))} ± {write(stdev(values))}" if len(values) > 1 else "-"


def _range(values: Sequence[float], write: Callable[[float], str]) -> str:
    return f"{write(min(values))} - {write(max(values))}" if values else "-"


def _resumable(folder: str) -> str | None:
    try:
        return str(RunFolder.last_of(folder))
    except CheckpointError:
        return None
