"""How pictures lie in an array: channels first or last, or all pixels in a row."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deceive.common.errors import InputError
from deceive.common.levels import Shape
from deceive.data.idx import by

_CHANNELS = (1, 2, 3, 4)


@dataclass(frozen=True)
class Layout:
    """The shape of every picture, and the order of its values.

    >>> import numpy as np
    >>> layout = layout_of((5, 8, 9, 3), "images")
    >>> layout.shape, layout(np.zeros((2, 8, 9, 3))).shape
    ((3, 8, 9), (2, 3, 8, 9))
    """

    shape: Shape
    """(C, h, w)."""
    channels: Literal["first", "last"]

    def __call__(self, pictures: NDArray[Any]) -> NDArray[Any]:
        """Some pictures as they are kept as (n, C, h, w)."""
        channels, height, width = self.shape
        if self.channels == "last":
            return pictures.reshape(-1, height, width, channels).transpose(0, 3, 1, 2)
        return pictures.reshape(-1, channels, height, width)


def layout_of(shape: Sequence[int], where: str, some: NDArray[Any] | None = None) -> Layout:
    """The layout of an array of pictures.

    Args:
        shape: of the whole array: (N, h, w), (N, C, h, w), (N, h, w, C), or (N, h·w·C) of squares.
        where: what a message calls the array.
        some: a few of its pictures, to tell how flat colour pictures lie: neighbours differ less.

    Raises:
        InputError: for any other shape.
    """
    each = tuple(shape[1:])
    if math.prod(shape) and len(each) == 2:
        return Layout((1, *each), "first")
    if math.prod(shape) and len(each) == 3:
        if each[0] in _CHANNELS and (each[2] not in _CHANNELS or each[0] <= each[2]):
            return Layout(each, "first")
        if each[2] in _CHANNELS:
            return Layout((each[2], each[0], each[1]), "last")
    if len(each) == 1 and each[0] > 0:
        for channels in (1, 3):
            side = math.isqrt(each[0] // channels)
            if channels * side**2 == each[0]:
                return _flat((channels, side, side), some)
    raise InputError(
        f"{where}: expected pictures (N, H, W), (N, C, H, W), (N, H, W, C) or square ones in rows, "
        f"got {by(shape) or 'a single number'}"
    )


def _flat(shape: Shape, some: NDArray[Any] | None) -> Layout:
    if shape[0] == 1 or some is None:
        return Layout(shape, "first")
    both = [Layout(shape, "first"), Layout(shape, "last")]
    return min(both, key=lambda layout: _roughness(layout(some)))


def _roughness(pictures: NDArray[Any]) -> float:
    """How much neighbouring pixels differ."""
    return float(np.abs(np.diff(pictures.astype(np.float32), axis=-1)).mean())
