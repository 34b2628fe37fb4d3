"""The mixer: its formula in plain loops, and monotonicity as a property."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dimix.model import Mixer


def plain_mix(mixer, q, state):
    """One row, written out: the hypernetworks one after the other."""

    def hypernet(column):
        low = sum(mixer.split[:column])
        high = low + mixer.split[column]
        return mixer.state_layer.weight[low:high] @ state + mixer.state_layer.bias[low:high]

    w1, w2 = hypernet(0), hypernet(1)
    if mixer.hypernet_layers == 2:
        w1 = mixer.w1.weight @ w1.clamp(min=0) + mixer.w1.bias
        w2 = mixer.w2.weight @ w2.clamp(min=0) + mixer.w2.bias
    value = mixer.value.weight[0] @ hypernet(2).clamp(min=0) + mixer.value.bias[0]
    hidden = [
        hypernet(3)[m] + sum(q[a] * w1[a * mixer.embed_dim + m].abs() for a in range(len(q)))
        for m in range(mixer.embed_dim)
    ]
    elu = [h if h > 0 else h.exp() - 1 for h in hidden]
    return sum(elu[m] * w2[m].abs() for m in range(mixer.embed_dim)) + value


@pytest.mark.parametrize("layers", [1, 2])
def test_equals_the_formula(layers):
    torch.manual_seed(0)
    mixer = Mixer(3, 5, embed_dim=4, hypernet_embed_dim=6, hypernet_layers=layers)
    q, state = torch.randn(2, 4, 3), torch.randn(2, 4, 5)
    mixed = mixer(q, state)
    assert mixed.shape == (2, 4)
    for b in range(2):
        for t in range(4):
            torch.testing.assert_close(mixed[b, t], plain_mix(mixer, q[b, t], state[b, t]))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), agent=st.integers(0, 4), layers=st.sampled_from([1, 2]), scale=st.floats(0.1, 30))
def test_is_monotonic_in_every_agent(seed, agent, layers, scale):
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    mixer = Mixer(5, 7, embed_dim=8, hypernet_embed_dim=8, hypernet_layers=layers).double()
    q = scale * torch.randn(16, 5, generator=generator, dtype=torch.float64)
    state = scale * torch.randn(16, 7, generator=generator, dtype=torch.float64)
    more = q.clone()
    more[:, agent] += torch.rand(16, generator=generator, dtype=torch.float64) * scale
    assert (mixer(more, state) >= mixer(q, state)).all()
    q.requires_grad_()
    mixer(q, state).sum().backward()
    assert (q.grad >= 0).all() and (q.grad > 0).any()


def test_hypernet_layers_are_one_or_two():
    with pytest.raises(ValueError, match="hypernet_layers is 3. It must be 1 or 2."):
        Mixer(3, 5, hypernet_layers=3)
