"""Conversion between float images within bounds and the 256 levels stored on disk."""

import torch
from torch import Tensor

Shape = tuple[int, int, int]
"""Channels, height and width of an image."""
Bounds = tuple[float, float]
"""The pixel values of black and white."""
UNIT: Bounds = (0.0, 1.0)


def to_levels(images: Tensor, bounds: Bounds = UNIT) -> Tensor:
    """Images within the bounds as uint8 levels 0 to 255, each rounded to the nearest.

    >>> import torch
    >>> from deceive.common.levels import to_levels
    >>> to_levels(torch.tensor([-1.0, 0.0, 1.0]), bounds=(-1, 1))
    tensor([  0, 128, 255], dtype=torch.uint8)
    """
    low, high = bounds
    return ((images - low) * (255 / (high - low))).round_().clamp_(0, 255).to(torch.uint8)


def from_levels(levels: Tensor, bounds: Bounds = UNIT) -> Tensor:
    """Levels 0 to 255 (uint8) as float32 images within the bounds.

    >>> import torch
    >>> from deceive.common.levels import from_levels
    >>> from_levels(torch.tensor([0, 51, 255], dtype=torch.uint8))
    tensor([0.0000, 0.2000, 1.0000])
    """
    low, high = bounds
    return levels.float().div(255).mul_(high - low).add_(low).clamp_(low, high)
