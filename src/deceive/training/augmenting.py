"""Random changes of images that leave their labels as they are."""

import functools
import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from deceive.training.settings import TrainingSettings

# Knots along each side of the grid of elastic shifts.
_KNOTS = 5


def augment(images: Tensor, settings: TrainingSettings, generator: Generator) -> Tensor:
    """Turn, stretch, shear, shift and bend each image by random amounts of its own.

        >>> import torch
        >>> from deceive import TrainingSettings
        >>> from deceive.training.augmenting import augment
        >>> images = torch.rand(3, 1, 8, 8)
        >>> augment(images, TrainingSettings(), torch.Generator().manual_seed(0)).shape
        torch.Size([3, 1, 8, 8])

    Args:
        images: (N, C, H, W) float32, on the CPU.
        settings: the greatest amounts; the images themselves come back where all are 0.
        generator: draws the amounts.
    """
    s = settings
    if s.rotation == s.scaling == s.translation == s.elasticity == 0 or not len(images):
        return images
    n, _, height, width = images.shape
    draw = torch.rand(6, n, generator=generator) * 2 - 1
    angle = draw[0] * math.radians(s.rotation)
    stretch_x, stretch_y, shear = 1 + draw[1:4] * s.scaling
    shear = shear - 1
    pixel = torch.tensor([2 / width, 2 / height])  # in the grid's units
    affine = torch.empty(n, 2, 3)
    affine[:, 0, 0] = angle.cos() * stretch_x
    affine[:, 0, 1] = shear - angle.sin() * stretch_x
    affine[:, 1, 0] = angle.sin() * stretch_y
    affine[:, 1, 1] = angle.cos() * stretch_y
    affine[:, :, 2] = draw[4:].T * s.translation * pixel
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    if s.elasticity:
        knots = torch.randn(2, n, _KNOTS**2, generator=generator) * s.elasticity
        shifts = (knots @ _bicubic(height, width)).view(2, n, height, width)
        grid = grid + shifts.permute(1, 2, 3, 0) * pixel
    return F.grid_sample(images, grid, align_corners=False)


@functools.cache
def _bicubic(height: int, width: int) -> Tensor:
    """The weight of each knot's shift in each pixel's: (knots, height × width).

    A product with it is ten times as quick as interpolating every image's shifts.
    """
    unit = torch.eye(_KNOTS**2).view(-1, 1, _KNOTS, _KNOTS)
    return F.interpolate(unit, size=(height, width), mode="bicubic", align_corners=True).flatten(1)
