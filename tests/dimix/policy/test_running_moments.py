"""Mean and deviation piece by piece equal those of everything at once."""

import numpy as np
import pytest
import torch

from dimix.policy.running_moments import RunningMoments


def test_pieces_equal_the_whole():
    rng = np.random.default_rng(0)
    pieces = [1e4 + rng.standard_normal(n) * n for n in (1, 5, 0, 64, 2)]  # far from 0: a naive sum of squares fails
    moments = RunningMoments()
    for piece in pieces:
        moments.add(torch.from_numpy(piece))
    whole = np.concatenate(pieces)
    assert (moments.count, moments.mean) == (72, pytest.approx(whole.mean(), rel=1e-14))
    assert moments.std == pytest.approx(whole.std(), rel=1e-9)


def test_before_the_first_number_nothing_is_changed():
    assert (RunningMoments().mean, RunningMoments().std) == (0.0, 1.0)


def test_state_round_trip():
    moments, other = RunningMoments(), RunningMoments()
    moments.add(torch.tensor([1.0, 2.0]))
    other.load_state_dict(moments.state_dict())
    for each in (moments, other):
        each.add(torch.tensor([7.0]))
    assert (moments.mean, moments.std) == (other.mean, other.std)
    assert other.mean == pytest.approx(10 / 3) and other.std == pytest.approx((62 / 9) ** 0.5)
