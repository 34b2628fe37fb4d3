"""One counter-based random stream per battle: draw n of a battle depends only on its key and n."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dizoo.smac.battle.kernels.compiler import inlined

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)
_S11, _S27, _S30, _S31, _S32 = np.uint64(11), np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)
_LOW_HALF = np.uint64(0xFFFFFFFF)
_ONE = np.uint64(1)
_TO_UNIT = 2.0**-53


def _mix(z):  # type: ignore[no-untyped-def]  # one text for numpy arrays and for compiled scalars
    """The finalizer of SplitMix64 (Steele, Lea, Flood 2014): a bijection of 64-bit words that looks random."""
    z = (z ^ (z >> _S30)) * _MIX_A
    z = (z ^ (z >> _S27)) * _MIX_B
    return z ^ (z >> _S31)


mix = inlined(_mix)


def stream_keys(seed: int, battles: NDArray[np.integer]) -> NDArray[np.uint64]:
    """Return keys (n,) of the random streams of battles with indices (n,).

    A key depends only on the lowest 64 bits of the seed and on the battle's index, not on the number of battles.
    """
    seed_word = _mix(np.array([seed & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64) + _GOLDEN)
    keys: NDArray[np.uint64] = _mix(seed_word ^ _mix(battles.astype(np.uint64) * _GOLDEN + _ONE))
    return keys


@inlined
def next_word(battle):
    """Return the next 64 random bits of a battle (BATTLE record) and advance its count of draws."""
    count = battle.stream_count + _ONE
    battle.stream_count = count
    return mix(mix(count * _GOLDEN + battle.stream_key) ^ battle.stream_key)


@inlined
def next_unit(battle):
    """Return a float uniform in [0, 1), with 53 random bits."""
    return np.float64(next_word(battle) >> _S11) * _TO_UNIT


@inlined
def shuffle(order, n, battle):
    """Shuffle order[:n] in place (Fisher-Yates); all orders are equally likely up to n / 2^32.

    One word of the stream serves two swaps. Nothing is drawn for n <= 1.
    """
    word = np.uint64(0)
    for i in range(n - 1, 0, -1):
        if (n - 1 - i) % 2 == 0:
            word = next_word(battle)
            half = word >> _S32
        else:
            half = word & _LOW_HALF
        j = np.int64((half * np.uint64(i + 1)) >> _S32)  # multiply and shift: no division, no rejection
        swap = order[i]
        order[i] = order[j]
        order[j] = swap
