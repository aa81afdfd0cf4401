"""Images and labels from the arrays of the four files, with checks."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deceive.common.errors import InputError
from deceive.data.idx import by

_CHANNELS = range(1, 5)  # grey or colour, with or without transparency


def joined(
    paths: Sequence[Path], images: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (N, C, H, W) uint8, and their labels (N,) int64.

    Raises:
        InputError: when an array has the wrong number of dimensions, when there are more or fewer
            labels than images, or when the channels are last.
    """
    images_path, labels_path = paths
    if images.ndim not in (3, 4):
        raise InputError(
            f"{images_path}: expected images (3 or 4 dimensions), got {by(images.shape)}"
        )
    if labels.ndim != 1:
        raise InputError(f"{labels_path}: expected labels (1 dimension), got {by(labels.shape)}")
    if len(images) != len(labels):
        raise InputError(
            f"{labels_path}: expected {len(images):,} labels, one for each image in "
            f"{images_path.name}, got {len(labels):,}"
        )
    if images.ndim == 4 and images.shape[3] in _CHANNELS and images.shape[1] not in _CHANNELS:
        raise InputError(
            f"{images_path}: expected channels first, as in 60000×3×32×32, got "
            f"{by(images.shape)}; reorder them with numpy's transpose(0, 3, 1, 2)"
        )
    if images.ndim == 3:
        images = images.reshape(len(images), 1, *images.shape[1:])
    return images, labels.astype(np.int64)


def check_labels(labels: Mapping[Path, NDArray[np.int64]]) -> None:
    """Raise `InputError` unless every label from 0 to the greatest occurs, in files of one set."""
    counts = np.bincount(np.concatenate(list(labels.values())))
    unused = [label for label, count in enumerate(counts.tolist()) if count == 0]
    if not unused:
        return
    path = max(labels, key=lambda path: int(labels[path].max()))
    raise InputError(
        f"{path}: expected labels 0, 1, 2, … with no gaps, got labels up to "
        f"{len(counts) - 1} without {ranges(unused)}; renumber the classes, and remove "
        "unlabelled images (often labelled 255)"
    )


def ranges(numbers: Sequence[int], most: int = 5) -> str:
    """Ascending numbers as ranges: 0, 10 to 254."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    said = [str(low) if low == high else f"{low} to {high}" for low, high in found]
    return ", ".join(said[:most]) + (" and others" if len(said) > most else "")
