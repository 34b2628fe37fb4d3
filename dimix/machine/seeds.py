"""The global random streams."""

from __future__ import annotations

import random

import numpy as np
import torch


def set_pkg_seed(seed: int, use_cuda: bool = True) -> None:
    """Seed the global random streams of Python, numpy and torch. A run does so by itself.

    Args:
        seed: any whole number >= 0; numpy takes its lowest 32 bits.
        use_cuda: seed torch's streams on CUDA devices too, where there are any.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)
    if use_cuda:
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)
