"""The flags that read the same labelled images again."""

from deceive.common.flags import flag
from deceive.data.dataset import Dataset, RealData
from deceive.data.source import MNIST


def place_flags(data: RealData) -> list[str]:
    """The flag that names where the images are, as it was given; none for MNIST, the default.

    >>> from pathlib import Path
    >>> import torch
    >>> import deceive
    >>> four = deceive.Split(torch.rand(4, 1, 8, 8), torch.tensor([0, 1, 0, 1]))
    >>> data = deceive.Dataset(four, four, four, n_classes=2, checksum="", folder=Path("mine"))
    >>> place_flags(data), place_flags(deceive.load_data())
    (['--data', 'mine'], [])
    """
    return [] if data.checksum == MNIST.checksum else flag("data", str(data.folder))


def data_flags(data: Dataset) -> list[str]:
    """The flags of `deceive train`, `rounds` and `study` that read the same images at their size.

    >>> import deceive
    >>> data = deceive.load_data(preparation=deceive.Preparation(size=(14, 20)))
    >>> data_flags(data)
    ['--size', '14x20']
    """
    size = data.preparation.size
    return place_flags(data) + ([] if size is None else flag("size", "x".join(map(str, size))))
