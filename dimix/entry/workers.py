"""A training shared by several processes: starts the others, or takes the places that torchrun gave them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import torch

from dimix.config.compile import CompiledConfig, compile_all
from dimix.entry.rooms import Rooms, compile_once
from dimix.errors import RankError
from dimix.machine.processes import Child, Job, Watcher, beside
from dimix.machine.ranks import ALONE, Place, Ranks, free_store, joined
from dimix.machine.signals import StopSignals, say

_ENDED_S = 10.0


def follow(place: Place, out: Callable[[str], None] = say) -> Any:
    """Train as one of the ranks that rank 0 leads; returns the `dimix.entry.Result` that it tells them.

    Raises:
        RankError: another rank is gone.
    """
    with StopSignals() as signals, joined(place) as ranks:
        compiled = compile_all(ranks.broadcast())
        torch.set_num_threads(compiled.cfg.run.torch_threads)
        with closing(Rooms(compiled, out, ranks, signals)) as rooms:
            return rooms.follow()


@contextmanager
def leading(compiled: CompiledConfig, place: Place | None, out: Callable[[str], None]) -> Iterator[Ranks]:
    """The ranks of a run, for the length of a block: those that torchrun started, or ``run.workers`` processes.

    Args:
        compiled: the config; the other ranks get it from here.
        place: this process's place under torchrun, rank 0; None without it.
        out: called with each line that the others print.

    Raises:
        RankError: another rank is gone; the message says which, and why.
    """
    size = compiled.cfg.run.workers
    if size == 1:
        yield ALONE
        return
    compile_once(compiled, out)
    if place is not None:
        with joined(place) as ranks:
            ranks.broadcast(compiled.settings())
            yield ranks
        return
    store = free_store(size)
    jobs = [Job(f"worker {n}", follow, {"place": Place(n, size, n, size, store.port)}) for n in range(1, size)]
    with beside(jobs, _Lines(out)) as others, _named(others):
        with joined(Place(0, size, 0, size), store, waiting=lambda: _check(others)) as ranks:
            ranks.broadcast(compiled.settings())
            yield ranks


class _Lines(Watcher):
    def __init__(self, out: Callable[[str], None]) -> None:
        self._out = out

    def line(self, child: Child, text: str) -> None:
        self._out("\n".join(f"{child.job.name}: {line}" for line in text.splitlines()))


def _check(others: Sequence[Child]) -> None:
    if any(child.error for child in others):
        raise RankError("a process ended before the training began")


@contextmanager
def _named(others: Sequence[Child]) -> Iterator[None]:
    """Say which process ended first when one no longer answers."""
    try:
        yield
    except RankError as error:
        until = time.monotonic() + _ENDED_S
        while not (failed := list(filter(_failed, others))) and time.monotonic() < until:
            time.sleep(0.05)
        if not failed:
            raise
        raise RankError(
            f"{failed[0].job.name} of 0 to {len(others)}: {failed[0].error} All have stopped; the last checkpoint is "
            "intact, and --resume goes on from there."
        ) from error


def _failed(child: Child) -> bool:
    """Whether a process failed by itself, not because another one no longer answered."""
    return child.error is not None and not child.error.startswith(RankError.__name__)
