"""Games in worker processes: shared arrays, timeouts, and replacement of workers that die.

A worker is a fresh Python process. It is not forked, because torch has threads, and forking a process with threads can
hang. The arrays are shared through an unnamed memory file, which disappears with the last process that maps it, however
that process ends. Each worker has one socket for small commands. A worker ends with its parent: while it waits, it sees
the socket close; while it is busy, the kernel kills it (on Linux).
"""

from __future__ import annotations

import contextlib
import itertools
import math
import mmap
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection

import numpy as np
from easydict import EasyDict

from dimix.envs.games.arrays import layout, map_arrays
from dimix.envs.games.crew import Crew, Start
from dimix.envs.games.game import Game
from dimix.envs.games.worker_main import ALL_WELL, STEP
from dimix.envs.vec_env import EnvInfo
from dimix.errors import EnvError
from dimix.machine.cores import ONE_THREAD, usable_cores

#: Code that a worker runs; it removes the current folder, which ``-c`` adds to the path and the parent may not have.
_MAIN = "import sys; del sys.path[0]; from dimix.envs.games.worker_main import main; main(*map(int, sys.argv[1:]))"
_CLOSE_S = 2.0  # seconds allowed for workers to close their games


class WorkerCrew(Crew):
    """Plays games in processes that share one block of memory; see `Crew`.

    If a worker dies or does not answer in time, all its running games fail, and a new worker takes its place.

    Args:
        game_class: class of the games; importable by name.
        cfg: the config's ``env`` branch, with ``manager``.
        info: sizes.
        num_envs: games (E).

    Raises:
        EnvError: another process cannot import the class, or could not build its games.
    """

    def __init__(self, game_class: type[Game], cfg: EasyDict, info: EnvInfo, num_envs: int) -> None:
        self._manager = cfg.manager
        self._hello = _hello(game_class, cfg, info, num_envs)
        self._memory_fd, memory = _shared_memory(layout(info, num_envs)[1])
        self.arrays = map_arrays(info, num_envs, memory)
        count = min(cfg.manager.worker_num or usable_cores(), num_envs)
        ends = [num_envs * k // count for k in range(count + 1)]
        shares = [range(begin, end) for begin, end in itertools.pairwise(ends)]
        self._workers = [self._employ(ids) for ids in shares]
        self._finalize = weakref.finalize(self, _stop_all, self._workers, self._memory_fd)
        for answer in self._answers(dict.fromkeys(range(count), cfg.manager.connect_timeout)).values():
            if isinstance(answer, str):
                self.close()
                raise EnvError(f"{info.name}: a process for its games did not start: {answer.strip()}")

    def start(self, starts: Sequence[Start]) -> dict[int, str]:
        messages, limits = {}, {}
        at_stake = ~(self.arrays.terminated | self.arrays.truncated)
        for k, worker in enumerate(self._workers):
            mine = [start for start in starts if start.env_id in worker.env_ids]
            if mine:
                steps = sum(0 if start.actions is None else len(start.actions) for start in mine)
                messages[k] = pickle.dumps(mine)
                limits[k] = _sum((len(mine), self._manager.reset_timeout), (steps, self._manager.step_timeout))
                at_stake[[start.env_id for start in mine]] = True
        return self._ask(messages, limits, at_stake)

    def step(self) -> dict[int, str]:
        over = self.arrays.terminated | self.arrays.truncated
        self.arrays.reward[over] = 0.0
        playing = ~over
        limits = {k: worker.step_limit_s for k, worker in enumerate(self._workers) if playing[worker.games].any()}
        return self._ask(dict.fromkeys(limits, STEP), limits, playing)

    def close(self) -> None:
        self._finalize()

    def _ask(
        self, messages: Mapping[int, bytes], limits: Mapping[int, float | None], at_stake: np.ndarray
    ) -> dict[int, str]:
        """Send messages to workers, wait up to ``limits`` seconds for their answers and return the errors by game.

        If a worker dies, those of its games fail that are marked in ``at_stake`` (E,) bool.
        """
        for k, message in messages.items():
            with contextlib.suppress(OSError):  # a dead worker shows when its answer is waited for
                self._workers[k].pipe.send_bytes(message)
        failed: dict[int, str] = {}
        for k, answer in self._answers(limits).items():
            if isinstance(answer, str):
                failed |= {e: answer for e in self._workers[k].env_ids if at_stake[e]}
                self._replace(k)
            else:
                failed |= answer
        return failed

    def _answers(self, limits: Mapping[int, float | None]) -> dict[int, dict[int, str] | str]:
        """Each worker's answer: errors by game, or a text if it cannot continue."""
        begin = time.monotonic()
        answers: dict[int, dict[int, str] | str] = {}
        for k, limit in limits.items():
            worker = self._workers[k]
            left = None if limit is None else max(0.0, begin + limit - time.monotonic())
            try:
                answer = worker.receive(left)
                answers[k] = f"its process did not answer within {limit:g} s" if answer is None else answer
            except (EOFError, OSError):
                worker.stop(_CLOSE_S)
                answers[k] = f"its process ended ({_exit_status(worker.process.returncode)})"
        return answers

    def _replace(self, k: int) -> None:
        """Start a new worker for the games of worker k; if that fails, they fail again when they are started."""
        ids = self._workers[k].env_ids
        self._workers[k].stop()
        self._workers[k] = self._employ(ids)
        self._answers({k: self._manager.connect_timeout})

    def _employ(self, env_ids: range) -> _Worker:
        return _Worker(self._hello, env_ids, self._memory_fd, _sum((len(env_ids), self._manager.step_timeout)))


class _Worker:
    """One process and its games.

    ``hello`` is its first message. ``step_limit_s`` is the time limit for a step of all its games; None sets none.
    """

    def __init__(self, hello: bytes, env_ids: range, memory_fd: int, step_limit_s: float | None) -> None:
        self.env_ids, self.games, self.step_limit_s = env_ids, slice(env_ids.start, env_ids.stop), step_limit_s
        ours, theirs = socket.socketpair()
        with theirs:
            fds = (theirs.fileno(), memory_fd)
            self.process = subprocess.Popen(
                [sys.executable, "-c", _MAIN, *map(str, (*fds, os.getpid()))],
                pass_fds=fds,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)},
                start_new_session=True,  # Ctrl-C reaches only the parent, which then closes its workers
            )
        self.pipe = Connection(ours.detach())
        self._poll = select.poll()  # reused: multiprocessing would create one for every wait
        self._poll.register(self.pipe.fileno(), select.POLLIN)
        with contextlib.suppress(OSError):  # a dead worker shows when its answer is waited for
            self.pipe.send_bytes(hello)
            self.pipe.send(env_ids)

    def receive(self, limit_s: float | None) -> dict[int, str] | str | None:
        """The worker's next answer; None if it does not answer in time, EOFError or OSError if it has ended."""
        if not self._poll.poll(None if limit_s is None else math.ceil(1e3 * limit_s)):
            return None
        answer = self.pipe.recv_bytes()
        return {} if answer == ALL_WELL else pickle.loads(answer)

    def stop(self, patience_s: float = 0.0) -> None:
        """End the process and reap it, so that no zombie remains."""
        self.pipe.close()
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _hello(game_class: type[Game], cfg: EasyDict, info: EnvInfo, num_envs: int) -> bytes:
    module = game_class.__module__
    if module == "__main__" or module.startswith("dimix_config_") or "<locals>" in game_class.__qualname__:
        raise EnvError(
            f"env.manager.type: 'subprocess', but another process cannot import {game_class.__qualname__} from "
            f"{module}. Put the class into a module of its own, or use env.manager.type='base'."
        )
    return pickle.dumps((game_class, cfg, info, num_envs))


def _shared_memory(size: int) -> tuple[int, mmap.mmap]:
    """Memory that other processes map by its file descriptor. The file has no name, so nothing is left behind."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("dimix games")
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, size)
    return fd, mmap.mmap(fd, size)


def _stop_all(workers: list[_Worker], memory_fd: int) -> None:
    deadline = time.monotonic() + _CLOSE_S
    for worker in workers:
        worker.pipe.close()
    for worker in workers:
        worker.stop(max(0.0, deadline - time.monotonic()))
    os.close(memory_fd)


def _exit_status(code: int) -> str:
    return f"exit status {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"


def _sum(*parts: tuple[int, float | None]) -> float | None:
    """Total seconds for counts of things with a time limit each; None if any has no limit."""
    limits = [math.inf if seconds is None else count * seconds for count, seconds in parts]
    return None if math.inf in limits else sum(limits)
