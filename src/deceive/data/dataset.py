"""Labelled images: in memory, or read when they are asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from deceive.common.checks import at_least
from deceive.common.levels import Shape
from deceive.data.preparation import AS_THEY_ARE, Preparation


class Images(Protocol):
    """Images of one shape, wherever they are kept."""

    @property
    def image_shape(self) -> Shape:
        """(C, H, W) of every image."""
        ...

    def __len__(self) -> int:
        """Number of images, N."""
        ...

    def read(self, which: slice | Tensor) -> Tensor:
        """Some of the images, (n, C, H, W) float32 in [0, 1]: a slice, or (n,) indices or flags."""
        ...


class Labelled(Images, Protocol):
    """Images with their labels."""

    @property
    def labels(self) -> Tensor:
        """(N,) int64, 0 to n_classes - 1."""
        ...


class RealData(Protocol):
    """Real images of some classes, in splits: a `Dataset`, or one that reads images lazily."""

    @property
    def train(self) -> Labelled | None:
        """For training; None if there are no such images."""
        ...

    @property
    def validation(self) -> Labelled:
        """For choosing, such as thresholds."""
        ...

    @property
    def test(self) -> Labelled:
        """For the final figures."""
        ...

    @property
    def n_classes(self) -> int:
        """How many classes there are."""
        ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """A name for each class."""
        ...

    @property
    def image_shape(self) -> Shape:
        """(C, H, W) of every image."""
        ...

    @property
    def checksum(self) -> str:
        """SHA-256 that identifies the data."""
        ...

    @property
    def folder(self) -> Path:
        """Where it was read from."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What was noticed while reading it, in sentences."""
        ...


def in_batches(images: Images, size: int) -> Iterator[Tensor]:
    """All images in order, (n, C, H, W) with n up to `size`.

    >>> import torch
    >>> [len(batch) for batch in in_batches(Stack(torch.zeros(3, 1, 2, 2)), 2)]
    [2, 1]
    """
    for first in range(0, len(images), size):
        yield images.read(slice(first, first + size))


@dataclass(frozen=True, eq=False)
class First:
    """The first images of others."""

    of: Images
    count: int

    def __len__(self) -> int:
        return min(self.count, len(self.of))

    @property
    def image_shape(self) -> Shape:
        """(C, H, W) of every image."""
        return self.of.image_shape

    def read(self, which: slice | Tensor) -> Tensor:
        """Some of the images, (n, C, H, W): a slice, or (n,) indices or flags."""
        return self.of.read(torch.arange(len(self))[which])


@dataclass(frozen=True, eq=False)
class Stack:
    """Images in memory."""

    images: Tensor
    """(N, C, H, W) float32 in [0, 1]."""

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> Shape:
        """(C, H, W) of every image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def read(self, which: slice | Tensor) -> Tensor:
        """Some of the images, (n, C, H, W): a slice, or (n,) indices or flags."""
        return self.images[which]


@dataclass(frozen=True, eq=False)
class Split(Stack):
    """Images in memory, with their labels.

    >>> import torch
    >>> import deceive
    >>> deceive.Split(images=torch.rand(3, 1, 28, 28), labels=torch.tensor([5, 0, 4]))
    Split(3 images of (1, 28, 28))
    """

    labels: Tensor
    """(N,) int64, 0 to n_classes - 1."""

    def __repr__(self) -> str:
        """In a line, without the tensors."""
        return f"Split({len(self):,} images of {tuple(self.images.shape[1:])})"


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in three splits: for training, for choosing, and for the final figures.

    `load_data` reads one from files. Tensors make one too:

    >>> from pathlib import Path
    >>> import torch
    >>> import deceive
    >>> four = deceive.Split(torch.rand(4, 1, 8, 8), torch.tensor([0, 1, 0, 1]))
    >>> data = deceive.Dataset(four, four, four, n_classes=2, checksum="", folder=Path("mine"))
    >>> data
    Dataset(mine: 4 + 4 + 4 images of (1, 8, 8), 2 classes)
    >>> data.first(2).train
    Split(2 images of (1, 8, 8))
    """

    train: Split
    """All training images except the last ones: 55,000 for MNIST."""
    validation: Split
    """The last training images: 5,000 for MNIST."""
    test: Split
    """10,000 for MNIST."""
    n_classes: int
    """One more than the greatest label in any split; there are images of each class."""
    checksum: str
    """SHA-256 that identifies the data, however the files are packed."""
    folder: Path
    """The folder it was read from."""
    class_names: tuple[str, ...] = ()
    """A name for each class; by default its number."""
    notes: tuple[str, ...] = ()
    """What was noticed while reading it, in sentences."""
    preparation: Preparation = AS_THEY_ARE
    """How pictures became these images."""

    def __post_init__(self) -> None:
        if not self.class_names:
            object.__setattr__(self, "class_names", tuple(map(str, range(self.n_classes))))

    def __repr__(self) -> str:
        """In a line, without the tensors."""
        sizes = " + ".join(f"{len(each):,}" for each in (self.train, self.validation, self.test))
        return (
            f"Dataset({self.folder.name}: {sizes} images of {self.image_shape}, "
            f"{self.n_classes} classes)"
        )

    @property
    def image_shape(self) -> Shape:
        """(C, H, W) of every image."""
        return self.train.image_shape

    def first(self, count: int) -> "Dataset":
        """The same with only the first `count` training images (or all, if there are fewer)."""
        at_least("count", count, 1)
        train = Split(self.train.images[:count], self.train.labels[:count])
        return replace(self, train=train)
