"""When a run stops: because it wins, because its budget is used up, or because someone asks."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def stop_reason(
    scores: Sequence[float],
    env_step: int,
    train_iter: int,
    *,
    stop_value: float,
    stop_window: int,
    max_env_step: int | None,
    max_train_iter: int | None,
) -> str | None:
    """Why a run should end now, None when it should go on.

    Args:
        scores: score of each evaluation so far, oldest first.
        env_step: steps so far.
        train_iter: updates so far.
        stop_value: the mean of the last ``stop_window`` scores that is good enough. One lucky evaluation is not.
        stop_window: evaluations that count.
        max_env_step: steps allowed.
        max_train_iter: updates allowed.
    """
    last = scores[-stop_window:]
    if len(last) == stop_window and sum(last) / stop_window >= stop_value:
        return "stop_value"
    if max_env_step is not None and env_step >= max_env_step:
        return "env_step"
    if max_train_iter is not None and train_iter >= max_train_iter:
        return "train_iter"
    return None


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
