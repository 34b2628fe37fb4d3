"""Bands by hand, Student's t against its table, the running mean against its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dimix.plot.bands import BANDS, band, mean_interval, running_mean, student_t

STEP = np.array([0.0, 10.0])


def curves_at(*values):
    """Runs that are the same at all times."""
    return [(STEP, np.full(2, value)) for value in values]


def test_band_by_hand():
    """One run rises from 0 to 1 over 0..10, the other is 0.5 over 2..8: they share 2..8."""
    first = (STEP, np.array([0.0, 1.0]))
    second = (np.array([2.0, 8.0]), np.array([0.5, 0.5]))
    time, mean, low, high = band([first, second])
    assert (time[0], time[-1]) == (2, 8)
    np.testing.assert_allclose(mean, (time / 10 + 0.5) / 2)
    np.testing.assert_allclose(low, np.minimum(time / 10, 0.5))
    np.testing.assert_allclose(high, np.maximum(time / 10, 0.5))


@pytest.mark.parametrize(
    ("kind", "centre", "low", "high"),
    [
        ("minmax", 0.4, 0.0, 1.0),
        ("none", 0.4, 0.4, 0.4),
        # sorted 0, 0.2, 0.2, 0.6, 1: the second, third and fourth
        ("quartiles", 0.2, 0.2, 0.6),
        # squared distances from 0.4: 0.16 + 0.04 + 0.04 + 0.04 + 0.36 = 0.64, sd sqrt(0.64 / 4) = 0.4, t_4 = 2.7764:
        # 2.7764 * 0.4 / sqrt(5) = 0.49666
        ("ci", 0.4, 0.4 - 0.49666, 0.4 + 0.49666),
    ],
)
def test_kinds_of_band_by_hand(kind, centre, low, high):
    found = band(curves_at(0.2, 1.0, 0.0, 0.6, 0.2), kind)[1:]
    np.testing.assert_allclose([edge[0] for edge in found], [centre, low, high], atol=1e-4)


@pytest.mark.parametrize("kind", BANDS)
def test_one_run_keeps_its_points(kind):
    time, mean, low, high = band([(np.array([1.0, 5.0]), np.array([3.0, 4.0]))], kind)
    assert time.tolist() == [1, 5] and mean.tolist() == low.tolist() == high.tolist() == [3, 4]


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.7062), (2, 4.3027), (9, 2.2622), (10, 2.2281), (30, 2.0423), (1000, 1.9623)]
)
def test_students_t_is_the_tables(freedom, quantile):
    assert student_t(freedom) == pytest.approx(quantile, abs=2e-4)


def test_one_seed_has_no_interval():
    mean, half = mean_interval(np.array([0.5]))
    assert mean == 0.5 and np.isnan(half)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30), st.integers(1, 40))
def test_running_mean_is_of_the_last_values(values, width):
    found = running_mean(np.array(values), width)
    expected = [np.mean(values[max(0, i + 1 - width) : i + 1]) for i in range(len(values))]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    if width == 1:
        assert found.tolist() == values
