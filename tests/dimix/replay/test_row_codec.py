"""Rows in few bytes: exact for every bit pattern, and never longer than promised."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dimix.replay.row_codec import max_row_words, pack_rows, unpack_rows, words_for

SPECIAL = np.array(
    [0.0, -0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 1e-45, np.float32(1) + np.float32(2**-23)], np.float32
)


def pack(agent_state, global_state, action_mask, alive, spare=1):
    """All rows of one game (T, ...) -> words, row starts."""
    rows, agents, obs = agent_state.shape
    longest = max_row_words(agents, obs, global_state.shape[1], action_mask.shape[2])
    words = np.zeros((1, rows * longest + spare), np.uint32)
    start, count = np.zeros((1, rows + 1), np.int64), np.zeros(1, np.int64)
    for t in range(rows):
        args = (agent_state[t : t + 1].view(np.uint32), global_state[t : t + 1].view(np.uint32))
        flags = (action_mask[t : t + 1].reshape(1, -1), alive[t : t + 1])
        pack_rows(np.zeros(1, np.int64), *args, *flags, words, start, count)
    assert count[0] == rows
    assert (np.diff(start[0]) <= longest).all()
    return words[0], start[0]


def unpack(words, start, first, rows, out_rows, action, shape, columns):
    """Rows [first, first + rows) into a batch row of out_rows rows full of rubbish."""
    agents, actions, size, state = shape
    out = (
        np.full((out_rows, agents, size), np.nan, np.float32),
        np.full((out_rows, state), np.nan, np.float32),
        np.ones((out_rows, agents * actions), bool),
        np.ones((out_rows, agents), bool),
    )
    unpack_rows(
        words, int(start[first]), first, rows, action, columns, out[0].view(np.uint32), out[1].view(np.uint32), *out[2:]
    )
    return out[0], out[1], out[2].reshape(out_rows, agents, actions), out[3]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(1, 3),
    st.sampled_from([1, 31, 32, 33, 70]),
    st.sampled_from([1, 32, 45]),
    st.integers(1, 40),
    st.floats(0, 1),
    st.integers(0, 2**32 - 1),
)
def test_what_comes_out_is_what_went_in(rows, agents, obs, state, actions, density, seed):
    rng = np.random.default_rng(seed)

    def values(*shape):
        picked = SPECIAL[rng.integers(0, len(SPECIAL), shape)]
        mixed = np.where(rng.random(shape) < 0.5, picked, rng.normal(size=shape).astype(np.float32))
        return np.where(rng.random(shape) < density, mixed, np.float32(0))

    agent_state, global_state = values(rows, agents, obs), values(rows, state)
    action_mask, alive = rng.random((rows, agents, actions)) < 0.4, rng.random((rows, agents)) < 0.7
    words, start = pack(agent_state, global_state, action_mask, alive)
    words = words[: start[-1]].copy()  # nothing behind the last row is needed
    action = rng.integers(0, actions, (rows, agents)).astype(np.uint8)
    got = unpack(words, start, 0, rows, rows, action, (agents, actions, obs, state), (obs, -1, -1))
    np.testing.assert_array_equal(got[0].view(np.uint32), agent_state.view(np.uint32))
    np.testing.assert_array_equal(got[1].view(np.uint32), global_state.view(np.uint32))
    np.testing.assert_array_equal(got[2], action_mask)
    np.testing.assert_array_equal(got[3], alive)


def test_one_hots_and_padding_by_hand():
    agent_state = np.array([[[0.5, 0]], [[1, 2]], [[3, 0]]], np.float32)  # T=3 rows, A=1, O_base=2
    global_state = np.array([[7.0], [8.0], [9.0]], np.float32)
    action_mask = np.array([[[0, 1]], [[1, 1]], [[0, 1]]], bool)
    words, start = pack(agent_state, global_state, action_mask, np.ones((3, 1), bool))
    action = np.array([[1], [0]], np.uint8)
    got = unpack(words, start, 1, 2, 4, action, (1, 2, 5, 1), (2, 2, 4))
    #                                    base  last action  id
    np.testing.assert_array_equal(got[0][:, 0], [[1, 2, 0, 1, 1], [3, 0, 1, 0, 1], [0] * 5, [0] * 5])
    np.testing.assert_array_equal(got[1], [[8], [9], [0], [0]])
    np.testing.assert_array_equal(got[2][:, 0], [[True, True], [False, True], [True, False], [True, False]])
    np.testing.assert_array_equal(got[3][:, 0], [True, True, False, False])


def test_first_row_of_an_episode_has_no_last_action():
    words, start = pack(
        np.zeros((1, 1, 2), np.float32), np.zeros((1, 1), np.float32), np.ones((1, 1, 2), bool), np.ones((1, 1), bool)
    )
    got = unpack(words, start, 0, 1, 1, np.ones((1, 1), np.uint8), (1, 2, 5, 1), (2, 2, 4))
    np.testing.assert_array_equal(got[0][0, 0], [0, 0, 0, 0, 1])


@pytest.mark.parametrize(("bits", "words"), [(1, 1), (32, 1), (33, 2), (160, 5)])
def test_words_for(bits, words):
    assert words_for(bits) == words


def test_a_row_of_zeros_is_short_and_a_dense_row_is_as_long_as_promised():
    flags = np.ones((1, 2, 3), bool), np.ones((1, 2), bool)
    _, start = pack(np.zeros((1, 2, 64), np.float32), np.zeros((1, 32), np.float32), *flags)
    assert start[1] == 2 * 2 + 1 + 1 + 1  # one word per 32 values, one for 6 mask bits, one for 2 alive bits
    _, start = pack(np.full((1, 2, 64), 0.5, np.float32), np.full((1, 32), 0.5, np.float32), *flags)
    assert start[1] == max_row_words(2, 64, 32, 3) == 2 * (64 + 4) + 32 + 2 + 1 + 1
