"""Targets and losses: values by hand, and against brute-force recursion over single episodes."""

import pytest
import torch

from dimix.check.targets import largest_difference
from dimix.policy import value_learning as vl

T = torch.tensor


def test_chosen_q():
    q = T([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert vl.chosen_q(q, T([2, 0])).tolist() == [3.0, 4.0]


def test_masked_max_and_argmax_ignore_what_is_not_available():
    q = T([[5.0, 1.0, 2.0], [-3.0, -1.0, 9.0], [1.0, 1.0, 0.0]])
    mask = T([[False, True, True], [True, True, False], [True, True, True]])
    assert vl.masked_max(q, mask).tolist() == [2.0, -1.0, 1.0]
    assert vl.masked_argmax(q, mask).tolist() == [2, 1, 0]  # the first one on a tie


def test_masks_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"q has shape \(2, 3\), action_mask \(2, 4\). They must be equal."):
        vl.masked_max(torch.zeros(2, 3), torch.ones(2, 4, dtype=torch.bool))


# Three episodes of two steps: terminated, cut (time limit or window), and one of one step that was cut, then padding.
REWARD = T([[1.0, 2.0], [1.0, 2.0], [1.0, 99.0]])
TERMINATED = T([[False, True], [False, False], [False, False]])
FILLED = T([[True, True], [True, True], [True, False]])
NEXT_Q = T([[10.0, 20.0], [10.0, 20.0], [10.0, 77.0]])


def test_one_step_by_hand():
    target = vl.one_step_targets(REWARD, TERMINATED, NEXT_Q, 0.5)
    # 1 + .5*10, 2 | 1 + .5*10, 2 + .5*20 | 1 + .5*10
    assert target[FILLED].tolist() == [6.0, 2.0, 6.0, 12.0, 6.0]


def test_td_lambda_by_hand():
    target = vl.td_lambda_targets(REWARD, TERMINATED, FILLED, NEXT_Q, 0.5, 0.6)
    # terminated: G1 = 2, G0 = 1 + .5*(.4*10 + .6*2) = 3.6
    # cut: G1 = 2 + .5*20 = 12, G0 = 1 + .5*(.4*10 + .6*12) = 6.6
    # one step: G0 = 1 + .5*10 = 6, whatever the padding holds
    torch.testing.assert_close(target[FILLED], T([3.6, 2.0, 6.6, 12.0, 6.0]))


def test_q_lambda_by_hand():
    chosen = T([[8.0, 55.0], [8.0, 55.0], [55.0, 55.0]])  # 55 is never read
    target = vl.q_lambda_targets(REWARD, TERMINATED, FILLED, NEXT_Q, chosen, 0.5, 0.6)
    # terminated: G1 = 2, G0 = 1 + .5*(10 + .6*(2 - 8)) = 4.2
    # cut: G1 = 12, G0 = 1 + .5*(10 + .6*(12 - 8)) = 7.2
    torch.testing.assert_close(target[FILLED], T([4.2, 2.0, 7.2, 12.0, 6.0]))


def test_n_step_by_hand():
    target = vl.n_step_targets(REWARD, TERMINATED, FILLED, NEXT_Q, 0.5, 2)
    # terminated: 1 + .5*2 = 2, 2 | cut: 1 + .5*2 + .25*20 = 7, 2 + .5*20 = 12 | 6
    assert target[FILLED].tolist() == [2.0, 2.0, 7.0, 12.0, 6.0]


def test_n_step_below_one_is_refused():
    with pytest.raises(ValueError, match="n_step is 0. It must be at least 1."):
        vl.n_step_targets(REWARD, TERMINATED, FILLED, NEXT_Q, 0.5, 0)


@pytest.mark.parametrize(
    ("kind", "parameter"),
    [("td_lambda", p) for p in (0.0, 0.6, 1.0)]
    + [("q_lambda", p) for p in (0.0, 0.7, 1.0)]
    + [("n_step", p) for p in (1, 3, 50)],
)
@pytest.mark.parametrize("seed", range(3))
def test_against_brute_force(kind, parameter, seed):
    assert largest_difference(kind, parameter, seed) < 1e-9


def test_targets_keep_an_agent_axis():
    reward, next_q = REWARD[..., None], torch.stack([NEXT_Q, 2 * NEXT_Q], -1)
    both = vl.td_lambda_targets(reward, TERMINATED[..., None], FILLED[..., None], next_q, 0.5, 0.6)
    torch.testing.assert_close(both[..., 0], vl.td_lambda_targets(REWARD, TERMINATED, FILLED, NEXT_Q, 0.5, 0.6))
    torch.testing.assert_close(both[..., 1], vl.td_lambda_targets(REWARD, TERMINATED, FILLED, 2 * NEXT_Q, 0.5, 0.6))


def test_targets_do_not_change_their_arguments():
    before = [t.clone() for t in (REWARD, NEXT_Q)]
    vl.td_lambda_targets(REWARD, TERMINATED, FILLED, NEXT_Q, 0.5, 0.0)
    assert all(torch.equal(a, b) for a, b in zip(before, (REWARD, NEXT_Q), strict=True))


def test_masked_loss_by_hand():
    error = T([[1.0, 2.0], [3.0, torch.nan]])
    mask = T([[True, True], [True, False]])
    assert vl.masked_loss(error, mask).item() == pytest.approx((0.5 + 2.0 + 4.5) / 3)
    weight = T([[2.0], [0.0]])
    assert vl.masked_loss(error, mask, weight).item() == pytest.approx((1.0 + 4.0 + 0.0) / 3)


def test_masked_loss_has_no_gradient_outside_the_mask():
    error = T([[1.0, torch.nan]], requires_grad=True)
    vl.masked_loss(error, T([[True, False]])).backward()
    assert error.grad.tolist() == [[1.0, 0.0]]
