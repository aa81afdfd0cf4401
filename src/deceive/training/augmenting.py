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
    amounts = torch.empty(n, 2, 3 + _KNOTS**2)  # how much of each pattern is in x and in y
    amounts[:, 0, 0] = angle.cos() * stretch_x
    amounts[:, 0, 1] = shear - angle.sin() * stretch_x
    amounts[:, 1, 0] = angle.sin() * stretch_y
    amounts[:, 1, 1] = angle.cos() * stretch_y
    amounts[:, :, 2] = draw[4:].T * s.translation * pixel
    if s.elasticity:
        knots = torch.randn(2, n, _KNOTS**2, generator=generator) * s.elasticity
        amounts[:, :, 3:] = (knots * pixel[:, None, None]).transpose(0, 1)
    else:
        amounts = amounts[:, :, :3]
    grid = amounts.flatten(0, 1) @ _patterns(height, width)[: amounts.shape[2]]
    grid = grid.view(n, 2, height, width).permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, align_corners=False)


@functools.cache
def _patterns(height: int, width: int) -> Tensor:
    """What a grid of sampled places is a sum of, with a value at each pixel: (3 + knots, pixels).

    The places x and y of the pixels themselves, 1, and the weight of each knot. One product with
    them is several times as quick as an affine grid and interpolated shifts.
    """
    x, y = ((torch.arange(side) * 2 + 1) / side - 1 for side in (width, height))
    places = torch.stack([x.expand(height, width), y[:, None].expand(height, width)])
    unit = torch.eye(_KNOTS**2).view(-1, 1, _KNOTS, _KNOTS)
    weights = F.interpolate(unit, size=(height, width), mode="bicubic", align_corners=True)
    return torch.cat([places.flatten(1), torch.ones(1, height * width), weights.flatten(1)])
