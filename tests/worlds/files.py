"""Files of labelled images, in MNIST's format."""

import gzip
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deceive.data.source import MNIST

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = MNIST.sha256

Bytes = NDArray[np.uint8]
Contents = dict[str, bytes]


def idx(array: Bytes) -> bytes:
    """An array as an IDX file."""
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def gzipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def small(n_train: int = 12, n_test: int = 5, size: tuple[int, ...] = (3, 4)) -> Contents:
    """A tiny data set of 4 classes, as the contents of its four files."""
    rng = np.random.default_rng(0)
    return {
        TRAIN_IMAGES: idx(rng.integers(0, 256, (n_train, *size), np.uint8)),
        TRAIN_LABELS: idx((np.arange(n_train) % 4).astype(np.uint8)),
        TEST_IMAGES: idx(rng.integers(0, 256, (n_test, *size), np.uint8)),
        TEST_LABELS: idx((np.arange(n_test) % 3).astype(np.uint8)),
    }


def write(folder: Path, contents: Contents) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder
