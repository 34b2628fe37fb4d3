"""Schedules by hand."""

import math

import pytest

from dimix.policy.schedule import Schedule


@pytest.mark.parametrize(
    ("kind", "step", "value"),
    [
        ("constant", 70, 1.0),
        ("linear", 0, 1.0),
        ("linear", 25, 0.8),  # a quarter of the way from 1 to 0.2
        ("linear", 100, 0.2),
        ("linear", 1000, 0.2),
        ("exp", 0, 1.0),
        ("exp", 100, 0.2 + 0.8 * math.exp(-1)),
        ("cosine", 0, 1.0),
        ("cosine", 50, 0.6),
        ("cosine", 100, 0.2),
        ("cosine", 101, 0.2),
        ("step", 99, 1.0),
        ("step", 100, 0.5),
        ("step", 200, 0.25),
        ("step", 300, 0.2),  # 0.125 is below the end
    ],
)
def test_values(kind, step, value):
    assert Schedule(kind, 1.0, 0.2, 100)(step) == pytest.approx(value)


def test_unknown_type():
    with pytest.raises(ValueError, match="'line': unknown. Use one of constant, linear, exp, cosine, step."):
        Schedule("line", 1.0, 0.1, 10)


def test_decay_must_be_positive():
    with pytest.raises(ValueError, match="schedule decay 0: it must be a positive number of steps."):
        Schedule("linear", 1.0, 0.1, 0)
