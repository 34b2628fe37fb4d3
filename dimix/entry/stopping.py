"""Stopping because someone asks: Ctrl-C and SIGTERM. What else stops a run: `dimix.callbacks.StopRule`."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Turns Ctrl-C and SIGTERM into a flag that the loop looks at between two steps; a second one stops at once.

    Use as a context manager. Outside the main thread, where Python delivers no signals, it does nothing.

    Attributes:
        received: name of the signal that came, None when none did.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._receive) for s in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            signal.signal(number, self._before.get(number) or signal.SIG_DFL)
            raise KeyboardInterrupt
        self.received = signal.Signals(number).name
