"""The device to compute on."""

from __future__ import annotations

import torch

from dimix.errors import ConfigError


def resolve_device(name: str = "auto", cuda: bool = False) -> torch.device:
    """The torch device for a config's name.

    Args:
        name: ``"auto"`` (CUDA if `cuda` is set, else the CPU, which is faster for networks of this size), or a torch
            device name: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
        cuda: DI-engine's switch; with ``"auto"`` it selects CUDA.

    Raises:
        ConfigError: no such device, or not available on this machine or in this torch build.
    """
    wanted = ("cuda" if cuda else "cpu") if name == "auto" else name
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ConfigError(f"policy.device: '{name}'. Use 'auto', 'cpu', 'cuda' or 'mps'.") from error
    if device.type not in ("cpu", "cuda", "mps"):
        raise ConfigError(f"policy.device: '{name}'. Use 'auto', 'cpu', 'cuda' or 'mps'.")
    here = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}[device.type]
    if not here:
        raise ConfigError(
            f"policy.device: '{wanted}' asked for, but torch {torch.__version__} finds no such device here. "
            "Use device='cpu' and cuda=False, or install a torch build that supports it."
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"policy.device: '{wanted}', but there are {torch.cuda.device_count()} CUDA devices.")
    return device
