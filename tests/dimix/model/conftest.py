"""What every agent network has to satisfy."""

import pytest
import torch


def acting_equals_unrolling(model, obs):
    """Step by step from zero, obs (B, T, A, O) gives the values and the last state of the whole sequence."""
    with torch.no_grad():
        q, last = model.unroll(obs)
        hidden = model.init_hidden(len(obs))
        for t in range(obs.shape[1]):
            step_q, hidden = model.forward_step(obs[:, t], hidden)
            torch.testing.assert_close(step_q, q[:, t], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(last, hidden, atol=1e-6, rtol=1e-5)


@pytest.fixture
def check_acting():
    return acting_equals_unrolling
