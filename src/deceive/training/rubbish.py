"""Gibberish kept for training: the images of the rubbish class."""

import torch
from torch import Tensor

from deceive.common import arguments, checks
from deceive.common.levels import Shape, from_levels, to_levels
from deceive.data.dataset import Split
from deceive.fooling.starts import begin


class RubbishSet:
    """Images that teach a network what rubbish is, kept as 8-bit levels.

        >>> from deceive import RubbishSet
        >>> noise = RubbishSet.of_noise(3, (1, 28, 28))
        >>> len(noise + noise), noise.images.shape
        (6, torch.Size([3, 1, 28, 28]))

    Attributes:
        levels: (N, C, H, W) uint8.
    """

    @arguments.taking(levels=arguments.tensor)
    def __init__(self, levels: Tensor) -> None:
        self.levels = levels

    @classmethod
    def of_noise(
        cls, count: int, shape: Shape, *, start: str = "uniform", seed: int = 0
    ) -> "RubbishSet":
        """`count` images of noise.

        Args:
            count: at least 0.
            shape: (C, H, W) of an image.
            start: the kind of noise, a name from `starts.STARTS`.
            seed: for the noise; each image has a generator of its own.

        Raises:
            InputError: when there is no such kind, or an argument is out of range.
        """
        checks.at_least("count", count, 0)
        arguments.shape("shape", shape)
        checks.in_memory("count", count, shape)
        checks.seed("seed", seed)
        return cls(to_levels(begin(start, range(count), shape, seed)))

    def __len__(self) -> int:
        return len(self.levels)

    def __add__(self, other: "RubbishSet") -> "RubbishSet":
        return RubbishSet(torch.cat([self.levels, other.levels]))

    @property
    def images(self) -> Tensor:
        """(N, C, H, W) float32 in [0, 1]."""
        return from_levels(self.levels)

    def beside(self, clean: Split, n_classes: int) -> tuple[Tensor, Tensor, Tensor]:
        """Images (N, C, H, W) and labels (N,) to train on, and a mask (N,) of the rubbish.

        The clean images come first; the label of rubbish is `n_classes`.
        """
        images = torch.cat([clean.images, self.images])
        rubbish = torch.arange(len(images)) >= len(clean)
        labels = torch.cat([clean.labels, torch.full((len(self),), n_classes)])
        return images, labels, rubbish
