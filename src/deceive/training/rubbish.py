"""Gibberish kept for training: the images of the rubbish class."""

import torch
from torch import Tensor

from deceive.common import arguments, checks
from deceive.common.levels import Shape, from_levels, to_levels
from deceive.data.loading import Split
from deceive.fooling.starts import begin


class RubbishSet:
    """Images that a network is to be taught are rubbish, kept as 8-bit levels (N, C, H, W)."""

    @arguments.taking(levels=arguments.tensor)
    def __init__(self, levels: Tensor) -> None:
        self.levels = levels

    @classmethod
    def of_noise(
        cls, count: int, shape: Shape, *, start: str = "uniform", seed: int = 0
    ) -> "RubbishSet":
        """`count` images of a kind of noise from `starts.STARTS`."""
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
        """Images and labels to train on, and which of them are rubbish (a mask).

        The clean images come first; rubbish has the label `n_classes`, one more than any of theirs.
        """
        images = torch.cat([clean.images, self.images])
        rubbish = torch.arange(len(images)) >= len(clean)
        labels = torch.cat([clean.labels, torch.full((len(self),), n_classes)])
        return images, labels, rubbish
