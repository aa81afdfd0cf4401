"""Some of CIFAR-10's pictures, from folders of JPEG files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures of some classes, for training and for testing."""

    names: tuple[str, ...]
    """Of the classes, in alphabetical order."""
    train: NDArray[np.uint8]
    """(N, 32, 32, 3)."""
    train_labels: NDArray[np.int64]
    test: NDArray[np.uint8]
    test_labels: NDArray[np.int64]


def pictures_in(folder: Path, train: int, test: int) -> Pictures:
    """The first `train` and `test` pictures of each class, the classes in turn."""
    names = tuple(sorted(each.name for each in (folder / "train").iterdir() if each.is_dir()))
    kept = {"train": train, "test": test}
    arrays = [_of(folder / split, names, count) for split, count in kept.items()]
    labels = [np.tile(np.arange(len(names)), count) for count in kept.values()]
    return Pictures(names, arrays[0], labels[0], arrays[1], labels[1])


def _of(folder: Path, names: tuple[str, ...], count: int) -> NDArray[np.uint8]:
    files = [sorted((folder / name).iterdir())[:count] for name in names]
    return np.stack(
        [np.asarray(Image.open(path)) for turn in zip(*files, strict=True) for path in turn]
    )
