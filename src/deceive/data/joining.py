"""Images and labels from the arrays of the four files, with checks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deceive.common.errors import InputError
from deceive.data.idx import by

_CHANNELS = range(1, 5)  # grey or colour, with or without transparency


def joined(
    paths: Sequence[Path], images: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> tuple[Tensor, Tensor]:
    """Images (N, C, H, W) float32 in [0, 1], and their labels (N,) int64.

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
    return torch.from_numpy(images).float().div_(255), torch.from_numpy(labels).long()


def check_labels(paths: Sequence[Path], train: Tensor, test: Tensor) -> None:
    """Raise `InputError` unless every label from 0 to the greatest occurs.

    `paths` are the files of the labels to train and to test with.
    """
    counts = torch.bincount(torch.cat([train, test]))
    unused = [label for label, count in enumerate(counts.tolist()) if count == 0]
    if not unused:
        return
    path = paths[0] if train.max() >= test.max() else paths[1]
    raise InputError(
        f"{path}: expected labels 0, 1, 2, … with no gaps, got labels up to "
        f"{len(counts) - 1} without {_ranges(unused)}; renumber the classes, and remove "
        "unlabelled images (often labelled 255)"
    )


def _ranges(numbers: Sequence[int], most: int = 5) -> str:
    """Ascending numbers as ranges: 0, 10 to 254."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    said = [str(low) if low == high else f"{low} to {high}" for low, high in ranges]
    return ", ".join(said[:most]) + (" and others" if len(said) > most else "")
