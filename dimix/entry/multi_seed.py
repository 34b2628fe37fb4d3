"""Train several seeds of one config at once, with one process and one thread each and a shared display."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

from dimix.config.compile import CompiledConfig, compile_all
from dimix.config.file import write_config
from dimix.config.inputs import keep_inputs
from dimix.entry.checkpoints import find_checkpoint, load_weights
from dimix.entry.rooms import compile_once, make_callbacks, make_policy
from dimix.entry.run_folder import RunFolder, quote
from dimix.entry.serial_pipeline import serial_pipeline
from dimix.errors import CheckpointError, ConfigError, first_line
from dimix.machine.cores import usable_cores
from dimix.machine.device import resolve_device
from dimix.machine.plain import plain
from dimix.machine.processes import Child, Job, Watcher, run_jobs
from dimix.machine.ranks import torchrun_place
from dimix.machine.ray_jobs import RayCluster, below_here
from dimix.machine.signals import say
from dimix.machine.text import aligned, duration, short


def run_seeds(
    input_cfg: str | Path | tuple[Mapping[str, Any], Mapping[str, Any]] | None,
    seeds: Sequence[int],
    *,
    jobs: int | None = None,
    ray: str | None = None,
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
        ray: address of a Ray cluster (see `RayCluster`) whose nodes train them; None: the cores of this machine.
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
    if ray is not None:
        base = below_here("--exp-name", base)
    resumed = resume is not None and resume is not False
    with launcher(compiled, ray) as (run, config, room):
        at_a_time, where = jobs, f"on the Ray cluster {ray}"  # which places them, also on nodes that join later
        if ray is None:
            at_a_time = min(jobs or room, len(seeds))
            where = f"{at_a_time} at a time"
        out(f"training seeds {', '.join(map(str, seeds))}, {where}, in {base}/seed<seed>/")
        if ray is None:
            compile_once(compiled, out)
        same = {**options, "input_cfg": input_cfg if config is None else config}
        queue = [
            _job(seed, f"{base}/seed{seed}", resumed, ray is not None, {**same, "announce": seed == seeds[0]})
            for seed in seeds
        ]
        children = run(queue, at_a_time, _Printer(out))
    out(_table(children))
    out(f"curves  dimix -m plot {quote(Path(base))} -o curves.png, or tensorboard --logdir {quote(Path(base))}")
    if any(c.error for c in children):
        return 1
    return 0 if len(children) == len(seeds) and not any(c.signalled for c in children) else 130


def _job(seed: int, folder: str, resumed: bool, away: bool, options: Mapping[str, Any]) -> Job:
    """The training of a seed; ``away`` from this machine, where nobody sees which folders exist here."""
    if away and not (resumed and _resumable(folder)):
        folder = str(RunFolder.create(folder).path)
    more = {**options, "seed": seed, "exp_name": folder}
    sends = (f"{folder}/**/*", f"{folder}_*/**/*") if away else ()
    load_path = options.get("load_path")
    if away and load_path is not None:
        more["load_path"] = below_here("--load-path", find_checkpoint(load_path))
        sends += (more["load_path"],)
    return Job(f"seed {seed}", train_seed, {**more, "go_on": resumed}, sends, {"go_on": True, "announce": False})


def train_seed(out: Callable[[str], None], exp_name: str, go_on: bool = False, **options: Any) -> dict[str, Any]:
    """Main function of a child process: runs `serial_pipeline` and returns its result as a dict.

    With ``go_on`` it resumes the last run in its folder that has a checkpoint.
    """
    resume = _resumable(exp_name) if go_on else None
    if resume is not None:
        options["load_path"] = None
    return asdict(serial_pipeline(exp_name=exp_name, resume=resume, explain=False, out=out, **options))


class Launcher(NamedTuple):
    """Where trainings run: on this machine, or on a Ray cluster.

    Attributes:
        run: runs jobs, see `dimix.machine.processes.run_jobs`.
        config: name by which they find the config; None: as here.
        room: trainings that have a place at a time.
    """

    run: Callable[..., list[Child]]
    config: str | None
    room: int


@contextmanager
def launcher(compiled: CompiledConfig, ray: str | None) -> Iterator[Launcher]:
    """Where trainings with this config run, for the length of a block.

    Raises:
        ConfigError: no cluster answers.
    """
    if ray is None:
        yield Launcher(run_jobs, None, max(usable_cores() // compiled.cfg.run.workers, 1))
        return
    with tempfile.TemporaryDirectory() as files:
        main, create = compiled.settings()
        create["env"]["import_names"] = [*create["env"]["import_names"], compiled.env_class.__module__]
        keep_inputs(compiled.inputs, Path(files))
        write_config(Path(files) / "config.py", main, create, "Sent to the nodes of a cluster.", compiled.inputs)
        cluster = RayCluster(
            ray,
            files=Path(files),
            cores=compiled.cfg.run.workers,
            gpus=int(resolve_device(compiled.cfg.policy.device, compiled.cfg.policy.cuda).type == "cuda"),
        )
        yield Launcher(cluster.run_jobs, "config.py", cluster.room())


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
