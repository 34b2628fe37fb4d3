"""The compiled recurrence against torch's own GRU, and its kernels against the exact functions."""

import numpy as np
import pytest
import torch

from dimix.model.kernels.buffers import POOL
from dimix.model.kernels.gru_kernels import gru_kernels
from dimix.model.packing import Packing
from dimix.model.recurrent import GRU


def lengths_to_valid(lengths, steps):
    """(B, A) lengths -> (B, steps, A) bool."""
    return torch.arange(steps)[None, :, None] < torch.as_tensor(lengths)[:, None, :]


def run(layer, x, packing, state):
    """Outputs, last states and all gradients of a loss that depends on every entry."""
    x, state = x.clone().requires_grad_(), state.clone().requires_grad_()
    layer.zero_grad()
    out, last = layer.unroll(x, packing, state)
    (out.square().sum() + (out * torch.arange(out.shape[1])).sum() + 3 * last.sin().sum()).backward()
    return [out, last, x.grad, state.grad, *(p.grad.clone() for p in layer.parameters())]


def assert_close(ours, theirs, tolerance=2e-5):
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.shape == other.shape
        assert (mine - other).abs().max() <= tolerance * other.abs().max().clamp(min=1.0)


CASES = {
    "same length": [[4, 4], [4, 4]],
    "all different": [[1, 5, 3], [4, 2, 6]],
    "some empty": [[0, 5], [3, 0], [0, 0]],
    "one row": [[1]],
    "long and short": [[60, 1, 1], [2, 59, 1]],
}


@pytest.mark.parametrize("lengths", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("sizes", [(5, 8), (64, 64), (7, 3)])
def test_equals_torch_in_values_and_gradients(lengths, sizes):
    torch.manual_seed(0)
    layer = GRU(*sizes)
    packing = Packing.of(lengths_to_valid(lengths, int(np.max(lengths)) + 1))
    x = torch.randn(len(packing.rows), sizes[0])
    state = torch.randn(len(lengths) * len(lengths[0]), sizes[1])
    ours = run(layer, x, packing, state)
    layer.fused = False
    assert_close(ours, run(layer, x, packing, state))


def test_without_gradients_it_gives_the_same_numbers():
    torch.manual_seed(1)
    layer = GRU(6, 16)
    packing = Packing.of(lengths_to_valid([[7, 3], [5, 0]], 8))
    x, state = torch.randn(len(packing.rows), 6), torch.randn(4, 16)
    with_grad = layer.unroll(x, packing, state)
    with torch.no_grad():
        without = layer.unroll(x, packing, state)
    assert torch.equal(with_grad[0], without[0]) and torch.equal(with_grad[1], without[1])


def test_unroll_equals_step_by_step_from_any_first_step():
    torch.manual_seed(2)
    layer = GRU(3, 8)
    x, state = torch.randn(2, 6, 2, 3), torch.randn(4, 8)
    first = torch.tensor([1, 3])
    packing = Packing.of(torch.ones(2, 6, 2, dtype=torch.bool), first)
    with torch.no_grad():
        out, last = layer.unroll(packing.pack(x), packing, state)
        padded = packing.unpack(out)
        for b in range(2):
            h = state[2 * b : 2 * b + 2]
            assert (padded[b, : first[b]] == 0).all()
            for t in range(first[b], 6):
                _, h = layer.step(x[b, t], h)
                torch.testing.assert_close(padded[b, t], h, atol=1e-6, rtol=1e-5)
            torch.testing.assert_close(last[2 * b : 2 * b + 2], h, atol=1e-6, rtol=1e-5)


def test_two_forwards_before_their_backwards_do_not_share_buffers():
    torch.manual_seed(3)
    layer, packing = GRU(4, 8), Packing.of(lengths_to_valid([[5, 3]], 5))
    x, state = torch.randn(2, 8, 4), torch.zeros(2, 8)

    def gradient(*outs):
        layer.zero_grad()
        sum(out.square().sum() for out in outs).backward()
        return [p.grad.clone() for p in layer.parameters()]

    alone = [gradient(layer.unroll(x[i], packing, state)[0]) for i in range(2)]
    together = gradient(*[layer.unroll(x[i], packing, state)[0] for i in range(2)])
    for a, b, both in zip(*alone, together, strict=True):
        torch.testing.assert_close(a + b, both)


def test_second_backward_is_refused():
    layer, packing = GRU(4, 8), Packing.of(lengths_to_valid([[2]], 2))
    out, _ = layer.unroll(torch.randn(2, 4), packing, torch.zeros(1, 8))
    out.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="backward ran twice over one forward"):
        out.sum().backward()


def test_buffers_come_back():
    POOL._free.clear()
    layer, packing = GRU(4, 8), Packing.of(lengths_to_valid([[4, 4]], 4))
    for _ in range(3):
        layer.unroll(torch.randn(8, 4), packing, torch.zeros(2, 8))[0].sum().backward()
    free = {flat.data_ptr() for flat in POOL._free}
    layer.unroll(torch.randn(8, 4), packing, torch.zeros(2, 8))[0].sum().backward()
    assert {flat.data_ptr() for flat in POOL._free} == free


def test_kernel_functions_are_exact_to_float32():
    """With an input that goes to each gate as it is, and no hidden weights, gates are tanh and sigmoid of it."""
    x = np.linspace(-12, 12, 4001, dtype=np.float32)
    given = np.repeat(x, 3).reshape(1, -1, 3)
    gates, hidden = np.empty((1, len(x), 4), np.float32), np.empty((1, len(x), 1), np.float32)
    before, bias, unweighted = (np.zeros(shape, np.float32) for shape in ((1, len(x), 1), (1, 4), (1, 1, 3)))
    each = np.eye(3, dtype=np.float32)[None]
    gru_kernels(3, 1).forward(given, before, each, unweighted, bias, np.array([len(x)]), gates, hidden)
    exact = x.astype(np.float64)
    assert np.abs(gates[0, :, 0] - np.tanh(exact)).max() < 5e-7
    assert np.abs(gates[0, :, 1] - 1 / (1 + np.exp(-exact))).max() < 3e-7
    assert np.abs(gates[0, :, 2] - 1 / (1 + np.exp(-exact))).max() < 3e-7


@pytest.mark.parametrize("sizes", [(5, 8), (64, 64)])
def test_a_sequence_does_not_depend_on_its_neighbours(sizes):
    torch.manual_seed(4)
    layer, lengths = GRU(*sizes), [9, 9, 7, 6, 3, 3, 1]
    packing = Packing.of(lengths_to_valid([lengths], 9))
    x = torch.randn(1, 9, len(lengths), sizes[0])
    state = torch.randn(len(lengths), sizes[1])
    with torch.no_grad():
        together = packing.unpack(layer.unroll(packing.pack(x), packing, state)[0])
        for i, length in enumerate(lengths):
            own = Packing.of(lengths_to_valid([[length]], 9))
            alone = own.unpack(layer.unroll(own.pack(x[:, :, i : i + 1]), own, state[i : i + 1])[0])
            assert torch.equal(alone[:, :, 0], together[:, :, i])


def test_nan_is_passed_on():
    layer, packing = GRU(4, 8), Packing.of(lengths_to_valid([[2]], 2))
    x = torch.zeros(2, 4)
    x[0, 0] = torch.nan
    out, _ = layer.unroll(x, packing, torch.zeros(1, 8))
    assert out.isnan().all()
