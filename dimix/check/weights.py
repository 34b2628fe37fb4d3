"""WQMIX's weights on ten steps worked out by hand."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from dimix.check.oracles import Entry
from dimix.check.updates import ALPHA, small_policy
from dimix.model import Values, WQMix
from dimix.replay.batch import EpisodeBatch, make_batch

# Every agent's q is (0, 1, 4, 2, 3), so its greedy action is 2, or 4 if 2 is masked. Its central value is
# (1, 2, 3, 4, 5), and the central mixer is a sum: Q*(greedy) = 3 + 3 + 3 = 9; 6 if one agent is dead; 5 + 3 + 3 = 11
# if agent 0 must play 4.
Q, CENTRAL_Q = (0.0, 1.0, 4.0, 2.0, 3.0), (1.0, 2.0, 3.0, 4.0, 5.0)
ALL, ONE_DEAD = (True, True, True), (True, True, False)

#: Actions taken, agents alive, whether agent 0's action 2 is masked, y, q_tot - y; weights of OW and CW.
TABLE: list[tuple[tuple[int, ...], tuple[bool, ...], bool, float, float, float, float]] = [
    ((2, 2, 2), ALL, False, 8.0, 1.0, ALPHA, 1.0),  # all greedy
    ((2, 2, 2), ALL, False, 8.0, -1.0, 1.0, 1.0),
    ((2, 0, 2), ALL, False, 10.0, 1.0, ALPHA, 1.0),  # 10 > 9
    ((2, 0, 2), ALL, False, 8.0, 1.0, ALPHA, ALPHA),
    ((2, 0, 2), ALL, False, 9.0, 0.0, ALPHA, ALPHA),  # equal is neither above nor below
    ((2, 2, 0), ONE_DEAD, False, 5.0, 1.0, ALPHA, 1.0),  # the dead agent's no-op is no choice
    ((2, 0, 0), ONE_DEAD, False, 7.0, -1.0, 1.0, 1.0),  # 7 > 6: the dead agent's value does not count
    ((2, 0, 0), ONE_DEAD, False, 5.0, -1.0, 1.0, ALPHA),
    ((4, 2, 2), ALL, True, 8.0, 1.0, ALPHA, 1.0),  # greedy among what is available
    ((1, 2, 2), ALL, True, 10.0, 1.0, ALPHA, ALPHA),  # 10 < 11
]


def right_weights() -> tuple[int, int]:
    """How many weights of the table a policy gets right, and how many there are."""
    right = 0
    for algorithm, column in (("OW-QMIX", 5), ("CW-QMIX", 6)):
        policy, batch = small_policy(algorithm), _batch()
        _make_sum(cast(WQMix, policy._target_model).central.mixer)
        tables = [torch.tensor(row, dtype=torch.float64).expand(len(TABLE), 2, 3, 5) for row in (Q, CENTRAL_Q)]
        values = {name: Values(q, q[..., :0]) for name, q in zip(("online", "target"), tables, strict=True)}
        found = policy._optimism(batch, values, _column(4), _column(3))  # type: ignore[attr-defined]
        right += int((found == _column(column)).sum())
    return right, 2 * len(TABLE)


def _column(number: int) -> Tensor:
    return torch.tensor([[row[number]] for row in TABLE], dtype=torch.float64)


def _batch() -> EpisodeBatch:
    """One step per row of the table."""
    n = len(TABLE)
    alive = torch.tensor([row[1] for row in TABLE]).unsqueeze(1).expand(n, 2, 3)
    mask = torch.ones(n, 2, 3, 5, dtype=torch.bool)
    mask[:, :, 0, 2] = ~torch.tensor([row[2] for row in TABLE]).unsqueeze(1)
    over = torch.ones(n, 1, dtype=torch.bool)
    return make_batch(
        {
            "obs.agent_state": torch.zeros(n, 2, 3, 7, dtype=torch.float64),
            "obs.global_state": torch.zeros(n, 2, 6, dtype=torch.float64),
            "obs.action_mask": mask,
            "alive": alive,
            "action": torch.tensor([row[0] for row in TABLE]).unsqueeze(1),
            "reward": torch.zeros(n, 1, dtype=torch.float64),
            "terminated": over,
            "truncated": ~over,
            "filled": over,
            "weight": torch.ones(n, dtype=torch.float64),
            "hidden_state": torch.zeros(n, 3, 8, dtype=torch.float64),
            "burnin": torch.zeros(n, dtype=torch.int64),
        }
    )


@torch.no_grad()
def _make_sum(mixer: Any) -> None:
    """Set weights with which the central mixer sums the agents' values, as long as the sum is positive."""
    for p in mixer.parameters():
        p.zero_()
    mixer.hidden[0].weight[0, -3:] = 1
    for layer in (*mixer.hidden[1:], mixer.out):
        layer.weight[0, 0] = 1


def _weights() -> tuple[bool, str]:
    right, all_of_them = right_weights()
    return right == all_of_them, f"{right} of {all_of_them}"


WEIGHTS: list[Entry] = [("WQMIX weights", "OW, CW by hand, one agent dead", "20 of 20", _weights)]
