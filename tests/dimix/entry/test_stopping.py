"""Stop rule and signals."""

import os
import signal

import pytest

from dimix.entry.stopping import StopSignals, stop_reason

RULE = dict(stop_value=0.95, stop_window=3, max_env_step=1000, max_train_iter=50)


@pytest.mark.parametrize(
    ("scores", "env_step", "train_iter", "reason"),
    [
        ([], 0, 0, None),
        ([1.0, 1.0], 0, 0, None),  # two evaluations are no window of three
        ([0.0, 1.0, 1.0, 1.0], 0, 0, "stop_value"),
        ([1.0, 1.0, 0.84], 0, 0, None),  # mean 0.947
        ([1.0, 1.0, 0.85], 0, 0, "stop_value"),  # mean 0.95
        ([1.0, 1.0, 1.0, 0.0], 0, 0, None),  # one lucky stretch that is over
        ([], 999, 0, None),
        ([], 1000, 0, "env_step"),
        ([], 0, 50, "train_iter"),
        ([1.0] * 3, 1000, 50, "stop_value"),
    ],
)
def test_stop_reason(scores, env_step, train_iter, reason):
    assert stop_reason(scores, env_step, train_iter, **RULE) == reason


def test_no_limits_never_stop():
    rule = dict(stop_value=2.0, stop_window=1, max_env_step=None, max_train_iter=None)
    assert stop_reason([1.0], 10**12, 10**12, **rule) is None


def test_first_signal_is_a_flag_and_the_second_interrupts():
    before = signal.getsignal(signal.SIGINT)
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.received == "SIGINT"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
