"""Numbers and rows as people read them."""

import pytest

from dimix.machine.text import aligned, duration, format_bytes, short


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (950, "950"), (9_800, "9.8k"), (120_000, "120k"), (2_000_000, "2.0M"), (99_960, "100k"), (3e9, "3.0G")],
)
def test_short_numbers(number, text):
    assert short(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59.4, "59s"), (191.8, "3m12s"), (3599.6, "1h00m"), (7500, "2h05m")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(12, "12 B"), (1500, "1.5 kB"), (625_000, "625 kB"), (1.9e9, "1.9 GB"), (36.6e9, "36.6 GB")]
)
def test_format_bytes(size, text):
    assert format_bytes(size) == text


def test_columns_are_as_wide_as_their_longest_cell():
    assert aligned([("a", "score"), ("seed 10", "1")]) == "a        score\nseed 10  1"
