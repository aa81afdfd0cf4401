"""MNIST in another layout than its own: recognised, and treated as its own files are."""

from collections.abc import Mapping

import numpy as np

from deceive.data.idx import checksum
from deceive.data.readers.reader import Found, Part, PartName
from deceive.data.source import MNIST

_COUNTS = {"train": 60_000, "test": 10_000}


def as_mnist(parts: Mapping[PartName, Part]) -> Found | None:
    """The same parts with MNIST's checksum and order, if they are MNIST; else None."""
    if {part: len(each.labels) for part, each in parts.items()} != _COUNTS:
        return None
    if any(each.pictures.shape != (1, 28, 28) or each.labels.ndim != 1 for each in parts.values()):
        return None
    if any(each.labels.dtype.kind not in "iu" for each in parts.values()):
        return None
    expected = iter(MNIST.sha256.values())
    for part in (parts["train"], parts["test"]):
        levels = part.pictures.several(range(len(part.labels)))
        if levels is None or checksum(levels[:, 0].contiguous().numpy()) != next(expected):
            return None
        if checksum(part.labels.astype(np.uint8)) != next(expected):
            return None
    return Found(parts, MNIST.checksum, in_order=True)
