"""Labelled images of any kind, prepared for a model whenever they are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from deceive.common.levels import Shape
from deceive.data.dataset import Labelled, RealData
from deceive.data.preparation import Preparation


def prepared(data: RealData, preparation: Preparation) -> RealData:
    """The data as a preparation makes it; the data itself if that changes no shape.

    Raises `InputError` when the images are smaller than the crop after resizing.

    >>> from pathlib import Path
    >>> import deceive
    >>> four = deceive.Split(torch.rand(4, 1, 8, 8), torch.tensor([0, 1, 0, 1]))
    >>> data = deceive.Dataset(four, four, four, n_classes=2, checksum="", folder=Path("mine"))
    >>> prepared(data, Preparation(channels=3, size=(4, 6))).test.read(slice(2)).shape
    torch.Size([2, 3, 4, 6])
    """
    channels, *size = data.image_shape
    height, width = preparation.size_of((size[0], size[1]))
    shape = (preparation.channels or channels, height, width)
    return data if shape == data.image_shape else PreparedData(data, preparation, shape)


@dataclass(frozen=True, eq=False)
class PreparedSplit:
    """Labelled images, prepared when they are read."""

    of: Labelled
    preparation: Preparation
    image_shape: Shape
    """(C, H, W) of every image."""

    def __len__(self) -> int:
        return len(self.of)

    @property
    def labels(self) -> Tensor:
        """(N,) int64, 0 to n_classes - 1."""
        return self.of.labels

    def read(self, which: slice | Tensor) -> Tensor:
        """Some of the images, (n, C, H, W) float32 in [0, 1]."""
        images = self.of.read(which)
        return self.preparation(images) if len(images) else torch.empty(0, *self.image_shape)


@dataclass(frozen=True, eq=False)
class PreparedData:
    """`RealData` whose images are prepared when they are read."""

    of: RealData
    preparation: Preparation
    image_shape: Shape
    """(C, H, W) of every image."""

    def _split(self, split: Labelled) -> PreparedSplit:
        return PreparedSplit(split, self.preparation, self.image_shape)

    @property
    def train(self) -> Labelled | None:
        """For training; None if there are no such images."""
        return None if self.of.train is None else self._split(self.of.train)

    @property
    def validation(self) -> Labelled:
        """For choosing, such as thresholds."""
        return self._split(self.of.validation)

    @property
    def test(self) -> Labelled:
        """For the final figures."""
        return self._split(self.of.test)

    @property
    def n_classes(self) -> int:
        """How many classes there are."""
        return self.of.n_classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """A name for each class."""
        return self.of.class_names

    @property
    def checksum(self) -> str:
        """SHA-256 that identifies the data before its preparation."""
        return self.of.checksum

    @property
    def folder(self) -> Path:
        """Where it was read from."""
        return self.of.folder

    @property
    def notes(self) -> Sequence[str]:
        """What was noticed while reading it, and what its images are made into, in sentences."""
        own, now = ("×".join(map(str, shape)) for shape in (self.of.image_shape, self.image_shape))
        return (*self.of.notes, f"the images are {own}: all become {now}")
