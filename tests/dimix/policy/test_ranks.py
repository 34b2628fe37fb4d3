"""Two ranks with parts of a batch make the update that one process makes with all of it."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

from dimix.check.updates import FAMILY, small_batch, small_policy, with_other_target
from dimix.machine.processes import Job, Watcher, beside
from dimix.machine.ranks import ALONE, Place, free_store, joined
from dimix.replay.batch import batch_fields, cut_steps, make_batch
from dimix.replay.priorities import Priorities

#: Rows of each rank: 14 and 5 steps, so that an unweighted mean of both would be wrong.
PARTS = ([0, 1, 2], [3, 4])
CASES = {
    **{name: (name, {}) for name in FAMILY},
    "clipped by norm": ("QMIX", dict(clip_type="norm", clip_value=0.05)),
    "clipped by value": ("QMIX", dict(clip_type="value", clip_value=0.01)),
    "rewards of the batch": ("QMIX", dict(reward_normalize=True)),
    "rewards so far": ("VDN", dict(reward_standardise=True)),
    **{f"{name} in chunks": (name, dict(tbptt=2)) for name in ("QMIX", "OW-QMIX", "QTRAN-alt")},
    **{f"priority {kind}": ("OW-QMIX", dict(priority_type=kind)) for kind in ("mean", "max", "return")},
}


def part(batch, rows):
    """Some rows of a batch, cut to the longest of them, as the buffer does."""
    some = make_batch({name: x[rows] for name, x in batch_fields(batch).items()})
    return cut_steps(some, 0, int(some.filled.sum(1).max()))


def three_updates(ranks, case):
    """Weights, loss, priorities and gradients after three updates with this rank's rows of three batches."""
    algorithm, learn = CASES[case]
    like = small_policy(algorithm)
    cfg = copy.deepcopy(like._cfg)
    cfg.learn.update(learn)
    cfg.priority = cfg.priority_IS_weight = "priority" in case
    torch.manual_seed(0)
    policy = with_other_target(type(like)(cfg, seed=0, ranks=ranks), torch.float64)
    rows = PARTS[ranks.rank] if ranks.size > 1 else PARTS[0] + PARTS[1]
    priorities = []
    for seed in (7, 8, 9):
        batch = small_batch(seed=seed)
        batch.weight.copy_(torch.rand(5, generator=torch.Generator().manual_seed(seed)))
        metrics = policy.learn_mode.forward(part(batch, rows))
        priorities.append(torch.as_tensor(metrics.get("priority", np.zeros(len(rows)))))
    grads = {name: p.grad for name, p in policy.model.named_parameters() if p.grad is not None}
    return policy.model.state_dict(), grads, torch.stack(priorities, 1)


def drawn(ranks):
    """Importance weights of a draw; rank r holds the priorities r + 1 and r + 2."""
    priorities = Priorities(alpha=1.0, beta=1.0, ranks=ranks)
    priorities.append(2)
    priorities.update(np.arange(2), np.array([ranks.rank + 1.0, ranks.rank + 2.0]))
    units, weight = priorities.draw(np.random.default_rng(0), 2)
    return weight[np.argsort(units)].tolist()


def play_a_part(place, out=print, store=None):
    with joined(place, store) as ranks:
        found = {case: three_updates(ranks, case) for case in CASES}
        return pickle.dumps((found, drawn(ranks), ranks.share(5), ranks.every("abc"[ranks.rank])))


@pytest.fixture(scope="module")
def both():
    """What each of two ranks has found."""
    store = free_store(2)
    with beside([Job("other", play_a_part, {"place": Place(1, 2, 1, 2, store.port)})], Watcher()) as (child,):
        mine = play_a_part(Place(0, 2, 0, 2), store=store)
    assert child.error is None, child.error
    return pickle.loads(mine), pickle.loads(child.result)


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_make_the_update_of_one(both, case):
    weights, grads, priorities = three_updates(ALONE, case)
    for updates, *_ in both:
        found, found_grads, _ = updates[case]
        torch.testing.assert_close(found, weights, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(found_grads, grads, rtol=1e-9, atol=1e-9)
    assert all(torch.equal(x, both[1][0][case][0][name]) for name, x in both[0][0][case][0].items())
    torch.testing.assert_close(torch.cat([updates[case][2] for updates, *_ in both]), priorities)


def test_importance_weights_share_their_maximum(both):
    """Chances 1/3, 2/3 and 2/5, 3/5: (2 P)**-1 is 3/2, 3/4 and 5/4, 5/6, and the largest of all is 3/2."""
    assert both[0][1] == pytest.approx([1, 1 / 2], rel=1e-5)
    assert both[1][1] == pytest.approx([5 / 6, 5 / 9], rel=1e-5)


def test_shares_add_up(both):
    assert [share for _, _, share, _ in both] == [3, 2]
    assert [names for *_, names in both] == [["a", "b"], ["a", "b"]]
