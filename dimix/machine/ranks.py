"""The processes that train one run together ("ranks"), and what they tell each other, over torch.distributed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from dimix.errors import ConfigError, RankError, first_line

T = TypeVar("T")
_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_HERE = "127.0.0.1"
_JOINED = "joined"  # keys in the store by which the ranks say that they are there


@dataclass(frozen=True)
class Place:
    """Where a process stands among the ranks.

    Attributes:
        rank: from 0, which leads, to size - 1.
        size: number of ranks.
        local_rank: number among those of the same machine.
        local_size: how many these are.
        port: where rank 0 of this machine listens; None: torchrun's variables say where the ranks meet.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    port: int | None = None


def torchrun_place(variables: Mapping[str, str] = os.environ) -> Place | None:
    """The place that torchrun gave this process by its environment variables; None if it did not start it.

    Raises:
        ConfigError: some of the variables are missing, or are not numbers that fit.
    """
    given = [name for name in _VARIABLES if name in variables]
    if not {"RANK", "WORLD_SIZE"} & set(given):
        return None
    if missing := [name for name in _VARIABLES if name not in given]:
        raise ConfigError(
            f"environment: {', '.join(given)} set, {', '.join(missing)} not. Start with torchrun, which sets all, or "
            "unset them."
        )
    try:
        local = (int(variables.get("LOCAL_RANK", "0")), int(variables.get("LOCAL_WORLD_SIZE", "1")))
        place = Place(int(variables["RANK"]), int(variables["WORLD_SIZE"]), *local)
    except ValueError:
        place = Place(-1, 0, 0, 0)
    if not 0 <= place.rank < place.size:
        raise ConfigError(
            f"environment: RANK={variables['RANK']}, WORLD_SIZE={variables['WORLD_SIZE']}. Right are whole numbers, "
            "RANK from 0 to WORLD_SIZE - 1; torchrun sets them."
        )
    return place


class Ranks:
    """What one of the ranks can ask of all of them. Alone (the default) it asks nobody, and nothing changes.

    Every method but `share` is called by all ranks, in the same order. Numbers are combined in the same way on all, so
    that all continue with the same bits.

    Attributes:
        rank: of this process.
        size: number of ranks.
        local_size: how many of them are on this machine.

    Raises (all methods):
        RankError: another rank is gone.
    """

    def __init__(self, rank: int = 0, size: int = 1, local_rank: int = 0, local_size: int = 1) -> None:
        self.rank, self.size, self._local_rank, self.local_size = rank, size, local_rank, local_size
        self._gpu_group: Any = None

    def share(self, total: int) -> int:
        """This rank's part of a number; the parts of all ranks sum to it and differ by at most 1."""
        return total // self.size + (self.rank < total % self.size)

    def device(self, device: torch.device) -> torch.device:
        """The device for this rank, if all were given this one: each rank of a machine has its own CUDA device."""
        return torch.device("cuda", self._local_rank) if self.size > 1 and device.type == "cuda" else device

    def every(self, thing: T) -> list[T]:
        """What each rank passed, by rank."""
        if self.size == 1:
            return [thing]
        things: list[Any] = [None] * self.size
        with _spoken():
            dist.all_gather_object(things, thing)
        return things

    def gather(self, thing: T) -> list[T]:
        """What each rank passed, by rank, on rank 0; empty on the others."""
        if self.size == 1:
            return [thing]
        things: list[Any] = [None] * self.size if self.rank == 0 else []
        with _spoken():
            dist.gather_object(thing, things or None, dst=0)
        return things

    def broadcast(self, thing: Any = None) -> Any:
        """What rank 0 passed."""
        if self.size == 1:
            return thing
        box = [thing]
        with _spoken():
            dist.broadcast_object_list(box, src=0)
        return box[0]

    def scatter(self, things: Sequence[T] | None = None) -> T:
        """This rank's part of what rank 0 passed, one thing per rank."""
        if self.size == 1:
            assert things is not None
            return things[0]
        box: list[Any] = [None]
        with _spoken():
            dist.scatter_object_list(box, None if things is None else list(things), src=0)
        return box[0]

    def largest(self, number: float) -> float:
        """The largest of all ranks' numbers."""
        if self.size == 1:
            return number
        box = torch.tensor(number, dtype=torch.float64)
        with _spoken():
            dist.all_reduce(box, dist.ReduceOp.MAX)
        return box.item()

    def sum_(self, x: Tensor) -> None:
        """Replace a tensor by the sum of all ranks' tensors: through gloo on CPUs, through NCCL on CUDA devices."""
        if self.size == 1:
            return
        with _spoken():
            if x.is_cuda and self._gpu_group is None:
                self._gpu_group = dist.new_group(backend="nccl")
            dist.all_reduce(x, group=self._gpu_group if x.is_cuda else None)


#: The only rank of a training in one process.
ALONE = Ranks()


@contextmanager
def _spoken() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise RankError(f"rank {dist.get_rank()}: no answer from the other ranks: {first_line(error)}") from error


def free_store(size: int) -> dist.TCPStore:
    """Where the ranks of this machine meet: a server on a free port, held by rank 0."""
    return dist.TCPStore(_HERE, 0, size, is_master=True, wait_for_workers=False)


@contextmanager
def joined(
    place: Place, store: dist.TCPStore | None = None, waiting: Callable[[], None] = lambda: None
) -> Iterator[Ranks]:
    """Take a place among the ranks for the length of a block.

    Args:
        place: this process's own.
        store: rank 0's `free_store`; None on other ranks, and under torchrun.
        waiting: called while rank 0 waits for the others; an error it raises ends the wait.

    Raises:
        RankError: the others cannot be reached.
    """
    try:
        if store is not None:
            while not store.check([f"{_JOINED} {rank}" for rank in range(1, place.size)]):
                waiting()
                time.sleep(0.02)
        elif place.port is not None:
            store = dist.TCPStore(_HERE, place.port, place.size, is_master=False)
            store.set(f"{_JOINED} {place.rank}", "")
        dist.init_process_group("gloo", store=store, rank=place.rank, world_size=place.size)
    except (RuntimeError, ValueError) as error:
        raise RankError(f"rank {place.rank}: the other ranks cannot be reached: {first_line(error)}") from error
    try:
        yield Ranks(place.rank, place.size, place.local_rank, place.local_size)
    finally:
        dist.destroy_process_group()
