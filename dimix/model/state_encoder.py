"""Encodes a global state that is an image for the mixing networks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class StateEncoder(nn.Module):
    """Convolutions with ReLU and one linear layer with ReLU: from an image (C, H, W) to a flat state.

    Images are passed in flattened, channel by channel and row by row, with values of order one (not bytes). The
    options are described in `QMix.config`, under ``state_encoder``.

    Args:
        shape: channels, height and width of the image.
        channels: per convolution.
        kernel_size: per convolution.
        stride: per convolution.
        embed_dim: floats of the flat state.

    Raises:
        ValueError: as `image_sizes`.
    """

    def __init__(
        self,
        shape: Sequence[int],
        channels: Sequence[int] = (32, 64, 64),
        kernel_size: Sequence[int] = (8, 4, 3),
        stride: Sequence[int] = (4, 2, 1),
        embed_dim: int = 128,
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        sizes = image_sizes(shape, channels, kernel_size, stride)
        depths = [depth for depth, _, _ in sizes]
        layers = [nn.Conv2d(*each) for each in zip(depths[:-1], channels, kernel_size, stride, strict=True)]
        self.convolutions = nn.ModuleList(layers)
        self.out = nn.Linear(math.prod(sizes[-1]), embed_dim)

    def forward(self, state: Tensor) -> Tensor:
        """(..., C * H * W) -> (..., embed_dim)."""
        x = state.reshape(-1, *self.shape)
        for layer in self.convolutions:
            x = F.relu(layer(x))
        return F.relu(self.out(x.flatten(1))).view(*state.shape[:-1], self.out.out_features)


class ImageMixer(nn.Module):
    """A `StateEncoder` followed by a mixer.

    Args:
        encoder: from the image to a flat state.
        mixer: takes the agents' values and that state.
    """

    def __init__(self, encoder: StateEncoder, mixer: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.mixer = mixer

    def forward(self, q: Tensor, global_state: Tensor, **more: Tensor) -> Tensor:
        """Mix: q (..., A) and global_state (..., C * H * W) -> q_tot (...); `more` are the mixer's other inputs."""
        return self.mixer(q, self.encoder(global_state), **more)


def image_sizes(
    shape: Sequence[int], channels: Sequence[int], kernel_size: Sequence[int], stride: Sequence[int]
) -> list[tuple[int, int, int]]:
    """(channels, height, width) of an image before and after each convolution; arguments as for `StateEncoder`.

    Raises:
        ValueError: the three lists differ in length, or a kernel is larger than the image at that point.
    """
    if not len(channels) == len(kernel_size) == len(stride) > 0:
        raise ValueError(
            f"state_encoder: {len(channels)} channels, {len(kernel_size)} kernel_size, {len(stride)} stride. "
            "Right is one of each per convolution, at least one."
        )
    depth, height, width = shape
    sizes = [(depth, height, width)]
    for number, (out, kernel, step) in enumerate(zip(channels, kernel_size, stride, strict=True), 1):
        if min(out, kernel, step) < 1 or kernel > min(height, width):
            raise ValueError(
                f"state_encoder: convolution {number} (channels {out}, kernel_size {kernel}, stride {step}) reads "
                f"{height} x {width} cells of the state {list(shape)}. Use numbers from 1 on, and kernels that fit."
            )
        height, width = (height - kernel) // step + 1, (width - kernel) // step + 1
        sizes.append((out, height, width))
    return sizes


def image_shape(shape: int | Sequence[int]) -> list[int] | None:
    """[channels, height, width] of a global state that is an image; None for a flat one (a number, or [number]).

    Raises:
        ValueError: it is neither.
    """
    sizes = list(shape) if isinstance(shape, Sequence) else [shape]
    if len(sizes) not in (1, 3) or any(not isinstance(n, int) or n < 1 for n in sizes):
        raise ValueError(
            f"global_obs_shape is {shape!r}. Right is a positive number, or [channels, height, width] for an image."
        )
    return sizes if len(sizes) == 3 else None
