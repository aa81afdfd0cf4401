"""MNIST, and any data set laid out like it, as tensors in [0, 1].

Four IDX files, gzipped or not: images and labels, for training and for testing. Fashion-MNIST and
KMNIST come the same way.
"""

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from deceive.common import arguments
from deceive.common.checks import at_least
from deceive.common.errors import InputError
from deceive.data.idx import by, checksum, instead, read_idx, reason
from deceive.data.joining import check_labels, joined
from deceive.data.source import MNIST, Source


@dataclass(frozen=True, eq=False)
class Split:
    """Images with their labels.

    >>> import torch
    >>> import deceive
    >>> deceive.Split(images=torch.rand(3, 1, 28, 28), labels=torch.tensor([5, 0, 4]))
    Split(3 images of (1, 28, 28))
    """

    images: Tensor
    """(N, C, H, W) float32 in [0, 1]."""
    labels: Tensor
    """(N,) int64, 0 to n_classes - 1."""

    def __len__(self) -> int:
        return len(self.images)

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

    def __repr__(self) -> str:
        """In a line, without the tensors."""
        sizes = " + ".join(f"{len(each):,}" for each in (self.train, self.validation, self.test))
        return (
            f"Dataset({self.folder.name}: {sizes} images of {self.image_shape}, "
            f"{self.n_classes} classes)"
        )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        _, channels, height, width = self.train.images.shape
        return channels, height, width

    def first(self, count: int) -> "Dataset":
        """The same with only the first `count` training images (or all, if there are fewer)."""
        at_least("count", count, 1)
        train = Split(self.train.images[:count], self.train.labels[:count])
        return replace(self, train=train)


@arguments.taking(
    folder=arguments.maybe(arguments.place),
    any_labels=arguments.flag,
    source=arguments.of("a Source", Source),
)
def load_data(
    folder: str | Path | None = None,
    *,
    validation: int = 5000,
    any_labels: bool = False,
    source: Source = MNIST,
) -> Dataset:
    """Read MNIST, or a data set like it, into memory, on the CPU.

    Args:
        folder: holds the four files `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`,
            `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`, each with or without `.gz`; also
            spelt `train-images.idx3-ubyte`. When None: the folder that the environment variable
            DECEIVE_DATA names, else the source's.
        validation: how many of the last training images are held out, at least 1.
        any_labels: accept any labels, for images whose labels don't matter. Otherwise labels must
            be 0 to K - 1 without gaps.
        source: the data set to read if no folder is named: by default MNIST, from the clone's
            `data/mnist`, or from the user's cache after one download.

    Returns:
        A `Dataset`. Images are (N, 1, H, W), or (N, C, H, W) if the files have four dimensions.

    Raises:
        InputError: when a file is missing, unreadable, damaged or not an IDX file of unsigned
            bytes; when the files don't match each other; when a class has no images; when too few
            images are left for training; when the source's files have other checksums or can't be
            downloaded.

    >>> import deceive
    >>> data = deceive.load_data()
    >>> data
    Dataset(mnist: 55,000 + 5,000 + 10,000 images of (1, 28, 28), 10 classes)
    >>> data.test.labels[:5]
    tensor([7, 2, 1, 0, 4])
    """
    at_least("validation", validation, 1)
    given = folder or os.environ.get("DECEIVE_DATA")
    place = Path(given) if given else source.folder()
    paths = [_find(place, name) for name in source.sha256]
    arrays = [read_idx(path) for path in paths]
    checksums = [checksum(array) for array in arrays]
    if not given or place.resolve() == source.shipped:
        source.verify(paths, checksums)

    whole = Split(*joined(paths[:2], *arrays[:2]))
    test = Split(*joined(paths[2:], *arrays[2:]))
    if whole.images.shape[1:] != test.images.shape[1:]:
        raise InputError(
            f"{paths[2]}: expected images of {by(whole.images.shape[1:])} as in {paths[0].name}, "
            f"got {by(test.images.shape[1:])}"
        )
    if not any_labels:
        check_labels(paths[1::2], whole.labels, test.labels)
    left = len(whole) - validation
    if left < 1:
        raise InputError(
            f"{paths[0]}: expected at least {validation + 1:,} images, {validation:,} of them for "
            f"validation, got {len(whole):,}"
        )
    return Dataset(
        train=Split(whole.images[:left], whole.labels[:left]),
        validation=Split(whole.images[left:], whole.labels[left:]),
        test=test,
        n_classes=1 + int(max(whole.labels.max(), test.labels.max())),
        checksum=hashlib.sha256("".join(checksums).encode()).hexdigest(),
        folder=place,
    )


def _find(folder: Path, name: str) -> Path:
    """The file of that name or another spelling; unpacked ones first, as they are read faster."""
    dotted = name.replace("-idx", ".idx")
    try:
        if not folder.is_dir():
            raise InputError(
                f"{folder}: expected a folder with {name} and its three companions, "
                f"found {instead(folder)}"
            )
        for spelling in (name, dotted, f"{name}.gz", f"{dotted}.gz"):
            # Some archives hold folders with the files' names beside the files.
            if (folder / spelling).is_file():
                return folder / spelling
    except OSError as error:
        raise InputError(f"{folder}: expected a readable folder; {reason(error)}") from error
    raise InputError(f"{folder / name}: expected this file, or the same with .gz; found neither")
