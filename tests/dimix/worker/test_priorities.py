"""Prioritised sampling: chances and weights by hand, and the ring behind them."""

import numpy as np
import pytest

from dimix.worker.priorities import FLOOR, Priorities


def test_chances_and_weights_by_hand():
    priorities = Priorities(alpha=0.5, beta=1.0)
    priorities.append(3)
    priorities.update(np.arange(3), np.array([1.0, 4.0, 9.0]) - FLOOR)
    # chances 1/6, 2/6, 3/6; weights 1 / (3 P): 2, 1, 2/3; over the largest of the batch
    rng, counts = np.random.default_rng(0), np.zeros(3)
    for _ in range(3000):
        unit, weight = priorities.draw(rng, 1)
        counts[unit] += 1
        assert weight.tolist() == [1.0]
    np.testing.assert_allclose(counts / 3000, [1 / 6, 2 / 6, 3 / 6], atol=0.05)  # five standard deviations
    units, weight = priorities.draw(rng, 3)
    assert sorted(units) == [0, 1, 2]
    np.testing.assert_allclose(weight[np.argsort(units)], [1, 1 / 2, 1 / 3])


def test_alpha_zero_is_uniform():
    priorities = Priorities(alpha=0.0)
    priorities.append(2)
    priorities.update(np.array([0]), np.array([1000.0]))
    assert priorities.draw(np.random.default_rng(0), 2)[1].tolist() == [1.0, 1.0]


def test_new_units_have_the_largest_priority():
    priorities = Priorities()
    priorities.append(2)
    assert priorities.values.tolist() == [1.0, 1.0]
    priorities.update(np.array([1]), np.array([5.0]))
    priorities.update(np.array([1]), np.array([0.5]))
    priorities.append(1)
    np.testing.assert_allclose(priorities.values, [1.0, 0.5, 5.0], atol=2 * FLOOR)


def test_ring_against_a_list():
    rng = np.random.default_rng(0)
    priorities, plain, largest = Priorities(), [], 1.0
    for _ in range(3000):
        new = int(rng.integers(1, 5))
        priorities.append(new)
        plain += [largest] * new
        old = int(rng.integers(0, max(len(plain) - 200, 0) + 1))
        priorities.drop(old)
        del plain[:old]
        unit, value = int(rng.integers(len(plain))), float(rng.random())
        priorities.update(np.array([unit]), np.array([value]))
        plain[unit] = value + FLOOR
        largest = max(largest, plain[unit])
        assert len(priorities.values) == len(plain)
    np.testing.assert_array_equal(priorities.values, plain)


@pytest.mark.parametrize("count", [0, 3])
def test_state_round_trip(count):
    priorities, other = Priorities(), Priorities()
    priorities.append(count)
    priorities.update(np.arange(count), np.arange(count) + 2.0) if count else None
    other.append(7)
    other.load_state_dict(priorities.state_dict())
    for each in (priorities, other):
        each.append(2)
    np.testing.assert_array_equal(other.values, priorities.values)
