"""Stopping because someone asks: Ctrl-C, SIGTERM, a closed terminal or pipe.

What else stops a run: `dimix.callbacks.StopRule`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any

#: What a closed terminal sends; not every system has it.
HANGUP = getattr(signal, "SIGHUP", signal.SIGTERM)
SIGNALS = tuple(dict.fromkeys((signal.SIGINT, signal.SIGTERM, HANGUP)))


class StopSignals:
    """Turns Ctrl-C, SIGTERM and SIGHUP into a flag that the loop looks at between two steps.

    A second Ctrl-C or SIGTERM stops at once. A closed terminal may send SIGHUP twice, and under ``nohup`` it means
    nothing. Use as a context manager. Outside the main thread, where Python delivers no signals, it does nothing.

    Attributes:
        received: name of the signal that came, None when none did.
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
    """Print a line at once. When its reader has gone (``| head``, a closed terminal), whoever trains is hung up.

    Raises:
        OSError: the reader has gone, and nobody is training here.
    """
    try:
        print(text, flush=True)
    except OSError:
        if signal.getsignal(HANGUP) == signal.SIG_DFL:
            raise
        hang_up(sys.stdout.fileno(), _error_output())


def hang_up(descriptor: int, instead: int) -> None:
    """Ask whoever trains in this process to save and stop; what is still written goes elsewhere.

    Args:
        descriptor: file descriptor whose reader has gone.
        instead: an open one.
    """
    os.dup2(instead, descriptor)
    signal.raise_signal(HANGUP)


def nowhere() -> int:
    """A descriptor that takes everything."""
    return os.open(os.devnull, os.O_WRONLY)


def _error_output() -> int:
    try:
        print("nobody reads the output any more; it comes here instead", file=sys.stderr, flush=True)
        return sys.stderr.fileno()
    except OSError:  # the whole terminal has gone
        return nowhere()
