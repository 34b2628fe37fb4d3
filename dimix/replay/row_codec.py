"""Lossless compression of one row of a game (its state at one moment) in the replay buffer.

SMAC's observations are mostly zeros (units out of sight, dead agents) and ones (flags, one-hots, full health). A row is
therefore stored as uint32 words::

    for each agent, then for the global state, per 32 values:
        1 word   which of them are not zero (by bits: -0.0 counts as not zero)
        1 word   which of them are 1.0               only when any is not zero
        n words  the remaining values, float32 bits
    the action masks of all agents as bits, then the alive flags as bits

Nothing is rounded. ``benchmark/speed/replay_memory.py`` measures the savings.
"""

from __future__ import annotations

import numpy as np

from dimix.machine.compiled import compiled

ONE = np.uint32(0x3F800000)  # bits of 1.0 as float32
WORD = 32  # bits of a word

_DE_BRUIJN = 0x077CB531
_BIT_NUMBER = np.zeros(WORD, np.int64)
for _bit in range(WORD):
    _BIT_NUMBER[((_DE_BRUIJN << _bit) & 0xFFFFFFFF) >> 27] = _bit


def words_for(bits: int) -> int:
    """Number of words that hold this many bits."""
    return -(-bits // WORD)


def max_row_words(agent_num: int, obs_shape: int, global_obs_shape: int, action_shape: int) -> int:
    """Maximum words of a row, reached when no value is zero or one."""
    values = agent_num * (obs_shape + 2 * words_for(obs_shape)) + global_obs_shape + 2 * words_for(global_obs_shape)
    return values + words_for(agent_num * action_shape) + words_for(agent_num)


@compiled()
def _pack_floats(values: np.ndarray, out: np.ndarray, at: int) -> int:
    size = values.shape[0]
    for first in range(0, size, WORD):
        last = min(first + WORD, size)
        seen = np.uint32(0)
        for i in range(first, last):
            seen |= values[i]
        if seen == 0:
            out[at] = 0
            at += 1
            continue
        nonzero, ones, slot = 0, 0, at + 2
        for i in range(first, last):  # branch-free, because zeros are unpredictable
            bits = values[i]
            is_nonzero, is_one = int(bits != 0), int(bits == ONE)
            nonzero |= is_nonzero << (i - first)
            ones |= is_one << (i - first)
            out[slot] = bits
            slot += is_nonzero - is_one
        out[at] = nonzero
        out[at + 1] = ones
        at = slot
    return at


@compiled()
def _unpack_floats(words: np.ndarray, at: int, out: np.ndarray) -> int:
    out[:] = 0
    for first in range(0, out.shape[0], WORD):
        nonzero = int(words[at])
        at += 1
        if nonzero == 0:
            continue
        ones = int(words[at])
        at += 1
        other = nonzero & ~ones
        while ones != 0:
            lowest = ones & -ones
            out[first + _bit_number(lowest)] = ONE
            ones ^= lowest
        while other != 0:
            lowest = other & -other
            out[first + _bit_number(lowest)] = words[at]
            at += 1
            other ^= lowest
    return at


@compiled()
def _bit_number(power: int) -> int:
    """Exponent (0 to 31) of a power of two: multiplying by a de Bruijn sequence gives each a different top pattern."""
    return _BIT_NUMBER[((power * _DE_BRUIJN) & 0xFFFFFFFF) >> 27]


@compiled()
def _pack_bits(flags: np.ndarray, out: np.ndarray, at: int) -> int:
    size = flags.shape[0]
    for first in range(0, size, WORD):
        word = 0
        for i in range(first, min(first + WORD, size)):
            word |= int(flags[i]) << (i - first)
        out[at] = word
        at += 1
    return at


@compiled()
def _unpack_bits(words: np.ndarray, at: int, out: np.ndarray) -> int:
    size = out.shape[0]
    for first in range(0, size, WORD):
        word = int(words[at])
        at += 1
        for i in range(first, min(first + WORD, size)):
            out[i] = (word >> (i - first)) & 1
    return at


@compiled()
def pack_rows(
    env_ids: np.ndarray,
    agent_state: np.ndarray,
    global_state: np.ndarray,
    action_mask: np.ndarray,
    alive: np.ndarray,
    words: np.ndarray,
    row_start: np.ndarray,
    num_rows: np.ndarray,
) -> None:
    """Append one row to the open episode of each given game.

    Args:
        env_ids: (K,) int64, games to write.
        agent_state: (E, A, O_base) uint32 view of float32.
        global_state: (E, S) uint32 view of float32.
        action_mask: (E, A * N) bool.
        alive: (E, A) bool.
        words: (E, W) uint32, written from ``row_start[e, num_rows[e]]`` on, up to one word past the end of the row.
        row_start: (E, R + 1) int64, start of each row, followed by the end of the last one.
        num_rows: (E,) int64, incremented.
    """
    for env in env_ids:
        row = num_rows[env]
        at = row_start[env, row]
        for agent in range(agent_state.shape[1]):
            at = _pack_floats(agent_state[env, agent], words[env], at)
        at = _pack_floats(global_state[env], words[env], at)
        at = _pack_bits(action_mask[env], words[env], at)
        at = _pack_bits(alive[env], words[env], at)
        num_rows[env] = row + 1
        row_start[env, row + 1] = at


@compiled()
def unpack_rows(
    words: np.ndarray,
    at: int,
    first_step: int,
    num_rows: int,
    action: np.ndarray,
    columns: tuple[int, int, int],
    agent_state: np.ndarray,
    global_state: np.ndarray,
    action_mask: np.ndarray,
    alive: np.ndarray,
) -> None:
    """Unpack consecutive rows of one episode into one row of a batch, adding the one-hots of the agents' input.

    Args:
        words: (W,) uint32, the episode.
        at: start of row ``first_step`` in ``words``.
        first_step: first row to unpack.
        num_rows: rows to unpack; the rest of the output becomes padding.
        action: (T, A) unsigned, all actions of the episode.
        columns: base size, column of the last action, column of the agent id (-1: left out).
        agent_state: (R, A, O) uint32 view of float32, output.
        global_state: (R, S) uint32 view of float32, output.
        action_mask: (R, A * N) bool, output.
        alive: (R, A) bool, output.
    """
    base, last_action_column, agent_id_column = columns
    agents = agent_state.shape[1]
    for row in range(num_rows):
        for agent in range(agents):
            target = agent_state[row, agent]
            at = _unpack_floats(words, at, target[:base])
            target[base:] = 0
            if last_action_column >= 0 and first_step + row > 0:
                target[last_action_column + np.int64(action[first_step + row - 1, agent])] = ONE
            if agent_id_column >= 0:
                target[agent_id_column + agent] = ONE
        at = _unpack_floats(words, at, global_state[row])
        at = _unpack_bits(words, at, action_mask[row])
        at = _unpack_bits(words, at, alive[row])
    agent_state[num_rows:] = 0
    global_state[num_rows:] = 0
    alive[num_rows:] = False
    action_mask[num_rows:] = False
    actions = action_mask.shape[1] // agents
    for row in range(num_rows, action_mask.shape[0]):
        for agent in range(agents):
            action_mask[row, agent * actions] = True
