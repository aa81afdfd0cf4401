"""Many images side by side, without words."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def contact_sheet(levels: NDArray[Any], *, columns: int, scale: int = 2) -> NDArray[Any]:
    """Images (N, C, H, W) uint8 side by side in rows, with thin lines between: (C, H', W').

    Each pixel becomes a square of `scale` × `scale`.

    >>> import numpy as np
    >>> from deceive.reporting.figures import contact_sheet
    >>> contact_sheet(np.zeros((20, 1, 28, 28), np.uint8), columns=10).shape
    (1, 115, 571)
    """
    rows = -(-len(levels) // columns)
    channels, height, width = levels.shape[1:]
    height, width = height * scale + 1, width * scale + 1
    sheet = np.full((channels, rows * height + 1, columns * width + 1), 64, dtype=np.uint8)
    for index, image in enumerate(levels):
        top, left = (index // columns) * height + 1, (index % columns) * width + 1
        large = image.repeat(scale, axis=1).repeat(scale, axis=2)
        sheet[:, top : top + height - 1, left : left + width - 1] = large
    return sheet


def shown_images(arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Levels (K, n, C, H, W), at most ten images of each class, of stored levels and targets."""
    n_classes = int(arrays["targets"].max()) + 1
    each = min(10, len(arrays["targets"]) // n_classes)
    levels = of_each_class(arrays, each)
    return levels.reshape(n_classes, each, *levels.shape[1:])


def of_each_class(arrays: Mapping[str, NDArray[Any]], count: int) -> NDArray[Any]:
    """The first `count` images of each class, class by class."""
    targets = arrays["targets"]
    chosen = [np.flatnonzero(targets == k)[:count] for k in range(targets.max() + 1)]
    images: NDArray[Any] = arrays["levels"][np.concatenate(chosen)]
    return images


def flat(levels: NDArray[Any]) -> NDArray[Any]:
    """(A, B, C, H, W) → (A × B, C, H, W)."""
    return levels.reshape(-1, *levels.shape[2:])
