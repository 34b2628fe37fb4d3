"""Signals that ask a run to stop."""

import os
import signal

import pytest

from dimix.entry.stopping import StopSignals


def test_first_signal_is_a_flag_and_the_second_interrupts():
    before = signal.getsignal(signal.SIGINT)
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.received == "SIGINT"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
