"""Stop on request: Ctrl-C, SIGTERM, a closed terminal or pipe.

For other reasons to stop a run, see `dimix.callbacks.StopRule`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any

#: Signal of a closed terminal; not every system has it.
HANGUP = getattr(signal, "SIGHUP", signal.SIGTERM)
SIGNALS = tuple(dict.fromkeys((signal.SIGINT, signal.SIGTERM, HANGUP)))


class StopSignals:
    """Turns Ctrl-C, SIGTERM and SIGHUP into a flag that the training loop checks between steps.

    Use it as a context manager. A second Ctrl-C or SIGTERM stops at once. A closed terminal may send SIGHUP twice;
    under ``nohup`` SIGHUP is ignored. Outside the main thread, where Python delivers no signals, it does nothing.

    Attributes:
        received: name of the received signal, or None.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            heard = [s for s in SIGNALS if s != HANGUP or signal.getsignal(s) != signal.SIG_IGN]
            self._before = {s: signal.signal(s, self._receive) for s in heard}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received = signal.Signals(number).name
        elif number != HANGUP:
            signal.signal(number, self._before.get(number) or signal.SIG_DFL)
            raise KeyboardInterrupt


def say(text: str) -> None:
    """Print a line and flush. If its reader is gone (``| head``, a closed terminal), hang up any training here.

    Raises:
        OSError: the reader is gone and no training is running here.
    """
    try:
        print(text, flush=True)
    except OSError:
        if signal.getsignal(HANGUP) == signal.SIG_DFL:
            raise
        hang_up(sys.stdout.fileno(), _error_output())


def hang_up(descriptor: int, instead: int, number: int = HANGUP) -> None:
    """Ask the training in this process to save and stop, by a signal; ``nohup`` ignores the default one.

    The reader of file descriptor ``descriptor`` is gone; later output goes to the open descriptor ``instead``.
    """
    os.dup2(instead, descriptor)
    signal.raise_signal(number)


def nowhere() -> int:
    """A file descriptor that discards everything."""
    return os.open(os.devnull, os.O_WRONLY)


def _error_output() -> int:
    try:
        print("nobody reads the output any more; it comes here instead", file=sys.stderr, flush=True)
        return sys.stderr.fileno()
    except OSError:  # the whole terminal is gone
        return nowhere()
