"""Prioritised sampling: chances and weights by hand, and the ring behind them."""

import numpy as np
import pytest

from dimix.replay.priorities import FLOOR, Priorities


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


def chances_without_replacement(p):
    """Chance of each ordered pair (i, j) of different units: p_i times p_j among those that are left."""
    n = len(p)
    return np.array([[p[i] * p[j] / (1 - p[i]) if i != j else 0.0 for j in range(n)] for i in range(n)])


def test_a_draw_of_two_has_the_chances_of_the_formula():
    priorities = Priorities(alpha=1.0)
    priorities.append(4)
    p = np.array([0.1, 0.2, 0.3, 0.4])
    priorities.update(np.arange(4), p - FLOOR)
    rng, counts, draws = np.random.default_rng(1), np.zeros((4, 4)), 20_000
    for _ in range(draws):
        first, second = priorities.draw(rng, 2)[0]
        counts[first, second] += 1
    expected = chances_without_replacement(p)
    np.testing.assert_allclose(counts / draws, expected, atol=0.014)  # four standard deviations of the commonest
    assert counts[expected == 0].sum() == 0


def test_drawing_everything_gives_each_unit_once_and_leaves_the_tree_as_it_was():
    priorities, rng = Priorities(alpha=0.7), np.random.default_rng(0)
    priorities.append(1500)  # more than the first ring holds
    priorities.update(np.arange(1500), rng.random(1500) ** 8)
    before = priorities._tree.copy()
    units, weight = priorities.draw(rng, 1500)
    assert sorted(units) == list(range(1500))
    np.testing.assert_array_equal(priorities._tree, before)
    powers = priorities.values**0.7
    np.testing.assert_allclose(weight, (powers[units] / powers.min()) ** -0.4)


def test_beta_rises_to_one_over_the_draws():
    priorities, rng = Priorities(alpha=1.0, beta=0.4, anneal_step=3), np.random.default_rng(0)
    priorities.append(2)
    priorities.update(np.arange(2), np.array([1.0, 4.0]) - FLOOR)
    for beta in (0.4, 0.6, 0.8, 1.0, 1.0):  # 0.2 more with each draw
        assert priorities.beta == pytest.approx(beta)
        units, weight = priorities.draw(rng, 2)
        np.testing.assert_allclose(weight[np.argsort(units)], [1.0, 4.0**-beta])


def test_a_restored_tree_draws_the_same():
    priorities = Priorities(anneal_step=10)
    play = np.random.default_rng(0)
    for _ in range(300):  # the ring has turned: the oldest unit lies somewhere in the middle
        priorities.append(7)
        priorities.drop(int(priorities._count > 900) * 7)
        units, _ = priorities.draw(play, 5)
        priorities.update(units, play.random(5))
    other = Priorities(anneal_step=10)
    other.load_state_dict(priorities.state_dict())
    np.testing.assert_array_equal(other._tree, priorities._tree)
    one, two = (np.random.default_rng(3) for _ in range(2))
    for _ in range(20):
        for a, b in zip(priorities.draw(one, 32), other.draw(two, 32), strict=True):
            np.testing.assert_array_equal(a, b)


def test_state_of_a_version_without_a_tree_is_read():
    old = Priorities()
    old.load_state_dict({"values": np.array([1.0, 3.0]), "largest": 3.0})
    old.append(1)
    assert old.values.tolist() == [1.0, 3.0, 3.0]
