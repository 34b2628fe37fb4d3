"""Several seeds of one config at once: a process and a thread each, one display for all."""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from dimix.config import CompiledConfig, compile_all
from dimix.entry.rooms import make_env
from dimix.entry.run_folder import RunFolder
from dimix.entry.serial_pipeline import compile_notice, serial_pipeline
from dimix.entry.stopping import StopSignals
from dimix.errors import CheckpointError, ConfigError, DimixError
from dimix.worker.logger import duration, short

#: Thread pools of a child: two pools of as many threads as cores would fight for the cores that the other seeds use.
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")}
POLL_S = 0.5


@dataclass
class _Child:
    """One seed's process and what it told."""

    seed: int
    process: Any
    pipe: Connection
    result: dict[str, Any] | None = None
    error: str | None = None
    signalled: bool = field(default=False)


def run_seeds(
    input_cfg: str | Path | tuple[Mapping[str, Any], Mapping[str, Any]] | None,
    seeds: Sequence[int],
    *,
    jobs: int | None = None,
    exp_name: str | None = None,
    resume: str | bool | None = None,
    out: Callable[[str], None] = print,
    **options: Any,
) -> int:
    """Train several seeds, as many at a time as there are cores; one that fails does not stop the others.

    Args:
        input_cfg: see `serial_pipeline`.
        seeds: each trains in ``<exp_name>/seed<seed>``.
        jobs: seeds at a time; None takes the number of cores.
        exp_name: folder of all runs; None makes ``<config>_result``.
        resume: True or an empty string: go on with those of the seeds that have a checkpoint, start the others.
        out: takes the lines meant for people.
        options: further options of `serial_pipeline`.

    Returns:
        Exit status: 0 when all ended as planned, 1 when one failed, 130 when they were stopped by a signal.

    Raises:
        ConfigError: the config, before any process starts.
    """
    if input_cfg is None:
        raise ConfigError("-s: several seeds need a config. Give it with -c; --resume alone goes on with one run.")
    if resume:
        raise ConfigError(
            f"--resume {resume}: names one run, but there are {len(seeds)} seeds. Use --resume without a folder."
        )
    checked = {k: v for k, v in options.items() if k != "load_path"}
    compiled = compile_all(input_cfg, seed=seeds[0], **checked)
    base = exp_name or f"{compiled.source.stem}_result"
    jobs = min(jobs or _cores(), len(seeds))
    out(f"training seeds {', '.join(map(str, seeds))}, {jobs} at a time, in {base}/seed<seed>/")
    _compile_once(compiled, out)
    waiting = [(seed, {**options, "exp_name": f"{base}/seed{seed}"}) for seed in seeds]
    if resume is not None and resume is not False:
        waiting = [(seed, {**o, "resume": _resumable(o["exp_name"])}) for seed, o in waiting]
    children = _run_all(input_cfg, waiting, jobs, out)
    out(_table(children))
    out(f"curves  tensorboard --logdir {base}")
    if any(c.error for c in children):
        return 1
    return 0 if len(children) == len(seeds) and not any(c.signalled for c in children) else 130


def _run_all(
    input_cfg: Any, waiting: list[tuple[int, dict[str, Any]]], jobs: int, out: Callable[[str], None]
) -> list[_Child]:
    """Keep ``jobs`` processes busy until every seed has run, or a signal came."""
    children: list[_Child] = []
    running: list[_Child] = []
    with StopSignals() as signals, _environment(ONE_THREAD):
        while running or (waiting and not signals.received):
            while waiting and len(running) < jobs and not signals.received:
                child = _start(input_cfg, *waiting.pop(0), first=not children)
                children.append(child)
                running.append(child)
            if signals.received:
                _stop(running)
            for pipe in wait([child.pipe for child in running], timeout=POLL_S):
                child = next(c for c in running if c.pipe is pipe)
                if not _read(child, out):
                    running.remove(child)
    return children


def _start(input_cfg: Any, seed: int, options: dict[str, Any], first: bool) -> _Child:
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_train, args=(theirs, input_cfg, seed, options, first), name=f"seed{seed}")
    process.start()
    theirs.close()
    return _Child(seed, process, mine)


def _train(pipe: Connection, input_cfg: Any, seed: int, options: dict[str, Any], first: bool) -> None:
    """What a child does. It leaves the terminal's group, so that Ctrl-C reaches it once, through the parent."""
    os.setsid()
    try:
        result = serial_pipeline(
            input_cfg, seed, announce=first, explain=False, out=lambda line: pipe.send(("line", line)), **options
        )
        pipe.send(("result", asdict(result)))
    except DimixError as e:
        pipe.send(("error", f"{type(e).__name__}: {e}"))
    except Exception as e:
        pipe.send(("line", traceback.format_exc()))
        pipe.send(("error", f"{type(e).__name__}: {e}"))


def _read(child: _Child, out: Callable[[str], None]) -> bool:
    """Take one message of a child; False when it has ended."""
    try:
        kind, content = child.pipe.recv()
    except EOFError:
        child.process.join()
        if child.result is None and child.error is None:
            child.error = f"the process ended without a result (exit status {child.process.exitcode})"
        if child.error:
            out(f"seed {child.seed}: {child.error}")
        return False
    if kind == "line":
        out("\n".join(f"seed {child.seed}: {line}" for line in content.splitlines()))
    elif kind == "result":
        child.result = content
    else:
        child.error = content
    return True


def _stop(running: list[_Child]) -> None:
    """Ask each child once to stop at its next safe point."""
    for child in running:
        if not child.signalled:
            child.process.terminate()
            child.signalled = True


def _table(children: list[_Child]) -> str:
    """What became of each seed."""
    rows = [("seed", "score", "jitter", "env steps", "time", "ended by", "run folder")]
    for child in sorted(children, key=lambda c: c.seed):
        if child.result is None:
            rows.append((str(child.seed), "-", "-", "-", "-", "failed", (child.error or "").splitlines()[0][:60]))
            continue
        r = child.result
        jitter = r["evaluation"].get("eval/battle_won_jitter")
        score, shown = f"{r['score']:.3f}", "-" if jitter is None else f"{jitter:.2f}"
        rows.append(
            (str(child.seed), score, shown, short(r["env_step"]), duration(r["seconds"]), r["reason"], r["run_folder"])
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _compile_once(compiled: CompiledConfig, out: Callable[[str], None]) -> None:
    """Compile the simulator here when it has to be, rather than in every child at the same time."""
    notice = compile_notice(compiled.env_class)
    if notice:
        out(notice)
        make_env(compiled, "evaluate").close()


def _resumable(folder: str) -> str | None:
    try:
        return str(RunFolder.last_of(folder))
    except CheckpointError:
        return None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for the processes started inside."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
