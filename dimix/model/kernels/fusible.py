"""Where compiled kernels may replace torch's operations."""

from __future__ import annotations

import torch
from torch import Tensor

_is_compiling = getattr(torch.compiler, "is_compiling", lambda: False)  # torch has it from 2.3 on


def fusible(x: Tensor) -> bool:
    """Whether a compiled kernel can read a tensor: plain float32 on the CPU, and torch is not tracing.

    Torch cannot see into a kernel, so its own operations are used while it traces, exports or compiles a model, under
    the transforms of `torch.func`, and for fake tensors.

    Args:
        x: of any shape.
    """
    traced = torch.jit.is_tracing() or _is_compiling() or torch._C._are_functorch_transforms_active()
    return not traced and type(x) is Tensor and x.device.type == "cpu" and x.dtype == torch.float32
