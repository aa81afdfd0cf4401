"""Labelled images of any layout, read into memory."""

from pathlib import Path

from deceive.common import arguments
from deceive.common.errors import InputError
from deceive.data.dataset import Dataset
from deceive.data.opening import open_data
from deceive.data.preparation import AS_THEY_ARE, Preparation
from deceive.data.source import MNIST, Source


@arguments.taking(
    folder=arguments.maybe(arguments.place),
    any_labels=arguments.flag,
    source=arguments.of("a Source", Source),
    preparation=arguments.of("a Preparation", Preparation),
)
def load_data(
    folder: str | Path | None = None,
    *,
    validation: int | None = None,
    any_labels: bool = False,
    source: Source = MNIST,
    preparation: Preparation = AS_THEY_ARE,
    seed: int = 0,
) -> Dataset:
    """Read MNIST, or any other labelled images, into memory, on the CPU.

    Args:
        folder: a folder or file of a known layout: class folders of pictures, IDX, and others. When
            None: what the environment variable DECEIVE_DATA names, else the source's folder.
        validation: how many training images are held out, at least 1, where the layout has none for
            it; by default 5,000, or fewer of few.
        any_labels: accept any labels, for images whose labels don't matter. Otherwise labels must
            be 0 to K - 1 without gaps, or names.
        source: the data set to read if no folder is named: by default MNIST, from the clone's
            `data/mnist`, or from the user's cache after one download.
        preparation: how pictures become images of one shape.
        seed: of the order of images and of the cut into splits, where the layout has none.

    Returns:
        A `Dataset`, whose notes say what was taken for what. Images are (N, 1, H, W) or
        (N, 3, H, W). Pictures that can't be read are left out, if they are at most 1%.

    Raises:
        InputError: when nothing known is there; when files are missing or damaged, or don't match
            each other; when a class has no images; when too few images are left for training; when
            the source's files have other checksums or can't be downloaded.

    >>> import deceive
    >>> data = deceive.load_data()
    >>> data
    Dataset(mnist: 55,000 + 5,000 + 10,000 images of (1, 28, 28), 10 classes)
    >>> data.test.labels[:5]
    tensor([7, 2, 1, 0, 4])
    """
    data = open_data(
        folder,
        preparation,
        seed=seed,
        validation=validation,
        any_labels=any_labels,
        source=source,
    )
    if data.train is None:
        raise InputError(
            f"{data.folder}: expected images for training too, got only those for validation and "
            "test; put some into a folder train, or give one folder of images, which is then split"
        )
    return data.loaded()
