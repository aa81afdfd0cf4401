"""Arrays in `.npy` files: x_train.npy beside y_train.npy, images.npy beside labels.npy."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deceive.common.errors import InputError
from deceive.data.names import part_named
from deceive.data.readers.npz import damage_told
from deceive.data.readers.pairs import Labelled, joined_pairs, pairs_in
from deceive.data.readers.reader import Found, PartName, Reader


def recognises(place: Path) -> bool:
    """Whether it is a folder with such files, or one of them."""
    files = _files(place)
    return bool(files) and (place.is_file() or bool(pairs_in(files)))


def read(place: Path) -> Found:
    """Map the pictures into memory, and read the labels."""
    files = _files(place)
    pairs = pairs_in(files)
    arrays: dict[PartName, Labelled] = {}
    for part, pair in pairs.items():
        if place.is_file() and part != (part_named(place.stem) or "all"):
            continue
        labels = np.array(_mapped(files[pair.labels])) if pair.labels else None
        images = files[pair.images]
        arrays[part] = Labelled(_mapped(images), labels, f"{images.stat().st_size} bytes")
    if not arrays:
        raise InputError(
            f"{place}: expected files named as x_train.npy and y_train.npy, or images.npy and "
            f"labels.npy, found {', '.join(sorted(files)[:4])}"
        )
    return joined_pairs(arrays, str(place))


def _files(place: Path) -> dict[str, Path]:
    """All such files beside each other, by name."""
    if not place.is_dir() and not (place.suffix == ".npy" and place.is_file()):
        return {}
    folder = place if place.is_dir() else place.parent
    return {each.stem: each for each in sorted(folder.glob("*.npy")) if each.is_file()}


def _mapped(path: Path) -> NDArray[Any]:
    with damage_told(path):
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("it is another kind of file")
    return array


READER = Reader(
    name=".npy",
    example="x_train.npy, y_train.npy",
    recognises=recognises,
    read=read,
)
