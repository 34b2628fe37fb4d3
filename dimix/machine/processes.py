"""Run several trainings at once, with one process and one thread each. A failure does not stop the others."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from dimix.errors import DimixError
from dimix.machine.cores import ONE_THREAD
from dimix.machine.signals import StopSignals, hang_up, nowhere

POLL_S = 0.5
END_S = 20.0


@dataclass(frozen=True)
class Job:
    """The task of one process.

    Attributes:
        name: for messages and the process list.
        target: module-level function, called as ``target(out=..., **options)``; its return value is the result.
        options: its other arguments; they are pickled.
        sends: patterns of files below the current folder that it reads; only needed on another machine.
        again: options that differ when it is started once more because its machine was lost.
        environment: variables set for its process.
    """

    name: str
    target: Callable[..., Any]
    options: Mapping[str, Any]
    sends: tuple[str, ...] = ()
    again: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Child:
    """The process of a job, and its outcome.

    Attributes:
        job: the job.
        result: return value of the target; None while it runs, if it failed, or if it was stopped before it began.
        error: why it failed, or None.
        signalled: whether it was asked to stop.
    """

    job: Job
    process: Any
    pipe: Connection
    result: Any = None
    error: str | None = None
    signalled: bool = field(default=False)


class Watcher:
    """Follows the processes; override the methods you need."""

    def line(self, child: Child, text: str) -> None:
        """A child printed a line."""

    def ended(self, child: Child) -> None:
        """A child has ended; `Child.result` or `Child.error` is set."""

    def tick(self, running: list[Child]) -> None:
        """Called about twice a second."""


def run_jobs(jobs: Iterable[Job], at_a_time: int, watcher: Watcher) -> list[Child]:
    """Keep ``at_a_time`` processes busy until every job has run or a signal arrives.

    On Ctrl-C, SIGTERM or SIGHUP, every child gets one SIGTERM and is waited for; no further jobs are started.

    Args:
        jobs: taken one by one as processes become free.
        at_a_time: number of processes, >= 1.
        watcher: notified of everything.

    Returns:
        The children in the order they were started.
    """
    waiting, children, running = iter(jobs), list[Child](), list[Child]()
    exhausted = False
    with StopSignals() as signals, _environment(ONE_THREAD):
        while True:
            while len(running) < at_a_time and not exhausted and not signals.received:
                job = next(waiting, None)
                if job is None:
                    exhausted = True
                    break
                child = _start(job)
                children.append(child)
                running.append(child)
            if not running:
                return children
            if signals.received:
                _stop(running)
            for pipe in wait([child.pipe for child in running], timeout=POLL_S):
                child = next(c for c in running if c.pipe is pipe)
                if not _read(child, watcher):
                    running.remove(child)
                    watcher.ended(child)
            watcher.tick(running)


@contextmanager
def beside(jobs: Iterable[Job], watcher: Watcher) -> Iterator[list[Child]]:
    """Run jobs beside this process for the length of a block, all at once.

    An error in the block kills them; otherwise they are given `END_S` seconds after it to end by themselves.

    Args:
        jobs: all are started.
        watcher: notified from another thread.

    Yields:
        The children, in the order of the jobs.
    """
    with _environment(ONE_THREAD):
        children = [_start(job) for job in jobs]
    listener = threading.Thread(target=_listen, args=(children, watcher), daemon=True)
    listener.start()
    try:
        yield children
        listener.join(END_S)
    finally:
        for child in children:
            child.process.kill()
        listener.join()


def _listen(children: list[Child], watcher: Watcher) -> None:
    running = list(children)
    while running:
        for pipe in wait([child.pipe for child in running]):
            child = next(c for c in running if c.pipe is pipe)
            if not _read(child, watcher):
                running.remove(child)
                watcher.ended(child)


def _start(job: Job) -> Child:
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, job), name=job.name)
    with _environment(job.environment):
        process.start()
    theirs.close()
    return Child(job, process, mine)


def _work(pipe: Connection, job: Job) -> None:
    """Main function of a child. It leaves the terminal's group, so that Ctrl-C reaches it once, through the parent.

    If the parent is gone, sending the next line fails: a training run is then saved, and the child ends, also under
    nohup, for nobody else could stop it.
    """

    def tell(line: str) -> None:
        try:
            pipe.send(("line", line))
        except OSError:
            hang_up(pipe.fileno(), nowhere(), signal.SIGTERM)

    os.setsid()
    with suppress(OSError):  # the parent is gone
        try:
            pipe.send(("result", job.target(out=tell, **job.options)))
        except DimixError as e:
            pipe.send(("error", f"{type(e).__name__}: {e}"))
        except Exception as e:
            pipe.send(("line", traceback.format_exc()))
            pipe.send(("error", f"{type(e).__name__}: {e}"))


def _read(child: Child, watcher: Watcher) -> bool:
    """Read one message from a child; returns False if it has ended."""
    try:
        kind, content = child.pipe.recv()
    except EOFError:
        child.process.join()
        unheard = child.signalled and child.process.exitcode == -signal.SIGTERM  # it was not listening yet
        if unheard:
            watcher.line(child, "stopped before it began")
        elif child.result is None and child.error is None:
            child.error = f"the process ended without a result (exit status {child.process.exitcode})"
        return False
    if kind == "line":
        watcher.line(child, content)
    elif kind == "result":
        child.result = content
    else:
        child.error = content
    return True


def _stop(running: list[Child]) -> None:
    """Ask each child once to stop at its next safe point."""
    for child in running:
        if not child.signalled:
            child.process.terminate()
            child.signalled = True


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for processes started in the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
