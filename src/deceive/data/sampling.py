"""A sample of real images, which are read when they are asked for."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from deceive.common.levels import Shape
from deceive.common.seeds import generator_for
from deceive.data.dataset import Labelled, RealData


@dataclass(frozen=True, eq=False)
class Sample:
    """Some images of a split, in random order."""

    of: Labelled
    places: Tensor
    """(n,) int64, where they are in the split."""

    @property
    def labels(self) -> Tensor:
        """(n,) int64."""
        return self.of.labels[self.places]

    @property
    def image_shape(self) -> Shape:
        """(C, H, W) of every image."""
        return self.of.image_shape

    def __len__(self) -> int:
        return len(self.places)

    def read(self, which: slice | Tensor) -> Tensor:
        """Some of them, (n, C, H, W) in [0, 1]: a slice, or (n,) indices or flags."""
        return self.of.read(self.places[which])


def sample_of(split: Labelled, most: int, seed: int) -> Labelled:
    """At most this many images of a split, of each class in proportion; the split if it has fewer.

    >>> from deceive.data.dataset import Split
    >>> split = Split(torch.rand(9, 1, 2, 2), torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1]))
    >>> sample_of(split, 3, seed=0).labels.sort().values.tolist()
    [0, 0, 1]
    """
    if len(split) <= most:
        return split
    generator = generator_for(seed, len(split))
    shuffled = torch.randperm(len(split), generator=generator)
    by_class = shuffled[split.labels[shuffled].argsort(stable=True)]
    each = len(split) / most
    places = ((torch.arange(most, dtype=torch.float64) + 0.5) * each).long()
    return Sample(split, by_class[places][torch.randperm(most, generator=generator)])


@dataclass(frozen=True, eq=False)
class SampledData:
    """A sample of each split of real data: what an audit reads."""

    train: Labelled | None
    validation: Labelled
    test: Labelled
    n_classes: int
    class_names: tuple[str, ...]
    checksum: str
    folder: Path
    notes: tuple[str, ...]

    @property
    def image_shape(self) -> Shape:
        """(C, H, W) of every image."""
        return self.validation.image_shape

    @classmethod
    def of(cls, data: RealData) -> "SampledData":
        """All of it."""
        names = cls.__dataclass_fields__
        return cls(**{name: getattr(data, name) for name in names})

    def at_most(
        self, seed: int, validation: int, *, train: int | None = None, test: int | None = None
    ) -> "SampledData":
        """With at most so many images in these splits."""
        return replace(
            self,
            train=self.train
            if train is None or self.train is None
            else sample_of(self.train, train, seed),
            validation=sample_of(self.validation, validation, seed),
            test=self.test if test is None else sample_of(self.test, test, seed),
        )
