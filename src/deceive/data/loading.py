"""MNIST, and any data set laid out like it, as tensors in [0, 1].

Four IDX files, gzipped or not: images and labels, for training and for testing. Fashion-MNIST and
KMNIST come the same way.
"""

import hashlib
import os
from pathlib import Path

from deceive.common import arguments
from deceive.common.checks import at_least
from deceive.common.errors import InputError
from deceive.data.dataset import Dataset, Split
from deceive.data.idx import by, checksum, instead, read_idx, reason
from deceive.data.joining import check_labels, joined
from deceive.data.source import MNIST, Source


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
