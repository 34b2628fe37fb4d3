"""Memory that kernels reuse from update to update: fresh memory costs page faults."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class _Pool:
    """Flat float32 buffers, returned after use; one that is not returned is garbage collected."""

    def __init__(self) -> None:
        self._free: list[Tensor] = []

    def take(self, *shape: int) -> Tensor:
        """An uninitialised tensor."""
        need = math.prod(shape)
        self._free.sort(key=Tensor.numel)
        fit = next((i for i, flat in enumerate(self._free) if flat.numel() >= need), None)
        if fit is not None:
            flat = self._free.pop(fit)
        else:
            del self._free[-1:]  # the largest; the new one replaces it
            flat = torch.empty(need + need // 4)  # room to grow: batches differ in length
        return flat[:need].view(shape)

    def give(self, buffer: Tensor) -> None:
        """Return a tensor from `take`."""
        flat = buffer._base
        if flat is not None:
            self._free.append(flat)


#: Shared by all kernels.
POOL = _Pool()
