"""Images of noise with one bright quarter, which is the label; the judge looks which it is."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deceive.data.dataset import Dataset, Split

SHAPE = (1, 8, 8)


def quarters(n: int, seed: int) -> Split:
    """So many images (n, 1, 8, 8) in [0, 1], with labels 0 to 3."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(4, (n,), generator=generator)
    images = torch.rand(n, *SHAPE, generator=generator) * 0.5
    bright = (
        F.one_hot(labels, 4).reshape(n, 1, 2, 2).repeat_interleave(4, 2).repeat_interleave(4, 3)
    )
    return Split(images + 0.5 * bright, labels)


def quarters_data() -> Dataset:
    """900 training images, 200 for validation, 300 for the test."""
    return Dataset(
        train=quarters(900, 0),
        validation=quarters(200, 1),
        test=quarters(300, 2),
        n_classes=4,
        checksum="quarters",
        folder=Path(),
    )


class Quarters(nn.Module):
    """Its features are the mean of each quarter, and its logits the same."""

    image_shape = SHAPE

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Identity()

    def features(self, images: Tensor) -> Tensor:
        return F.avg_pool2d(images, 4).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits
