"""Images shown to a network that reads smaller ones."""

import torch
import torch.nn.functional as F
from torch import Tensor

from deceive.common.levels import Shape

SIDE = 64
"""The longest side that the small networks for anyone's images read."""


def fitting(shape: Shape, side: int = SIDE) -> Shape:
    """The shape (C, h, w) at which images (C, H, W) are read.

    >>> fitting((1, 28, 28)), fitting((3, 480, 640))
    ((1, 28, 28), (3, 48, 64))
    """
    channels, *sides = shape
    scale = min(1, side / max(sides))
    height, width = (max(1, round(each * scale)) for each in sides)
    return channels, height, width


def shrunk(images: Tensor, shape: Shape) -> Tensor:
    """Images (N, C, H, W) at the size of a shape (C, h, w); as they are if it is theirs."""
    if images.shape[1:] == torch.Size(shape):
        return images
    return F.interpolate(images, shape[1:], mode="bilinear", antialias=True).clamp(0, 1)
