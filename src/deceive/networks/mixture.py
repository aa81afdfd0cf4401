"""What the images of each class look like, roughly: mixtures of factor analysers."""

import math
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deceive.common.levels import Shape

# At most: values of an image; components of a class, and of all classes; directions of a component,
# and of all components.
_VALUES, _COMPONENTS, _ALL, _DIRECTIONS, _ALL_DIRECTIONS = 1024, 10, 100, 12, 1200

# Added to a variance: too little to matter, but enough that its root has a gradient at 0.
_FAINT = 1e-4


class Mixture(nn.Module):
    """Log-odds of each class that an image shows it and not rubbish, by its shape alone.

    Each class is a mixture of factor analysers (Ghahramani and Hinton 1996): gaussians of the
    pixels around a mean, each with a few directions in which images of its kind vary together and
    a variance of its own for every pixel. Its density is a quadratic function in the image, so an
    image can't get a high one without being near to a mean, and along the gradient static becomes
    a blurred image of the class (Richardson and Weiss 2018).

    Of images with more than 1,024 values it sees the averages of blocks of pixels, and for every
    four blocks (2×2) the standard deviation of what is left.

    Args:
        shape: (C, H, W) of the images.
        classes: K.

    Attributes:
        mean, root, directions, level: of M = K · c components, those of a class in a row: means
            (M, D), 1 / standard deviations (M, D), directions (M, r, D), and what is added to the
            log-density of each (M,). `guarding.shapes` fits them.
        scale: what squared distances are multiplied by.
        offset: what is added to the log-odds.
    """

    mean: Tensor
    root: Tensor
    directions: Tensor
    level: Tensor
    scale: Tensor
    offset: Tensor

    def __init__(self, shape: Shape, classes: int) -> None:
        super().__init__()
        channels, rows, columns = shape
        self.block = 1
        while (values := _values(channels, rows, columns, self.block)) > _VALUES:
            self.block += 1
        each = max(1, min(_COMPONENTS, _ALL // classes))
        rank = max(1, min(_DIRECTIONS, _ALL_DIRECTIONS // (classes * each)))
        self.classes, self.each = classes, each
        count = classes * each
        self.register_buffer("mean", torch.zeros(count, values))
        self.register_buffer("root", torch.ones(count, values))
        self.register_buffer("directions", torch.zeros(count, rank, values))
        self.register_buffer("level", torch.zeros(count))
        self.register_buffer("scale", torch.tensor(1 / math.sqrt(values)))
        self.register_buffer("offset", torch.tensor(0.0))

    def seen(self, images: Tensor) -> Tensor:
        """What is seen of images (N, C, H, W), (N, D) float32."""
        images = images.float()
        if self.block == 1:
            return images.flatten(1)
        rows, columns = images.shape[2:]
        padding = (0, -columns % (2 * self.block), 0, -rows % (2 * self.block))
        images = F.pad(images, padding, mode="replicate")
        means = F.avg_pool2d(images, self.block)
        left = images - F.interpolate(means, scale_factor=float(self.block))
        spread = (F.avg_pool2d(left.square(), 2 * self.block) + _FAINT).sqrt()
        return torch.cat([means.flatten(1), spread.flatten(1)], 1)

    def distances(self, x: Tensor) -> Tensor:
        """The squared Mahalanobis distances (N, M) of what is seen (N, D) from each component."""
        precision = self.root.square()
        far = x.square() @ precision.T - 2 * x @ (self.mean * precision).T
        far = far + (self.mean.square() * precision).sum(1)
        along = x @ self.directions.flatten(0, 1).T
        along = along.view(-1, *self.directions.shape[:2])
        along = along - (self.directions * self.mean[:, None]).sum(2)
        return far - along.square().sum(2)

    def likeness(self, images: Tensor) -> Tensor:
        """The log-odds (N, K) of images (N, C, H, W) in [0, 1], without the offset."""
        kind = images.device.type
        # Squares of differences don't survive bfloat16.
        quick = kind != "meta" and torch.is_autocast_enabled(kind)
        with torch.autocast(kind, enabled=False) if quick else nullcontext():
            near = self.level - self.scale * self.distances(self.seen(images))
            return near.view(-1, self.classes, self.each).logsumexp(2)

    def forward(self, images: Tensor) -> Tensor:
        """The log-odds (N, K) of images (N, C, H, W) in [0, 1]."""
        return self.likeness(images) + self.offset


def _values(channels: int, rows: int, columns: int, block: int) -> int:
    """How many values are seen of an image."""
    if block == 1:
        return channels * rows * columns
    fours = -(-rows // (2 * block)) * -(-columns // (2 * block))
    return channels * fours * 5
