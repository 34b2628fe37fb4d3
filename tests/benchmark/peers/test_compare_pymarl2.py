"""Our side of the comparison with PyMARL2: updates in single and double precision, of the same loss."""

from __future__ import annotations

import pytest
import torch

from benchmark.peers.compare_pymarl2 import make_policy, record
from dimix.replay.batch import batch_fields, make_batch


@pytest.fixture(scope="module")
def battles():
    return record("3m", 3)


@pytest.mark.parametrize("learner", ["qmix", "ow", "cw", "qplex", "qplex_original", "qatten"])
def test_all_forms_find_one_loss(battles, learner):
    batch, sizes = battles
    losses = []
    for dtype, fused in ((torch.float64, False), (torch.float32, False), (torch.float32, True)):
        policy = make_policy(sizes, dtype, fused, learner)
        floats = {k: v.to(dtype) if v.is_floating_point() else v for k, v in batch_fields(batch).items()}
        losses.append(policy.learn_mode.forward(make_batch(floats))["loss"])
        assert all(p.grad.dtype == dtype for p in policy.model.parameters())
    assert losses[1:] == pytest.approx([losses[0]] * 2, rel=1e-5)
