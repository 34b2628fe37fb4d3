"""The random streams: uniform, independent of each other, and the same from Python and from compiled code."""

import numpy as np
from numba import njit

from dizoo.smac.battle.kernels.rng import next_unit, next_word, shuffle, stream_keys
from dizoo.smac.battle.kernels.state import BATTLE


@njit
def _words(battle, n):
    out = np.empty(n, np.uint64)
    for i in range(n):
        out[i] = next_word(battle)
    return out


@njit
def _units(battle, n):
    out = np.empty(n)
    for i in range(n):
        out[i] = next_unit(battle)
    return out


@njit
def _orders(battle, n, repeats):
    out = np.empty((repeats, n), np.int32)
    for r in range(repeats):
        for i in range(n):
            out[r, i] = i
        shuffle(out[r], n, battle)
    return out


def stream(seed=0, battle=0):
    record = np.zeros((), BATTLE)
    record["stream_key"] = stream_keys(seed, np.array([battle]))[0]
    return record


def draws(function, seed=0, battle=0, *args):
    return function(stream(seed, battle)[()], *args)


def test_a_draw_follows_from_key_and_count_alone():
    first = draws(_words, 3, 1, 10)
    resumed = stream(3, 1)
    resumed["stream_count"] = 4
    assert np.array_equal(_words(resumed[()], 6), first[4:])


def test_words_by_hand():
    # the definition, in Python's integers: two rounds of SplitMix64's finalizer
    def mix(z):
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            z = (z ^ (z >> shift)) * factor % 2**64
        return z ^ (z >> 31)

    key = int(stream(5, 2)["stream_key"])
    golden = 0x9E3779B97F4A7C15
    expected = [mix(mix((n * golden + key) % 2**64) ^ key) for n in (1, 2, 3)]
    assert draws(_words, 5, 2, 3).tolist() == expected


def test_streams_do_not_repeat_each_other():
    keys = np.concatenate([stream_keys(seed, np.arange(1000)) for seed in (0, 1, 2, -1, 2**64 + 7)])
    assert len(np.unique(keys)) == len(keys)
    words = np.stack([draws(_words, 0, battle, 1000) for battle in range(20)])
    assert len(np.unique(words)) == words.size
    units = np.stack([draws(_units, 0, battle, 4000) for battle in range(8)])
    correlation = np.corrcoef(units) - np.eye(8)
    assert np.abs(correlation).max() < 5 / np.sqrt(4000)


def test_units_are_uniform():
    units = draws(_units, 1, 0, 40000)
    assert units.min() >= 0 and units.max() < 1
    counts = np.histogram(units, bins=20, range=(0, 1))[0]
    # chi-squared with 19 degrees of freedom: above 43.8 once in a thousand
    assert ((counts - 2000) ** 2 / 2000).sum() < 43.8


def test_all_orders_are_equally_likely():
    orders = draws(_orders, 2, 0, 4, 24000)
    assert (np.sort(orders, axis=1) == np.arange(4)).all()
    codes, counts = np.unique(orders @ [64, 16, 4, 1], return_counts=True)
    # 24 orders, 1000 expected each; chi-squared with 23 degrees of freedom: above 49.7 once in a thousand
    assert len(codes) == 24 and ((counts - 1000) ** 2 / 1000).sum() < 49.7


def test_nothing_is_drawn_for_one_unit():
    record = stream()
    order = np.array([7], np.int32)
    njit(lambda o, b: shuffle(o, 1, b))(order, record[()])
    assert order[0] == 7
    assert njit(lambda b: b.stream_count)(record[()]) == 0
