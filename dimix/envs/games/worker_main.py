"""Main function of a worker process (see `dimix.envs.games.workers`): build games, then play until the parent ends."""

from __future__ import annotations

import ctypes
import mmap
import os
import pickle
import signal
import sys
import traceback
from multiprocessing.connection import Connection

from dimix.envs.games.arrays import layout, map_arrays
from dimix.envs.games.crew import LocalCrew

#: The two messages of almost every step; shorter than any pickle.
STEP, ALL_WELL = b"s", b"w"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(pipe_fd: int, memory_fd: int, parent_pid: int) -> None:
    """Play games until the pipe (a socket to the parent) closes; return at once if the parent has already ended.

    A message is `STEP` or a pickled list of `Start`. An answer is `ALL_WELL`, a pickled dict of errors by game, or a
    pickled text if this process cannot continue.
    """
    _end_with_parent(parent_pid)
    pipe = Connection(pipe_fd)
    games = None
    try:
        game_class, cfg, info, num_envs = pickle.loads(pipe.recv_bytes())
        env_ids = pipe.recv()
        memory = mmap.mmap(memory_fd, layout(info, num_envs)[1])
        games = LocalCrew(game_class, cfg, info, env_ids, map_arrays(info, num_envs, memory))
        games.build()
        pipe.send_bytes(ALL_WELL)
        while True:
            message = pipe.recv_bytes()
            failed = games.step() if message == STEP else games.start(pickle.loads(message))
            pipe.send_bytes(pickle.dumps(failed) if failed else ALL_WELL)
    except (EOFError, BrokenPipeError, ConnectionResetError):  # the parent is done
        if games is not None:
            games.close()
    except Exception:
        pipe.send(traceback.format_exc())


def _end_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent ends, even while it is busy. Elsewhere, only the pipe tells."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:
            sys.exit()
