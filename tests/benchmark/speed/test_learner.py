"""The script that times updates."""

import torch

from benchmark.speed.learner import equivariant_rows


def test_flat_and_equivariant_agents_side_by_side():
    threads = torch.get_num_threads()
    (row,) = equivariant_rows(["3m"], [4], repeats=4)
    assert row[:3] == ["3m", "3", "4"]
    flat, sets, ratio, plain, hyper = map(float, row[3:])
    assert min(flat, sets, plain, hyper) > 0 and abs(sets / flat - ratio) < 0.2
    assert torch.get_num_threads() == threads
