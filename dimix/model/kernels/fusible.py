"""Where compiled kernels may take the place of torch's own operations."""

from __future__ import annotations

import torch
from torch import Tensor

_is_compiling = getattr(torch.compiler, "is_compiling", lambda: False)  # torch has it from 2.3 on


def fusible(x: Tensor) -> bool:
    """Whether a compiled kernel can compute with a tensor: float32 numbers in memory, watched by nobody.

    A kernel leaves nothing in a graph. So torch's own operations are used while torch traces, exports or compiles a
    model, under the transforms of `torch.func`, and for tensors that hold no numbers (torch's fake ones).

    Args:
        x: of any shape.
    """
    watched = torch.jit.is_tracing() or _is_compiling() or torch._C._are_functorch_transforms_active()
    return not watched and type(x) is Tensor and x.device.type == "cpu" and x.dtype == torch.float32
