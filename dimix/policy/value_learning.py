"""The mathematics of Q-learning on batches of episodes: pure functions of tensors.

Shapes: ``(B, T, ...)`` with B episodes and T steps; axes after the time axis (none for a team's value, the agents for
independent learners) are equal in all arguments of a call or broadcast. Step t leads from row t to row t+1, so
``next_q[:, t]`` is the value of row t+1, computed with the target network.

Two masks say how an episode ends, which decides what a target may use:

- ``terminated[:, t]``: the game ended with step t; nothing is added for row t+1.
- ``filled[:, t]``: step t is real, not padding. If the last real step did not terminate, the episode was cut there, by
  its time limit or by the edge of a window: the target bootstraps fully from row t+1.

The functions that compute targets return (B, T, ...) float and share these arguments: `reward` (B, T, ...) float;
`terminated` and `filled` (B, T, ...) bool; `next_q` (B, T, ...) float; `gamma`, the discount, in [0, 1].

Episodes of one batch may have any lengths. Targets of steps that are not filled are meaningless but finite.
"""

from __future__ import annotations

import torch
from torch import Tensor


def chosen_q(q: Tensor, action: Tensor) -> Tensor:
    """Q-value of the action taken.

    Args:
        q: (..., N) float.
        action: (...) int64, in [0, N).

    Returns:
        (...) float.
    """
    return q.gather(-1, action.unsqueeze(-1)).squeeze(-1)


def masked_argmax(q: Tensor, action_mask: Tensor) -> Tensor:
    """Best available action; the first one on a tie.

    Args:
        q: (..., N) float.
        action_mask: (..., N) bool, True where the action may be taken; at least one per row.

    Returns:
        (...) int64.

    Raises:
        ValueError: the shapes differ.
    """
    return _available(q, action_mask).argmax(dim=-1)


def masked_max(q: Tensor, action_mask: Tensor) -> Tensor:
    """Largest Q-value among the available actions.

    Args:
        q: (..., N) float.
        action_mask: (..., N) bool, True where the action may be taken; at least one per row.

    Returns:
        (...) float.

    Raises:
        ValueError: the shapes differ.
    """
    return _available(q, action_mask).amax(dim=-1)


def _available(q: Tensor, action_mask: Tensor) -> Tensor:
    if q.shape != action_mask.shape:
        raise ValueError(f"q has shape {tuple(q.shape)}, action_mask {tuple(action_mask.shape)}. They must be equal.")
    return torch.where(action_mask, q, -torch.inf)


def followed(filled: Tensor) -> Tensor:
    """(B, T, ...) bool, True where the next step of the same episode is in the batch."""
    out = torch.zeros_like(filled)
    out[:, :-1] = filled[:, 1:]
    return out


def one_step_targets(reward: Tensor, terminated: Tensor, next_q: Tensor, gamma: float) -> Tensor:
    """Targets of one-step Q-learning: ``r_t + gamma * next_q_t``, without the second term if the game ended."""
    return reward + gamma * next_q * ~terminated


def n_step_targets(
    reward: Tensor, terminated: Tensor, filled: Tensor, next_q: Tensor, gamma: float, n_step: int
) -> Tensor:
    """Sum of the next n rewards and the value of the row after them (Sutton and Barto, 2nd ed., section 7.1).

    With fewer than n steps left the sum ends with the episode: without bootstrap if it terminated, with the value of
    the last row if it was cut. `n_step` = 1 gives `one_step_targets`.

    Raises:
        ValueError: n_step is below 1.
    """
    if n_step < 1:
        raise ValueError(f"n_step is {n_step}. It must be at least 1.")
    goes_on = followed(filled)
    target = one_step_targets(reward, terminated, next_q, gamma)
    for _ in range(n_step - 1):
        following = torch.where(goes_on, target.roll(-1, dims=1), next_q)
        target = one_step_targets(reward, terminated, following, gamma)
    return target


def td_lambda_targets(
    reward: Tensor, terminated: Tensor, filled: Tensor, next_q: Tensor, gamma: float, td_lambda: float
) -> Tensor:
    """TD(lambda) targets along the path taken, without trace cutting (Peng's Q(lambda) if next_q is a maximum).

    ``G_t = r_t + gamma * ((1 - lambda) * next_q_t + lambda * G_{t+1})``, where ``G_{t+1}`` is ``next_q_t`` after the
    last step of a cut episode, and the bracket is 0 if the game ended. Equal to PyMARL2's ``build_td_lambda_targets``
    for episodes that terminate or fill the whole batch; PyMARL2 lets the value of padding leak into shorter ones that
    were cut. `td_lambda` is in [0, 1]; 0 gives `one_step_targets`, 1 the return of the whole episode.
    """
    trace = td_lambda * followed(filled).to(next_q.dtype)
    discount = gamma * (~terminated).to(next_q.dtype)
    return _solve_backwards(reward + discount * (1.0 - trace) * next_q, discount * trace)


def q_lambda_targets(
    reward: Tensor,
    terminated: Tensor,
    filled: Tensor,
    next_q: Tensor,
    next_q_chosen: Tensor,
    gamma: float,
    td_lambda: float,
) -> Tensor:
    """Q(lambda) targets with off-policy corrections (Harutyunyan et al. 2016).

    ``G_t = r_t + gamma * (next_q_t + lambda * (G_{t+1} - next_q_chosen_t))``: every later step adds its TD error
    against the greedy value. After the last step in the batch the inner bracket is 0. PyMARL2's
    ``build_q_lambda_targets`` also adds the correction of step t itself, so its lambda = 0 is not one-step Q-learning.

    `next_q` is the greedy value, `next_q_chosen` (B, T, ...) that of the action taken in row t+1; it is not read if
    step t+1 is not filled. `td_lambda` is in [0, 1].
    """
    trace = td_lambda * followed(filled).to(next_q.dtype)
    discount = gamma * (~terminated).to(next_q.dtype)
    return _solve_backwards(reward + discount * (next_q - trace * next_q_chosen), discount * trace)


def _solve_backwards(constant: Tensor, factor: Tensor) -> Tensor:
    """G with ``G_t = constant_t + factor_t * G_{t+1}`` along axis 1, ``factor`` being 0 at the last step."""
    constants = constant.transpose(0, 1).contiguous()  # time first: each step is one contiguous row
    factors = factor.expand_as(constant).transpose(0, 1).contiguous()
    rows, scale = constants.unbind(0), factors.unbind(0)
    for t in range(len(rows) - 2, -1, -1):
        rows[t].addcmul_(scale[t], rows[t + 1])
    return constants.transpose(0, 1)


def masked_mean(x: Tensor, mask: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean over the entries in the mask; the weight scales entries, not their number.

    Args:
        x: any shape; entries outside the mask may be anything, even NaN.
        mask: bool, broadcastable to x, True for at least one entry.
        weight: float, broadcastable to x, or None for ones.

    Returns:
        () float.
    """
    kept = torch.where(mask, x, 0.0)
    if weight is not None:
        kept = kept * weight
    return kept.sum() / mask.expand_as(x).sum()


def masked_loss(td_error: Tensor, mask: Tensor, weight: Tensor | None = None) -> Tensor:
    """Half the squared TD error, averaged over the mask.

    Args:
        td_error: (B, T, ...) float.
        mask: bool, broadcastable to td_error, True for at least one entry.
        weight: float, broadcastable to td_error (importance weights, the weights of WQMIX), or None for ones.

    Returns:
        () float.
    """
    kept = torch.where(mask, td_error, 0.0)  # before the square: the gradient of NaN times 0 is NaN
    return masked_mean(0.5 * kept.square(), mask, weight)
