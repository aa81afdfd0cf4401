"""Labelled images that are read from disk when they are asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from deceive.common.checks import in_memory
from deceive.common.errors import InputError
from deceive.common.levels import Shape
from deceive.data.dataset import Dataset, Split
from deceive.data.idx import by
from deceive.data.losses import Losses, Notes
from deceive.data.preparation import Preparation
from deceive.data.readers.reader import Pictures, UnreadableError

_BLOCK = 1000
"""Images read at once into memory."""


@dataclass(frozen=True, eq=False)
class LazySplit:
    """Images of one split, decoded and prepared whenever they are read.

    A picture that can't be read is replaced by the next of its class.
    """

    pictures: Pictures
    rows: Tensor
    """(N,) int64: which pictures, in the split's order."""
    labels: Tensor
    """(N,) int64."""
    preparation: Preparation
    image_shape: Shape
    """(C, H, W) of every image."""
    losses: Losses

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        """In a line."""
        return f"LazySplit({len(self):,} images of {self.image_shape})"

    def read(self, which: slice | Tensor) -> Tensor:
        """Some of the images, (n, C, H, W) float32 in [0, 1]: a slice, or (n,) indices or flags.

        Raises:
            InputError: when more than 1% of the pictures can't be read, or a picture has another
                size and the preparation has none.
        """
        places = torch.arange(len(self))[which]
        levels = self.pictures.several(self.rows[places].tolist())
        if levels is not None:
            return self.preparation(levels)
        if len(places) == 0:
            return torch.empty(0, *self.image_shape)
        images = torch.empty(len(places), *self.image_shape)
        for each in self.rows[places].argsort().tolist():  # as they lie on disk
            images[each] = self._one(int(places[each]))
        return images

    def loaded(self) -> Split:
        """All in memory, without the pictures that can't be read."""
        in_memory("--data", len(self), self.image_shape)
        images = torch.empty(len(self), *self.image_shape)
        kept = torch.ones(len(self), dtype=torch.bool)
        on_disk = self.rows.argsort()
        for first in range(0, len(self), _BLOCK):
            block = on_disk[first : first + _BLOCK]
            levels = self.pictures.several(self.rows[block].tolist())
            if levels is not None:
                images[block] = self.preparation(levels)
                continue
            for place in block.tolist():
                image = self._image(place)
                if image is None:
                    kept[place] = False
                else:
                    images[place] = image
        if bool(kept.all()):
            return Split(images, self.labels)
        return Split(images[kept], self.labels[kept])

    def shapes(self, count: int) -> set[Shape]:
        """The shapes (C, h, w) of up to `count` pictures; of those alone that can be read."""
        if self.pictures.shape is not None:
            return {self.pictures.shape}
        places = sorted(set(torch.linspace(0, len(self) - 1, count).long().tolist()))
        pictures = [self._picture(place) for place in places]
        return {
            (each.shape[0], each.shape[1], each.shape[2]) for each in pictures if each is not None
        }

    def _one(self, place: int) -> Tensor:
        for each in self._instead(place):
            image = self._image(each)
            if image is not None:
                return image
        raise InputError(
            f"{self.losses.where}: expected a readable picture of each class, got none of class "
            f"{int(self.labels[place])}"
        )

    def _instead(self, place: int) -> Iterator[int]:
        """The place, then those after it with the same label, round to the ones before it."""
        yield place
        same = (self.labels == self.labels[place]).nonzero().flatten()
        yield from same[same > place].tolist()
        yield from same[same < place].tolist()

    def _picture(self, place: int) -> Tensor | None:
        """The picture (C, h, w) uint8; None if it can't be read."""
        row = int(self.rows[place])
        self.losses.tried.add((id(self.pictures), row))
        try:
            return self.pictures.one(row)
        except UnreadableError as error:
            self.losses.add(self.pictures.name(row), str(error))
            return None

    def _image(self, place: int) -> Tensor | None:
        """The image (C, H, W); None if its picture can't be read."""
        picture = self._picture(place)
        if picture is None:
            return None
        image = self.preparation(picture)
        if tuple(image.shape) != self.image_shape:
            raise InputError(
                f"{self.pictures.name(int(self.rows[place]))}: expected {by(self.image_shape[1:])} "
                f"pixels as in other pictures, got {by(image.shape[1:])}; bring them to one size "
                f"with --size {self.image_shape[1]}x{self.image_shape[2]}"
            )
        return image


@dataclass(frozen=True, eq=False)
class LazyDataset:
    """Labelled images in splits, read from disk when they are asked for. See `open_data`."""

    train: LazySplit | None
    """None if there are no training images."""
    validation: LazySplit
    test: LazySplit
    class_names: tuple[str, ...]
    checksum: str
    """SHA-256 that identifies the data: of IDX files their content; otherwise the pictures' names,
    sizes and labels, as not every byte is read."""
    folder: Path
    """Where it was read from."""
    losses: Losses
    found: tuple[str, ...] = ()
    """What was noticed on opening."""

    def __repr__(self) -> str:
        """In a line."""
        splits = (self.train, self.validation, self.test)
        sizes = " + ".join(f"{len(each) if each else 0:,}" for each in splits)
        return (
            f"LazyDataset({self.folder.name}: {sizes} images of {self.image_shape}, "
            f"{self.n_classes} classes)"
        )

    @property
    def preparation(self) -> Preparation:
        """How pictures become images."""
        return self.test.preparation

    @property
    def n_classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    @property
    def image_shape(self) -> Shape:
        """(C, H, W) of every image."""
        return self.test.image_shape

    @property
    def notes(self) -> Sequence[str]:
        """What was noticed on opening, and which pictures couldn't be read so far."""
        return Notes(self.found, self.losses)

    def loaded(self) -> Dataset:
        """All in memory. Without training images, those are none."""
        test, validation = self.test.loaded(), self.validation.loaded()
        none = Split(test.images[:0], test.labels[:0])
        return Dataset(
            train=self.train.loaded() if self.train else none,
            validation=validation,
            test=test,
            n_classes=self.n_classes,
            checksum=self.checksum,
            folder=self.folder,
            class_names=self.class_names,
            notes=tuple(self.notes),
            preparation=self.preparation,
        )
